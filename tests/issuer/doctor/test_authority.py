"""The checks of each CA: its directory, its clock, our account, its terms and its profiles."""

from dataclasses import dataclass, field

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from wellkeeper_issuer.doctor.authority import Seen, UsedCa, check_authority
from wellkeeper_issuer.doctor.caa_records import Issuer
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.inspection import Account, Offer
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict

URL = "https://ca.example/directory"
CA = UsedCa("one", URL)
WEB = Lineage("web", (dns("a.example"),), directory_urls=(URL,))
ELSEWHERE = Lineage("other", (dns("b.example"),), directory_urls=("https://other.example",))
VALID = Account("https://ca.example/acct/1", "valid")
BROKEN = OrderError("no answer from the CA one", "Connection refused", "Check the network.")


@dataclass
class Inspection:
    """`ports.inspection.CaInspection` with these answers or errors."""

    offered: Offer | WellkeeperError = field(default_factory=Offer)
    found: Account | WellkeeperError = VALID

    async def offer(self) -> Offer:
        if isinstance(self.offered, WellkeeperError):
            raise self.offered
        return self.offered

    async def account(self) -> Account:
        if isinstance(self.found, WellkeeperError):
            raise self.found
        return self.found


async def look(
    offered: Offer | WellkeeperError, found: Account | WellkeeperError = VALID, ca: UsedCa = CA, lineage: Lineage = WEB
) -> Seen:
    return await check_authority(ca, [lineage, ELSEWHERE], Inspection(offered, found), FakeClock())


def only(seen: Seen, check: str) -> Finding:
    [finding] = [one for one in seen.findings if one.check == check]
    assert bool(finding.fix) is (finding.verdict in {Verdict.WARN, Verdict.FAIL})
    return finding


async def test_ca_that_answers_and_knows_the_account_is_fine() -> None:
    seen = await look(Offer("https://ca.example/terms", {}, ("ca.example",), 0.5))
    assert [(one.check, one.verdict, one.subject) for one in seen.findings] == [
        ("ca-directory", Verdict.OK, "one"),
        ("ca-clock", Verdict.OK, "one"),
        ("ca-profile", Verdict.OK, "web"),
        ("ca-account", Verdict.OK, "one"),
        ("ca-terms", Verdict.OK, "one"),
    ]
    assert seen.issuer == Issuer("one", ("ca.example",), "https://ca.example/acct/1")


async def test_ca_that_does_not_answer_fails_in_its_words_and_skips_the_rest() -> None:
    seen = await look(BROKEN)
    finding = only(seen, "ca-directory")
    assert (finding.verdict, finding.cause) == (Verdict.FAIL, "no answer from the CA one: Connection refused")
    assert finding.fix == "Check the network."
    assert {one.check: (one.verdict, one.subject) for one in seen.findings[1:]} == {
        "ca-clock": (Verdict.SKIPPED, "one"),
        "ca-account": (Verdict.SKIPPED, "one"),
        "ca-terms": (Verdict.SKIPPED, "one"),
        "ca-profile": (Verdict.SKIPPED, "web"),
    }
    assert seen.issuer is None


async def test_account_that_the_ca_refuses_fails_in_its_words() -> None:
    seen = await look(Offer(caa_identities=("ca.example",)), OrderError("the CA one refused it"))
    assert only(seen, "ca-account") == Finding(
        "ca-account", Verdict.FAIL, "one", "the CA one refused it", "Fix what it reports."
    )
    assert only(seen, "ca-terms").verdict is Verdict.SKIPPED
    assert seen.issuer == Issuer("one", ("ca.example",), "")


@pytest.mark.parametrize(
    ("account", "verdict", "cause"),
    [
        (VALID, Verdict.OK, "the account https://ca.example/acct/1 is valid"),
        (Account(), Verdict.OK, "no account yet, the first renewal registers it"),
        (
            Account("https://ca.example/acct/1", "revoked"),
            Verdict.FAIL,
            "the account https://ca.example/acct/1 is revoked",
        ),
    ],
    ids=["valid", "none", "revoked"],
)
async def test_status_of_the_account_decides(account: Account, verdict: Verdict, cause: str) -> None:
    finding = only(await look(Offer(), account), "ca-account")
    assert (finding.verdict, finding.cause) == (verdict, cause)


@pytest.mark.parametrize(
    ("ahead", "verdict", "cause"),
    [
        (None, Verdict.SKIPPED, "its replies have no date"),
        (-59, Verdict.OK, "the clocks of CA and host agree within a minute"),
        (
            90,
            Verdict.WARN,
            "this host's clock says 2026-03-01 12:00:00 UTC; is it right? It is 90 s behind the CA's",
        ),
        (
            -7200,
            Verdict.FAIL,
            "this host's clock says 2026-03-01 12:00:00 UTC; is it right? It is 7200 s ahead of the CA's",
        ),
    ],
)
async def test_clock_is_compared_with_the_cas(ahead: float | None, verdict: Verdict, cause: str) -> None:
    finding = only(await look(Offer(ahead_seconds=ahead)), "ca-clock")
    assert (finding.verdict, finding.cause) == (verdict, cause)


@pytest.mark.parametrize(
    ("terms", "agreed", "verdict"),
    [
        (None, "", Verdict.OK),
        ("https://ca.example/2", "", Verdict.OK),
        ("https://ca.example/2", "https://ca.example/2", Verdict.OK),
        ("https://ca.example/2", "https://ca.example/1", Verdict.WARN),
    ],
    ids=["none", "unknown", "the same", "changed"],
)
async def test_terms_that_changed_since_we_agreed_are_a_warning(
    terms: str | None, agreed: str, verdict: Verdict
) -> None:
    account = Account("https://ca.example/acct/1", "valid", agreed)
    finding = only(await look(Offer(terms), account), "ca-terms")
    assert finding.verdict is verdict
    if verdict is Verdict.WARN:
        assert finding.cause == "its terms of service changed from https://ca.example/1 to https://ca.example/2"
        assert "'wellkeeper account update --ca one'" in finding.fix


@pytest.mark.parametrize(
    ("default", "own", "offered", "verdict", "cause"),
    [
        (None, None, {"a": ""}, Verdict.OK, "it asks one for no profile"),
        ("a", None, {"a": ""}, Verdict.OK, "one offers the profile 'a'"),
        ("b", "a", {"a": ""}, Verdict.OK, "one offers the profile 'a'"),
        ("a", None, {}, Verdict.WARN, "one has no profiles and ignores profile = 'a'"),
        ("a", None, {"b": "", "c": ""}, Verdict.FAIL, "one does not offer the profile 'a', it offers 'b', 'c'"),
    ],
)
async def test_profile_must_be_offered(
    default: str | None, own: str | None, offered: dict[str, str], verdict: Verdict, cause: str
) -> None:
    lineage = Lineage("web", WEB.identifiers, profile=own, directory_urls=(URL,))
    seen = await look(Offer(profiles=offered), ca=UsedCa("one", URL, default), lineage=lineage)
    finding = only(seen, "ca-profile")
    assert (finding.subject, finding.verdict, finding.cause) == ("web", verdict, cause)


async def test_certificate_of_two_cas_names_the_one_that_lacks_the_profile() -> None:
    lineage = Lineage("web", WEB.identifiers, profile="a", directory_urls=(URL, "https://other.example"))
    finding = only(await look(Offer(profiles={"b": ""}), lineage=lineage), "ca-profile")
    assert (finding.subject, finding.verdict) == ("web at one", Verdict.FAIL)
