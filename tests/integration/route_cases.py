"""Contents of server blocks on port 80, whose answers to challenges are predicted and compared with the real nginx's.

FOLDER is the directory with the responder's socket, SNIPPETS that of the project's snippets.
"""

from typing import Final

from wellkeeper_node.nginx.route.request import CHALLENGE

_PREFIX: Final = "/.well-known/acme-challenge/"
SNIPPET: Final = "include SNIPPETS/challenge.conf;"
PLAIN: Final = f"location {_PREFIX} {{ proxy_pass http://wellkeeper_responder; }}"
FIRM: Final = f"location ^~ {_PREFIX} {{ proxy_pass http://wellkeeper_responder; }}"
DOT_FILES: Final = r"location ~ /\. { deny all; }"
REDIRECT: Final = "return 301 https://$host$request_uri;"
PASSWORD: Final = 'auth_basic "staff"; auth_basic_user_file /dev/null;'
CACHE: Final = "proxy_cache cache; proxy_cache_valid any 10m;"
AUTH: Final = "auth_request /auth; location = /auth { return 403; }"


def _firm(more: str) -> str:
    return f"location ^~ {_PREFIX} {{ {more} proxy_pass http://wellkeeper_responder; }}"


# The cases of common server blocks, each with a location written by hand, as most people have one.
EIGHTEEN: Final = {
    "1 regular expression against dot files": f"{PLAIN} {DOT_FILES}",
    "2 regular expression and ^~": f"{FIRM} {DOT_FILES}",
    "3 return": f"{REDIRECT} {FIRM}",
    "4 if and return": f"if ($scheme = http) {{ {REDIRECT} }} {FIRM}",
    "5 return in location /": f"location / {{ {REDIRECT} }} {FIRM}",
    "6 auth_basic": f"{PASSWORD} {FIRM}",
    "7 rules switched off in the location": f"{PASSWORD} deny all; {_firm('auth_basic off; allow all;')}",
    "8 deny, with only auth_basic off": f"deny all; {_firm('auth_basic off;')}",
    "9 proxy_cache of everything": f"{CACHE} {FIRM}",
    "10 exact location": f"{FIRM} location = {CHALLENGE} {{ return 410; }}",
    "10 longer ^~": f"{FIRM} location ^~ {CHALLENGE[:-3]} {{ return 410; }}",
    "11 limit_except": _firm("limit_except GET { deny all; }"),
    "12 proxy_pass with the path": (f"location ^~ {_PREFIX} {{ proxy_pass http://wellkeeper_responder{_PREFIX}; }}"),
    "12 proxy_pass with another path": f"location ^~ {_PREFIX} {{ proxy_pass http://wellkeeper_responder/; }}",
    "13 unix socket": f"location ^~ {_PREFIX} {{ proxy_pass http://unix:FOLDER/public.sock; }}",
    "15 rewrite": f"rewrite ^ /index.php last; {FIRM}",
    "16 auth_request": f"{AUTH} {FIRM}",
    "17 auth_request off": f"{AUTH} {_firm('auth_request off;')}",
    "18 error page that hides 404": f"error_page 404 =200 /soft; proxy_intercept_errors on; {FIRM}",
}
# Those whose answer depends on more than the configuration.
UNPREDICTABLE: Final = frozenset(
    {
        "9 proxy_cache of everything",
        "18 error page that hides 404",
        "realm that is not known",
        "allow of all networks in halves",
        "deny of all networks in halves",
        "some allowed, and a password",
        "proxy_method that is not known",
        "error page that replaces the responder's 404",
    }
)
# The same with the snippet instead, which overrides more.
WITH_SNIPPET: Final = {
    f"{name}, with the snippet": text.replace(FIRM, SNIPPET).replace(PLAIN, SNIPPET)
    for name, text in EIGHTEEN.items()
    if FIRM in text or PLAIN in text
}
MORE: Final = {
    "nothing for challenges": "root FOLDER;",
    "nothing, and dot files": f"root FOLDER; {DOT_FILES}",
    "return 444": "return 444;",
    "return 503": f"return 503; {SNIPPET}",
    "return 200": f'return 200 "hello"; {SNIPPET}',
    "return of a path": f"return 302 /elsewhere; {SNIPPET}",
    "303, which the CA does not follow": "location / { return 303 https://$host/; } root FOLDER;",
    "port that the CA does not follow": "return 301 https://$host:8443$request_uri;",
    "redirect that loops": "return 301 http://$host$request_uri;",
    "redirect of the port to TLS that the snippet survives": f"location / {{ {REDIRECT} }} {SNIPPET}",
    "if that spares challenges": (f'if ($request_uri !~ "^/\\.well-known/acme-challenge/") {{ {REDIRECT} }} {SNIPPET}'),
    "if with break": f'if ($uri ~ "^/\\.well-known/") {{ break; }} {REDIRECT} {SNIPPET}',
    "break before return": f"break; {REDIRECT} {SNIPPET}",
    "if on an argument": f"if ($arg_x != ok) {{ return 403; }} {SNIPPET}",
    "if on a header that is not sent": f"if ($http_upgrade = h2c) {{ return 403; }} {SNIPPET}",
    "if on the method": f"if ($request_method !~ ^(GET|HEAD|POST)$) {{ return 405; }} {SNIPPET}",
    "if on a missing file": f"if (!-e $request_filename) {{ rewrite ^ /index.html last; }} {SNIPPET}",
    "if on the host": f"if ($host = unknown.example) {{ return 403; }} {SNIPPET}",
    "if on another host": f"if ($host != a.example) {{ return 403; }} {SNIPPET}",
    "variables": f"set $closed 0; if ($uri ~ \\.php$) {{ set $closed 1; }} if ($closed) {{ return 403; }} {SNIPPET}",
    "two rewrites": f"rewrite ^/(.*)$ /x/$1; rewrite ^/x/(.*)$ /$1 break; {SNIPPET}",
    "rewrite to a URL": f"rewrite ^/(.*)$ https://$host/$1 permanent; {SNIPPET}",
    "rewrite with redirect": f"rewrite ^/\\.well-known/(.*)$ /well-known/$1 redirect; {SNIPPET}",
    "rewrite of other paths": f"rewrite ^/old/(.*)$ /new/$1 last; {SNIPPET}",
    "rewrite in a location": "location / { rewrite ^ /index.html last; } location = /index.html { return 410; }",
    "rewrite in a location that loops": "location / { rewrite ^ /x$uri last; }",
    "try_files to a named location": (
        "root FOLDER; location / { try_files $uri @responder; }"
        " location @responder { proxy_pass http://wellkeeper_responder; }"
    ),
    "try_files with a status": "root FOLDER; location / { try_files $uri =418; }",
    "try_files to a path": "root FOLDER; location / { try_files $uri /gone; } location = /gone { return 410; }",
    "error page that asks the responder": (
        f"root FOLDER; location ^~ {_PREFIX} {{ error_page 404 = @responder; }}"
        " location @responder { proxy_pass http://wellkeeper_responder; }"
    ),
    "error page with a status": "root FOLDER; error_page 404 =410 /gone; location = /gone { return 200 x; }",
    "error page that is refused too": "deny all; error_page 403 /403.html;",
    "error page with a URL": "deny all; error_page 403 https://$host/403.html;",
    "stateless answer of acme.sh": (
        r'location ~ ^/\.well-known/acme-challenge/([-_a-zA-Z0-9]+)$ { return 200 "$1.xxxxxx"; }'
    ),
    "webroot of certbot": f"location ^~ {_PREFIX} {{ root /var/www/letsencrypt; default_type text/plain; }}",
    "webroot of certbot beside the snippet": (
        f"location ~ /.well-known {{ allow all; root /var/www/letsencrypt; }} {SNIPPET}"
    ),
    "allow before deny": _firm("allow all; deny all;"),
    "deny of networks": _firm("deny 192.0.2.0/24;"),
    "satisfy any with a password only": f"satisfy any; {PASSWORD} {FIRM}",
    "satisfy any with allow": f"satisfy any; {PASSWORD} allow all; {FIRM}",
    "password without a file": f'auth_basic "staff"; {FIRM}',
    "auth_request that allows": f"auth_request /auth; location = /auth {{ return 204; }} {FIRM}",
    "auth_request that is broken": f"auth_request /auth; location = /auth {{ return 500; }} {FIRM}",
    "limit_except POST": _firm("limit_except POST { deny all; }"),
    "nested location": "location /.well-known/ { location /.well-known/acme-challenge/ { return 410; } }",
    "nested pattern": r"location / { location ~ /\. { return 410; } } location ~ challenge { return 411; }",
    "pattern after a prefix with a nested one": (
        r"location / { location ~ \.php$ { return 410; } } location ~ challenge { return 411; }"
    ),
    "patterns in order": r"location ~* /ACME- { return 410; } location ~ /acme- { return 411; }",
    "modifier without a space": f"location ^~{_PREFIX} {{ return 410; }}",
    "if in a location": "location / { if ($uri ~ well-known) { return 410; } return 411; }",
    "if in a location that inherits the upstream": (
        f"location ^~ {_PREFIX} {{ if ($host ~ .) {{ set $x 1; }} proxy_pass http://wellkeeper_responder; }}"
    ),
    "variable as upstream": (f"set $to wellkeeper_responder; location ^~ {_PREFIX} {{ proxy_pass http://$to; }}"),
    "rewrite with break and a path": (
        f"location ^~ {_PREFIX} {{ rewrite ^(.*)$ $1 break; proxy_pass http://wellkeeper_responder/x; }}"
    ),
    "map that closes": "if ($closed_by_map) { return 403; } " + SNIPPET,
    "map of the path": "if ($is_challenge) { return 410; } " + SNIPPET,
    "application": "location / { proxy_pass http://127.0.0.1:9; }",
    "rewrite with last to a path of the responder": (
        f"rewrite ^{_PREFIX}(.*)$ /acme/$1 last; location /acme/ {{ proxy_pass http://wellkeeper_responder{_PREFIX}; }}"
    ),
    "rewrite in a location to a path of the responder": (
        f"location ^~ {_PREFIX} {{ rewrite ^{_PREFIX}(.*)$ /acme/$1 last; }}"
        f" location /acme/ {{ proxy_pass http://wellkeeper_responder{_PREFIX}; }}"
    ),
    "rewrite with break before the location": (
        f"rewrite ^(.*)$ $1 break; location ^~ {_PREFIX} {{ proxy_pass http://wellkeeper_responder/x; }}"
    ),
    "try_files to a path of the responder": (
        f"root FOLDER; location / {{ try_files $uri /acme$uri; }}"
        f" location /acme{_PREFIX} {{ proxy_pass http://wellkeeper_responder{_PREFIX}; }}"
    ),
    "realm that a map switches off": "auth_basic $realm; auth_basic_user_file /dev/null; " + FIRM,
    "realm that a map sets": "auth_basic $closed_by_map; auth_basic_user_file /dev/null; " + FIRM,
    "realm that is not known": "auth_basic $remote_user; auth_basic_user_file /dev/null; " + FIRM,
    "allow of the other family": _firm("allow ::/0; deny all;"),
    "deny of one family": _firm("deny 0.0.0.0/0;"),
    "allow of private networks": _firm("allow 10.0.0.0/8; allow fd00::/8; allow unix:; deny all;"),
    "allow of all networks in halves": _firm("allow 0.0.0.0/1; allow 128.0.0.0/1; deny all;"),
    "deny of all networks in halves": _firm("deny 0.0.0.0/1; deny 128.0.0.0/1;"),
    "some allowed, and a password": f"satisfy any; {PASSWORD} allow 0.0.0.0/1; deny all; {FIRM}",
    "some allowed, but a password": f"{PASSWORD} allow 0.0.0.0/1; deny all; {FIRM}",
    "internal location": _firm("internal;"),
    "internal location after try_files": (
        "root FOLDER; location / { try_files $uri @inner; }"
        " location @inner { internal; proxy_pass http://wellkeeper_responder; }"
    ),
    "internal location after a rewrite": (
        f"rewrite ^{_PREFIX}(.*)$ /inner/$1 last;"
        f" location /inner/ {{ internal; proxy_pass http://wellkeeper_responder{_PREFIX}; }}"
    ),
    "internal location of auth_request": (f"auth_request /auth; location = /auth {{ internal; return 204; }} {FIRM}"),
    "location in an internal one": f"location / {{ internal; {FIRM} }}",
    "responder with TLS": f"location ^~ {_PREFIX} {{ proxy_pass https://wellkeeper_responder; }}",
    "proxy_method POST": _firm("proxy_method POST;"),
    "proxy_method GET": _firm("proxy_method $request_method;"),
    "proxy_method that is not known": _firm("proxy_method $http_x_method;"),
    "limit_except HEAD": _firm("limit_except HEAD { deny all; }"),
    "limit_except get": _firm("limit_except get { deny all; }"),
    "limit_except around": f"location / {{ limit_except POST {{ deny all; }} {FIRM} }}",
    "error page that replaces the responder's 404": f"error_page 404 /soft; proxy_intercept_errors on; {FIRM}",
    "if on the header Accept": f'if ($http_accept = "") {{ return 403; }} {SNIPPET}',
    "if on the language": f"if ($http_accept_language !~ en) {{ return 403; }} {SNIPPET}",
}
