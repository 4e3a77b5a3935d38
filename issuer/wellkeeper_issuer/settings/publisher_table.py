"""The table `[[publishers]]`: another ACME client that publishes with a key of its own."""

from collections.abc import Container, Iterator, Sequence

from pydantic import Field

from wellkeeper_issuer.settings.files import Location
from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.value_types import Name, PublisherIdentifier, PublishingKey, Thumbprint


class PublisherSettings(Frozen):
    """Another ACME client with a publishing key of its own, for its accounts and names only."""

    name: Name = Field(max_length=64, description="Name of the publisher in status, log and metrics of responders.")
    account_thumbprints: tuple[Thumbprint, ...] = Field(
        min_length=1,
        description="Its accounts: RFC 7638 thumbprints, as `wellkeeper trust --account-key FILE` shows them.",
    )
    publishing_keys: tuple[PublishingKey, ...] = Field(
        min_length=1,
        description="Its publishing keys, as `wellkeeper publisher add` prints them: base64url of raw public keys.",
    )
    identifiers: tuple[PublisherIdentifier, ...] = Field(
        min_length=1,
        description=(
            "Names and IP addresses that it may publish for. `*.example.org` stands for every name below example.org."
        ),
    )


def find_pinned(publishers: Sequence[PublisherSettings], pinned: Container[str]) -> Iterator[tuple[Location, str]]:
    """Yield the place of each list with an account that is also pinned for every name, and what is wrong."""
    for index, one in enumerate(publishers):
        for thumbprint in one.account_thumbprints:
            if thumbprint in pinned:
                place = ("publishers", index, "account_thumbprints")
                yield place, f"{thumbprint} is also in the account_thumbprints for every name; remove it from one list"
