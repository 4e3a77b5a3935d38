"""Find directives because of which the CA may read something else than the token, though the responder is asked."""

from typing import Final

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.ending import Chain, inherited, value

_LUA: Final = ("access_by_lua", "rewrite_by_lua")


def doubt(chain: Chain) -> Directive | None:
    """Return the first such directive in effect, None without one."""
    limits = [
        one for one in inherited(chain, "limit_req") if not any(word.startswith("burst=") for word in one.arguments)
    ]
    if limits:
        return limits[0]
    if value(chain, "proxy_cache", "off") != "off":
        return inherited(chain, "proxy_cache")[-1]
    if value(chain, "modsecurity", "off") == "on":
        return inherited(chain, "modsecurity")[-1]
    pages = [one for one in inherited(chain, "error_page") if "404" in one.arguments[:-1]]
    if pages and value(chain, "proxy_intercept_errors") == "on":
        return pages[0]
    return next((one for block in chain for one in block.block if one.name.startswith(_LUA)), None)
