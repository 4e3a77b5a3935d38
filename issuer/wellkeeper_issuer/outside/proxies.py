"""Find the HTTP proxy for a URL in the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

aiohttp's `trust_env` would do that on a thread for each request, and send passwords of ~/.netrc.
"""

from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from wellkeeper_issuer.errors import SettingsError


def find_proxy(url: URL) -> URL | None:
    """Return the proxy, or None for a direct connection. Raises SettingsError for one that is not an HTTP proxy."""
    proxies = getproxies_environment()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or proxy_bypass(url.host or ""):
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        is_usable = proxy.scheme in {"http", "https"} and bool(proxy.host)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(
            f"cannot use the proxy for {url.host} from the environment",
            "it is not the http:// or https:// URL of a proxy",
            f"Correct {url.scheme.upper()}_PROXY, or add {url.host} to NO_PROXY.",
        )
    return proxy
