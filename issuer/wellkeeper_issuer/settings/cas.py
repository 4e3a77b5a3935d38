"""Return the directories and the limits of the CAs in the settings."""

from collections.abc import Sequence

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.published_limits import known_limits
from wellkeeper_issuer.records import Limit
from wellkeeper_issuer.settings import Settings


def directory_urls(settings: Settings) -> tuple[str, ...]:
    """Return the CAs that get an account key, in order of preference.

    Let's Encrypt's staging CA is added to its real one, so that `renew --staging` needs no change at a responder.
    """
    urls = [one.directory for one in settings.all_cas()]
    if CA_DIRECTORIES["letsencrypt"] in urls:
        urls.append(CA_DIRECTORIES["letsencrypt-staging"])
    return tuple(dict.fromkeys(urls))


def limits(settings: Settings, directory_url: str) -> Sequence[Limit]:
    """Return the CA's limits in the settings, or else those that it publishes."""
    own = settings.find_ca(directory_url).limits
    return known_limits(directory_url) if own is None else tuple(one.to_limit() for one in own)
