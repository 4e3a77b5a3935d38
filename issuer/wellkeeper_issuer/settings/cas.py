"""The CAs of the settings: their directories and their limits."""

from collections.abc import Sequence

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.published_limits import known_limits
from wellkeeper_issuer.records import Limit
from wellkeeper_issuer.settings import Settings


def directory_urls(settings: Settings) -> tuple[str, ...]:
    """Every CA that has an account key, in order of preference.

    Let's Encrypt's staging CA goes with its real one, so that `renew --staging` needs no change at any responder.
    """
    urls = [one.directory for one in settings.all_cas()]
    if CA_DIRECTORIES["letsencrypt"] in urls:
        urls.append(CA_DIRECTORIES["letsencrypt-staging"])
    return tuple(dict.fromkeys(urls))


def limits(settings: Settings, directory_url: str) -> Sequence[Limit]:
    """What the CA limits: as the settings say, else as it publishes."""
    own = settings.find_ca(directory_url).limits
    return known_limits(directory_url) if own is None else tuple(one.to_limit() for one in own)
