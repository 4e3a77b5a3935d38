"""The checks of each certificate: what is installed, and what clients get."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.keys import certificate_key
from wellkeeper_issuer.doctor.served import check_served
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_node.certificates.reading import read_certificate
from wellkeeper_node.deliver.addresses import Question
from wellkeeper_node.errors import InstallError, ReloadError, VerifyError, WellkeeperError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Installed, KeyType, Served

T = TypeVar("T")
A = dns("a.example")
WEB = Lineage("web", (A,))
ASKED = Question(("127.0.0.1", 443), A)
ALSO_ASKED = Question(("::1", 443), A)
LEAF = read_certificate(FakeCa().leaf(certificate_key(KeyType.ECDSA_P256), A))
INSTALLED = Installed("web", "v1", LEAF)
SERVED = Served(True, LEAF.fingerprint_sha256, "2 handshakes")


@dataclass
class Looks:
    """`doctor.served.Looks` with these answers or errors; `words` are those of clients that refuse, by host.

    With `has_root`, the installed intermediates are enough for them.
    """

    live: Installed | WellkeeperError | None = INSTALLED
    result: Served | WellkeeperError = SERVED
    asked: Sequence[Question] | WellkeeperError = (ASKED, ALSO_ASKED)
    words: dict[str, str | WellkeeperError] = field(default_factory=dict)
    has_root: bool = True
    expects_root: bool = True

    async def installed(self, _: Lineage) -> Installed | None:
        return _answer(self.live)

    async def served(self, _: Lineage) -> Served:
        return _answer(self.result)

    def live_path(self, lineage: Lineage) -> str:
        return f"/live/{lineage.name}"

    async def questions(self, _: Lineage, __: Installed) -> Sequence[Question]:
        return _answer(self.asked)

    async def distrust(self, question: Question, _: Lineage, *, has_intermediates: bool = False) -> str:
        words = _answer(self.words.get(question.address[0], ""))
        return "" if has_intermediates and self.has_root else words

    def is_root_expected(self, _: Lineage) -> bool:
        return self.expects_root


def _answer(value: T | WellkeeperError) -> T:
    if isinstance(value, WellkeeperError):
        raise value
    return value


async def look(looks: Looks, lineage: Lineage = WEB) -> dict[str, Finding]:
    found = await check_served([lineage], looks, NOW)
    assert {one.subject for one in found} == {"web"}
    assert [one.check for one in found] == ["certificate", "served", "served-chain"]
    assert all(bool(one.fix) is (one.verdict in {Verdict.WARN, Verdict.FAIL}) for one in found)
    return {one.check: one for one in found}


async def test_certificate_that_clients_get_and_trust_is_fine() -> None:
    found = await look(Looks())
    assert [(one.verdict, one.cause) for one in found.values()] == [
        (Verdict.OK, "it covers 1 name, matches its key, expires at 2026-05-30 11:00 UTC"),
        (Verdict.OK, "nginx serves it: 2 handshakes"),
        (Verdict.OK, "clients trust what is served at 2 addresses"),
    ]


@pytest.mark.parametrize("live", [None, replace(INSTALLED, certificate=replace(LEAF, is_self_signed=True))])
async def test_first_certificate_is_still_to_come(live: Installed | None) -> None:
    found = await look(Looks(live))
    assert {(one.verdict, one.cause) for one in found.values()} == {
        (Verdict.SKIPPED, "no certificate of a CA is installed yet")
    }


async def test_files_that_cannot_be_used_fail_and_skip_the_rest() -> None:
    found = await look(Looks(InstallError("/live/web is damaged", "its key is empty", "Run it.")))
    assert (found["certificate"].cause, found["certificate"].fix) == (
        "/live/web is damaged: its key is empty",
        "Run it.",
    )
    assert {found[one].verdict for one in ("served", "served-chain")} == {Verdict.SKIPPED}


@pytest.mark.parametrize(
    ("left", "verdict", "words"),
    [
        (timedelta(0), Verdict.FAIL, "it expired at 2026-03-01 12:00 UTC"),
        (timedelta(days=8), Verdict.FAIL, "it expires at 2026-03-09 12:00 UTC and was not renewed"),
        (timedelta(days=10), Verdict.OK, "expires at 2026-03-11 12:00 UTC"),
    ],
    ids=["expired", "nearly", "in time"],
)
async def test_certificate_must_be_renewed_in_time(left: timedelta, verdict: Verdict, words: str) -> None:
    end = NOW + left
    certificate = replace(LEAF, not_before=end - timedelta(days=90), not_after=end)
    found = (await look(Looks(replace(INSTALLED, certificate=certificate))))["certificate"]
    assert found.verdict is verdict
    assert words in found.cause


@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        (("a.example", "b.example"), "it lacks b.example"),
        (("b.example",), "it lacks b.example and has a.example, which the settings do not name"),
    ],
)
async def test_names_are_compared_with_the_settings(wanted: tuple[str, ...], cause: str) -> None:
    found = (await look(Looks(), replace(WEB, identifiers=tuple(map(dns, wanted)))))["certificate"]
    assert (found.verdict, found.cause, found.fix) == (Verdict.WARN, cause, "Run 'wellkeeper renew web'.")


async def test_other_certificate_on_the_wire_fails_in_the_words_of_the_handshake() -> None:
    found = await look(Looks(result=VerifyError("nginx does not serve it", "it serves another one", "Reload nginx.")))
    assert (found["served"].verdict, found["served"].cause) == (
        Verdict.FAIL,
        "nginx does not serve it: it serves another one",
    )
    assert (found["served-chain"].verdict, found["served-chain"].cause) == (Verdict.SKIPPED, "nginx does not serve it")


async def test_certificate_that_no_server_block_uses_fails_with_the_line_to_add() -> None:
    found = await look(Looks(result=replace(SERVED, is_served=False)))
    assert (found["served"].verdict, found["served"].cause) == (
        Verdict.FAIL,
        "no server block of nginx uses it for a.example",
    )
    assert "Add 'ssl_certificate /live/web/fullchain.pem;'" in found["served"].fix


async def test_certificate_that_no_handshake_can_show_is_skipped() -> None:
    hidden = Served(False, None, "nothing on this host serves it", is_hidden=True)
    found = await look(Looks(result=hidden))
    assert [(found[one].verdict, found[one].cause) for one in ("served", "served-chain")] == [
        (Verdict.SKIPPED, "nothing on this host serves it")
    ] * 2


async def test_incomplete_chain_fails_with_the_file_to_name() -> None:
    found = (await look(Looks(words={"::1": "unable to get local issuer certificate"})))["served-chain"]
    assert (found.verdict, found.cause) == (
        Verdict.FAIL,
        "the chain that is served at [::1]:443 for a.example is incomplete: unable to get local issuer certificate",
    )
    assert "Set 'ssl_certificate /live/web/fullchain.pem;'" in found.fix


async def test_chain_that_clients_do_not_get_is_skipped() -> None:
    assert (await look(Looks(asked=())))["served-chain"].verdict is Verdict.SKIPPED


async def test_unknown_root_of_a_public_ca_is_a_warning() -> None:
    looks = Looks(words={"127.0.0.1": "self-signed certificate in certificate chain"}, has_root=False)
    found = (await look(looks))["served-chain"]
    assert (found.verdict, found.cause) == (
        Verdict.WARN,
        "clients refuse what is served at 127.0.0.1:443 for a.example: self-signed certificate in certificate chain",
    )


async def test_unknown_root_of_an_internal_ca_is_expected() -> None:
    looks = Looks(words={"127.0.0.1": "unable to get local issuer certificate"}, has_root=False, expects_root=False)
    found = (await look(looks))["served-chain"]
    assert (found.verdict, found.cause) == (Verdict.SKIPPED, "this host does not have the root of its CA")


@pytest.mark.parametrize(
    "looks",
    [
        Looks(asked=ReloadError("cannot read nginx's configuration")),
        Looks(words={"127.0.0.1": VerifyError("no TLS handshake at 127.0.0.1:443")}),
    ],
)
async def test_handshakes_that_cannot_be_made_fail(looks: Looks) -> None:
    assert (await look(looks))["served-chain"].verdict is Verdict.FAIL


async def test_chain_is_skipped_when_a_bundle_of_the_settings_cannot_be_used() -> None:
    error = SettingsError("cannot use the CA certificates in /ca.pem", "No such file or directory")
    found = (await look(Looks(words={"127.0.0.1": error})))["served-chain"]
    assert (found.verdict, found.cause) == (Verdict.SKIPPED, f"{error.what}: {error.why}")
