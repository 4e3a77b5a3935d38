"""Configurations of nginx for the tests, as `nginx -T` prints them."""

from wellkeeper_node.nginx.configuration import Configuration, parse

FILE = "/etc/nginx/nginx.conf"
UPSTREAM = "upstream wellkeeper_responder { server unix:/run/wellkeeper/public.sock max_fails=0; }"


def configured(*lines: str) -> Configuration:
    """Return a configuration with these lines in its http block, from the second line of its file."""
    return parse(f"# configuration file {FILE}:\nhttp {{\n" + "\n".join(lines) + "\n}\n")
