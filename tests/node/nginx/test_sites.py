"""The names in nginx's configuration: which can be chosen, and which belong together."""

from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.sites import Ports, Site, grouped, served_names, sites


def found(*blocks: str, ports: Ports | None = None) -> tuple[Site, ...]:
    lines = "\n".join(f"server {{ {block} }}" for block in blocks)
    return sites(parse(f"# configuration file /n.conf:\nhttp {{\n{lines}\n}}\n"), ports or Ports())


def test_names_have_their_places_and_the_reason_that_excludes_them() -> None:
    names = served_names(
        found(
            "listen 80; server_name A.example *.a.example;", r"server_name ~^x\.(.*)$ .b.example _ localhost 192.0.2.1;"
        )
    )
    assert [(one.name, one.place, one.reason.partition(" ")[0]) for one in names] == [
        ("a.example", "/n.conf:2", ""),
        ("*.a.example", "/n.conf:2", "http-01"),
        (r"~^x\.(.*)$", "/n.conf:3", "a"),
        ("b.example", "/n.conf:3", ""),
        ("*.b.example", "/n.conf:3", "http-01"),
        ("192.0.2.1", "/n.conf:3", "an"),
    ]


def test_blocks_on_other_ports_are_left_out() -> None:
    blocks = ("listen 8080; server_name a.example;", "listen unix:/s; server_name b.example;")
    assert served_names(found(*blocks)) == ()
    assert [one.name for one in served_names(found(*blocks, ports=Ports(8080, 8443)))] == ["a.example"]


def test_names_of_a_block_share_a_certificate() -> None:
    assert grouped(found("server_name a.example www.a.example;", "server_name b.example;")) == (
        ("a.example", "www.a.example"),
        ("b.example",),
    )


def test_name_that_only_redirects_joins_the_site() -> None:
    blocks = ("listen 80; server_name a.example www.a.example;", "listen 443 ssl; server_name www.a.example;")
    assert grouped(found(*blocks)) == (("www.a.example", "a.example"),)


def test_redirect_for_all_sites_does_not_merge_their_certificates() -> None:
    blocks = (
        "listen 80; server_name a.example b.example;",
        "listen 443 ssl; server_name a.example;",
        "listen 443 ssl; server_name b.example;",
    )
    assert grouped(found(*blocks)) == (("a.example",), ("b.example",))


def test_block_on_other_ports_is_in_no_group() -> None:
    assert grouped(found("listen 80; server_name a.example;", "listen 8080; server_name b.example;")) == (
        ("a.example",),
    )
