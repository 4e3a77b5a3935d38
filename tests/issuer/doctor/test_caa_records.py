"""CAA records for one CA and account, judged as Boulder does."""

from collections.abc import Sequence

import pytest

from wellkeeper_issuer.doctor.caa_records import Issuer, refusal
from wellkeeper_issuer.ports.dns import CaaRecord

ACCOUNT = "https://ca.example/acct/1"
MALFORMED = "its parameters are malformed or duplicated"
CA = Issuer("one", ("ca.example", "other.example"), ACCOUNT)


def issue(value: str) -> CaaRecord:
    return CaaRecord(0, "issue", value)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [issue("ca.example")],
        [issue("CA.Example.")],
        [issue("other.example")],
        [issue("foreign.example"), issue("ca.example")],
        [issue(f"ca.example; validationmethods=dns-01,http-01 ; AccountURI={ACCOUNT}")],
        [issue("ca.example;")],
        [issue("ca.example; accounturi=https://ca.example/acct/2"), issue("ca.example")],
        [CaaRecord(0, "issuewild", ";")],
        [CaaRecord(0, "iodef", "mailto:a@example.org")],
        [CaaRecord(128, "issue", "ca.example")],
        [CaaRecord(0, "tbs", "unknown")],
    ],
    ids=repr,
)
def test_records_that_allow_the_ca(records: Sequence[CaaRecord]) -> None:
    assert refusal(records, CA) is None


@pytest.mark.parametrize(
    ("records", "cause", "value"),
    [
        (
            [issue("foreign.example")],
            "the records allow foreign.example, not one (ca.example or other.example)",
            "ca.example",
        ),
        ([issue(";")], "the records allow no CA, not one (ca.example or other.example)", "ca.example"),
        (
            [issue("foreign.example"), issue(";"), issue("foreign.example; a=b")],
            "the records allow foreign.example, no CA, not one (ca.example or other.example)",
            "ca.example",
        ),
        (
            [issue("ca.example; accounturi=https://ca.example/acct/2")],
            f"the record allows only the account https://ca.example/acct/2, and ours at one is {ACCOUNT}",
            f"ca.example; accounturi={ACCOUNT}",
        ),
        (
            [issue("ca.example; validationmethods=dns-01,tls-alpn-01")],
            "the record allows only the validation methods dns-01, tls-alpn-01, not http-01",
            "ca.example; validationmethods=dns-01,tls-alpn-01,http-01",
        ),
        (
            [issue("ca.example; accounturi=x; accounturi=y")],
            f"a CA does not accept the record ca.example; accounturi=x; accounturi=y: {MALFORMED}",
            "ca.example",
        ),
        (
            [issue("ca.example; nonsense")],
            f"a CA does not accept the record ca.example; nonsense: {MALFORMED}",
            "ca.example",
        ),
        ([CaaRecord(128, "tbs", "x"), issue("ca.example")], "a CA must refuse the unknown critical tag 'tbs'", ""),
        ([CaaRecord(1, "tbs", "x")], "a CA must refuse the unknown critical tag 'tbs'", ""),
    ],
)
def test_records_that_forbid_the_ca(records: Sequence[CaaRecord], cause: str, value: str) -> None:
    found = refusal(records, CA)
    assert found is not None
    assert (found.cause, found.value) == (cause, value)


def test_pinned_account_forbids_an_account_that_is_not_registered_yet() -> None:
    found = refusal([issue(f"ca.example; accounturi={ACCOUNT}")], Issuer("one", ("ca.example",), ""))
    assert found is not None
    cause = f"the record allows only the account {ACCOUNT}, and ours at one is not registered yet"
    assert (found.cause, found.value) == (cause, "")
