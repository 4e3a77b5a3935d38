"""Server blocks as users have them, and as they should be after the patch, for unit tests and for a real nginx.

`{live}` stands for the directory of the certificate. Every file is in sites-available, next to an nginx.conf that
includes them.
"""

from dataclasses import dataclass
from typing import Final

CHALLENGE: Final = "include snippets/wellkeeper/challenge.conf;"
TLS: Final = "include snippets/wellkeeper/tls.conf;"
PAIR: Final = "ssl_certificate {live}/fullchain.pem;\n    ssl_certificate_key {live}/privkey.pem;"
TLS_LISTEN: Final = f"listen 443 ssl;\n    listen [::]:443 ssl;\n    {TLS}\n    {PAIR}"


@dataclass(frozen=True, slots=True)
class Vhost:
    """The text before and after; `names` are those of the certificate."""

    before: str
    after: str
    names: tuple[str, ...] = ("www.example.org",)


_WORDPRESS: Final = """\
# WordPress
server {
    listen 80;
    listen [::]:80;
    server_name www.example.org example.org;
    root /srv/wordpress;
    index index.php;
HERE
    location ~ /\\. {
        deny all;
    }
    location / {
        try_files $uri $uri/ /index.php?$args;
    }
    location ~ \\.php$ { return 200 "php"; }
}
"""
_CERTBOT_443: Final = """\
server {
    server_name www.example.org;
    root /srv/www;
    location / { try_files $uri =404; }

    listen [::]:443 ssl ipv6only=on; # managed by Certbot
    listen 443 ssl; # managed by Certbot
CERTIFICATE
}
"""
_CERTBOT_80_BEFORE: Final = """\
server {
    if ($host = www.example.org) {
        return 301 https://$host$request_uri;
    } # managed by Certbot


    listen 80;
    listen [::]:80;
    server_name www.example.org;
    return 404; # managed by Certbot


}
"""
_CERTBOT_80_AFTER: Final = f"""\
server {{
    listen 80;
    listen [::]:80;
    server_name www.example.org;
    {CHALLENGE}
    location / {{
        if ($host = www.example.org) {{
            return 301 https://$host$request_uri;
        }} # managed by Certbot
        return 404; # managed by Certbot
    }}


}}
"""
_OLD_PAIR: Final = """\
    ssl_certificate {old}/fullchain.pem; # managed by Certbot
    ssl_certificate_key {old}/privkey.pem; # managed by Certbot"""
_REDIRECT: Final = "return 301 https://$host$request_uri;"
_GUARD: Final = 'if ($uri ~ "^/\\.well-known/acme-challenge/") { break; }'

