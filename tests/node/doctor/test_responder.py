"""The responders of the settings, running in this process."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.nodes import RunningNode
from tests.responder.messages import KEY, THUMBPRINT
from wellkeeper_client.signing import key_id
from wellkeeper_node.doctor.responder import Asked, ask, check_responders, check_trust
from wellkeeper_node.errors import PublishError
from wellkeeper_node.findings import Verdict
from wellkeeper_node.responders.client import ResponderClient

OWN_ID = key_id(KEY.public_key())
SILENT = Asked("n1", "unix:/none/control.sock", {}, PublishError("cannot reach the responder", "gone", "Start it."))


@pytest.fixture
async def asked(folder: Path, clock: FakeClock) -> Asked:
    node = RunningNode(folder, "n1", clock)
    await node.start()
    client = ResponderClient("n1", str(node.control), KEY, clock)
    try:
        return await ask(client)
    finally:
        await client.close()
        await node.stop()


async def test_responder_of_our_version_is_ok(asked: Asked, folder: Path, clock: FakeClock) -> None:
    assert asked.error is None
    assert asked.clock == clock.timestamp()
    assert asked.public == (f"unix:{folder}/n1/public.sock",)
    (found,) = await check_responders([asked], str(asked.status["version"]))
    assert (found.verdict, found.subject) == (Verdict.OK, "n1")


async def test_responder_of_another_version_is_a_warning(asked: Asked) -> None:
    (found,) = await check_responders([asked], "99.0")
    assert (found.verdict, found.check) == (Verdict.WARN, "responder")
    assert found.cause.endswith("this program is 99.0")


async def test_responder_that_does_not_answer_is_a_failure_with_its_words(folder: Path, clock: FakeClock) -> None:
    client = ResponderClient("n1", f"unix:{folder}/none.sock", KEY, clock)
    asked = await ask(client)
    await client.close()
    (found,) = await check_responders([asked], "1")
    assert (found.verdict, found.subject) == (Verdict.FAIL, "n1")
    assert "cannot reach the responder of node 'n1'" in found.cause
    assert "wellkeeper-responder runs" in found.fix
    assert asked.clock is None


async def test_responder_that_trusts_our_keys_is_ok(asked: Asked) -> None:
    (found,) = await check_trust([asked], {"letsencrypt": THUMBPRINT}, OWN_ID)
    assert (found.verdict, found.check) == (Verdict.OK, "responder-trust")
    assert "letsencrypt" in found.cause


async def test_each_key_that_is_not_trusted_is_named(asked: Asked) -> None:
    (found,) = await check_trust([asked], {"letsencrypt": THUMBPRINT, "zerossl": "other"}, "another key")
    assert found.verdict is Verdict.FAIL
    assert found.cause == "the responder does not trust our account key at the CA zerossl, our publishing key"
    assert "wellkeeper trust --write" in found.fix


async def test_missing_account_key_is_a_failure_and_a_silent_responder_is_skipped() -> None:
    found = await check_trust([SILENT], {}, OWN_ID, ["https://ca.test/directory"])
    assert [(one.verdict, one.subject) for one in found] == [
        (Verdict.FAIL, "https://ca.test/directory"),
        (Verdict.SKIPPED, "n1"),
    ]


@pytest.mark.parametrize(
    ("address", "status", "public"),
    [
        ("unix:/run/wellkeeper/control.sock", {}, ("unix:/run/wellkeeper/public.sock",)),
        ("10.0.0.1:8403", {}, ()),
        ("10.0.0.1:8403", {"public_addresses": ["10.0.0.1:8402", 7]}, ("10.0.0.1:8402",)),
    ],
    ids=["an older one", "an older one over TCP", "strange"],
)
def test_public_addresses_are_those_that_it_reports_or_the_usual_one(
    address: str, status: dict[str, object], public: tuple[str, ...]
) -> None:
    assert Asked("n1", address, status).public == public


@pytest.mark.parametrize("clock", [None, "now", True])
def test_strange_clock_is_unknown(clock: object) -> None:
    assert Asked("n1", "unix:/c", {"clock": clock}).clock is None


async def test_keys_that_are_not_a_list_are_not_trusted() -> None:
    (found,) = await check_trust([Asked("n1", "unix:/c", {"account_thumbprints": 1})], {"ca": "x"}, OWN_ID)
    assert found.verdict is Verdict.FAIL
