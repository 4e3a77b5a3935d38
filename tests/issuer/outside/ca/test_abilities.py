"""The members of a CA's directory."""

import pytest

from wellkeeper_issuer.outside.ca.abilities import Abilities, Directory, read_abilities
from wellkeeper_issuer.outside.ca.json_replies import ReplyError

NONE = Abilities(
    has_renewal_info=False,
    has_key_change=False,
    profiles={},
    terms_of_service=None,
    caa_identities=(),
    requires_external_account=False,
)


@pytest.mark.parametrize("members", [{}, {"revokeCert": None}, {"revokeCert": 5}], ids=["missing", "null", "number"])
def test_url_that_the_ca_does_not_offer_is_its_fault(members: dict[str, object]) -> None:
    with pytest.raises(ReplyError, match="directory member 'revokeCert' must be a URL"):
        Directory(members)["revokeCert"]


@pytest.mark.parametrize("meta", [None, 5, [], "x", {"externalAccountRequired": "yes", "profiles": 7}], ids=str)
def test_members_of_a_wrong_type_count_as_missing(meta: object) -> None:
    assert read_abilities(Directory({"meta": meta, "keyChange": 5})) == NONE


def test_abilities_are_those_of_the_directory() -> None:
    meta = {
        "termsOfService": "https://ca.example/terms",
        "caaIdentities": ["ca.example"],
        "externalAccountRequired": True,
        "profiles": {"short": "six days"},
    }
    urls = {"renewalInfo": "https://ca.example/info", "keyChange": "https://ca.example/key"}
    assert read_abilities(Directory({**urls, "meta": meta})) == Abilities(
        has_renewal_info=True,
        has_key_change=True,
        profiles={"short": "six days"},
        terms_of_service="https://ca.example/terms",
        caa_identities=("ca.example",),
        requires_external_account=True,
    )