VHOSTS: Final = {
    "site on port 80": Vhost(
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    root /srv/www;\n}\n",
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n"
        f"    {CHALLENGE}\n    {TLS_LISTEN}\n    root /srv/www;\n}}\n",
    ),
    "WordPress with a rule against dot files": Vhost(
        _WORDPRESS.replace("HERE\n", ""),
        _WORDPRESS.replace("HERE\n", "").replace(
            "example.org;\n    root", f"example.org;\n    {CHALLENGE}\n    {TLS_LISTEN}\n    root"
        ),
        ("www.example.org", "example.org"),
    ),
    "WordPress that redirects all of port 80": Vhost(
        _WORDPRESS.replace("HERE", f"    if ($scheme = http) {{ {_REDIRECT} }}\n    listen 443 ssl;\nPAIR").replace(
            "PAIR", _OLD_PAIR.replace(" # managed by Certbot", "")
        ),
        _WORDPRESS.replace(
            "HERE",
            f"    {_GUARD}\n    if ($scheme = http) {{ {_REDIRECT} }}\n"
            f"    listen 443 ssl;\n    {CHALLENGE}\n    {PAIR}",
        ),
        ("www.example.org", "example.org"),
    ),
    "redirect beside the site": Vhost(
        "server {\n\tlisten 80;\n\tserver_name www.example.org;\n\treturn 301 https://$host$request_uri;\n}\n"
        "server {\n\tlisten 443 ssl;\n\tserver_name www.example.org;\n"
        "\tssl_certificate {old}/fullchain.pem;\n\tssl_certificate_key {old}/privkey.pem;\n}\n",
        "server {\n\tlisten 80;\n\tlisten [::]:80;\n\tserver_name www.example.org;\n"
        f"\t{CHALLENGE}\n\tlocation / {{\n\t\treturn 301 https://$host$request_uri;\n\t}}\n}}\n"
        "server {\n\tlisten 443 ssl;\n\tserver_name www.example.org;\n"
        "\tssl_certificate {live}/fullchain.pem;\n\tssl_certificate_key {live}/privkey.pem;\n}\n",
    ),
    "redirect without a site": Vhost(
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {_REDIRECT}\n}}\n",
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {CHALLENGE}\n"
        f"    location / {{\n        {_REDIRECT}\n    }}\n}}\n\nserver {{\n    listen 443 ssl;\n"
        f"    listen [::]:443 ssl;\n    server_name www.example.org;\n    {TLS}\n    {PAIR}\n"
        "    # Your site: root, or proxy_pass, or a redirect.\n    location / { return 404; }\n}\n",
    ),
    "redirect in a location": Vhost(
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n"
        f"    location / {{ {_REDIRECT} }}\n}}\n",
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {CHALLENGE}\n"
        f"    location / {{ {_REDIRECT} }}\n}}\n\nserver {{\n    listen 443 ssl;\n"
        f"    listen [::]:443 ssl;\n    server_name www.example.org;\n    {TLS}\n    {PAIR}\n"
        "    # Your site: root, or proxy_pass, or a redirect.\n    location / { return 404; }\n}\n",
    ),
    "managed by certbot": Vhost(
        _CERTBOT_443.replace("CERTIFICATE", _OLD_PAIR) + _CERTBOT_80_BEFORE,
        _CERTBOT_443.replace("CERTIFICATE", f"    {PAIR}") + _CERTBOT_80_AFTER,
    ),
    "everything in one line": Vhost(
        f"server {{ listen 80; listen [::]:80; server_name www.example.org; {_REDIRECT} }}"
        " server { listen 81; server_name other; }",
        f"server {{ listen 80; listen [::]:80; server_name www.example.org; {CHALLENGE} location / {{ {_REDIRECT} }} }}"
        " server { listen 81; server_name other; }\n\nserver {\n    listen 443 ssl;\n"
        f"    listen [::]:443 ssl;\n    server_name www.example.org;\n    {TLS}\n    {PAIR}\n"
        "    # Your site: root, or proxy_pass, or a redirect.\n    location / { return 404; }\n}\n",
    ),
    "CRLF, names on several lines": Vhost(
        "server {\r\n  listen 80;\r\n  server_name www.example.org\r\n"
        "    example.org;  # both\r\n  root /srv;\r\n}\r\n",
        "server {\r\n  listen 80;\r\n  listen [::]:80;\r\n  server_name www.example.org\r\n    example.org;  # both\r\n"
        f"  {CHALLENGE}\r\n  listen 443 ssl;\r\n  listen [::]:443 ssl;\r\n  {TLS}\r\n"
        "  ssl_certificate {live}/fullchain.pem;\r\n  ssl_certificate_key {live}/privkey.pem;\r\n  root /srv;\r\n}\r\n",
        ("www.example.org", "example.org"),
    ),
    "no line feed at the end": Vhost(
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n}",
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {CHALLENGE}\n"
        f"    {TLS_LISTEN}\n}}",
    ),
    "several blocks in a file": Vhost(
        "server {\n    listen 80;\n    server_name other.example;\n}\n"
        "server {\n    listen 80;\n    server_name www.example.org;\n}\n",
        "server {\n    listen 80;\n    server_name other.example;\n}\n"
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n"
        f"    {CHALLENGE}\n    {TLS_LISTEN}\n}}\n",
    ),
    "general rewrite": Vhost(
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    rewrite ^/old /new;\n"
        "    rewrite ^(.*)$ /index.php?q=$1 last;\n}\n",
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {CHALLENGE}\n"
        f"    {TLS_LISTEN}\n    rewrite ^/old /new;\n    {_GUARD}\n    rewrite ^(.*)$ /index.php?q=$1 last;\n}}\n",
    ),
}
