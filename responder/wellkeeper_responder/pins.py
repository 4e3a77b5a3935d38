"""Decide for which accounts and names each holder of a publishing key may publish, and which requests get an answer.

The issuer's keys may publish for all accounts of the trust file, for every name; the key of a publisher only for its
own accounts and names, and its tokens are answered only where `Host` is the name that they were published for.
"""

from collections.abc import Container, Iterable
from typing import Final

from wellkeeper_client.publishers import Publisher, is_host_of
from wellkeeper_client.signing import Publication
from wellkeeper_client.wire import WireError

# What other parts call the issuer where they name publishers.
ISSUER: Final = ""
_ADD: Final = "add it to [[publishers]] of the issuer's settings, then run 'wellkeeper trust --write'"


class Pins:
    """The accounts that a responder answers for."""

    def __init__(self, thumbprints: Container[str], publishers: Iterable[Publisher] = ()) -> None:
        self._thumbprints = thumbprints
        self._publishers = {one.name: one for one in publishers}

    @property
    def publisher_count(self) -> int:
        return len(self._publishers)

    def check(self, publication: Publication, publisher: str) -> None:
        """Raise WireError 403 unless this holder of a publishing key may publish this."""
        if not publisher:
            if publication.thumbprint not in self._thumbprints:
                raise _not_pinned(
                    f"this responder does not answer for the ACME account {publication.thumbprint}; add it to its trust"
                    " file ('wellkeeper trust --write'), or if it is that of another client, run 'wellkeeper trust"
                    " --account-key FILE --write'"
                )
            return
        known = self._publishers[publisher]
        if publication.thumbprint not in known.account_thumbprints:
            raise _not_pinned(
                f"publisher {publisher} may not publish for the ACME account {publication.thumbprint}; {_ADD}"
            )
        if not known.may_publish_for(publication.identifier):
            raise WireError(
                403,
                "not-allowed",
                f"publisher {publisher} may not publish for {publication.identifier}, only for"
                f" {', '.join(known.identifiers):.300}; {_ADD}",
            )

    def allows(self, publisher: str, thumbprint: str, identifier: str) -> bool:
        """Return whether a token that this holder published is still to be answered."""
        if not publisher:
            return thumbprint in self._thumbprints
        known = self._publishers.get(publisher)
        return known is not None and thumbprint in known.account_thumbprints and known.may_publish_for(identifier)

    def answers(self, publisher: str, thumbprint: str, identifier: str, host: str | None) -> bool:
        """Return whether a request with this `Host` gets the token's answer."""
        return self.allows(publisher, thumbprint, identifier) and (not publisher or is_host_of(host, identifier))


def _not_pinned(why: str) -> WireError:
    return WireError(403, "not-pinned", why)
