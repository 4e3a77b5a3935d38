"""Comparison of the responders' pins with the configured CAs before any CA is asked."""

import logging
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.commands.conftest import Program
from tests.issuer.pinned import pinned_to
from tests.responder.messages import KEY
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.pins import check_pins
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.responders.client import ResponderClient

FIRST, SECOND = "https://first.example/directory", "https://second.example/directory"


@pytest.fixture
def settings(program: Program) -> Settings:
    program.configure("a.example")
    text = program.config.read_text().split("\n", 1)[1]
    program.config.write_text(f"ca = ['{FIRST}', '{SECOND}']\n{text}")
    return read_settings(program.config)


def thumbprints(settings: Settings) -> list[str]:
    build.accounts(settings).make_keys()
    return [account_thumbprint(key) for _, key in build.accounts(settings).account_keys()]


async def test_no_warning_when_every_ca_is_pinned(
    settings: Settings, folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with pinned_to(thumbprints(settings), folder, clock) as client:
        assert await check_pins(settings, build.accounts(settings), [client]) == {}
    assert caplog.messages == []


async def test_unpinned_preferred_ca_is_an_error_that_leaves_the_others_usable(
    settings: Settings, folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = thumbprints(settings)
    async with pinned_to([second], folder, clock) as client:
        found = await check_pins(settings, build.accounts(settings), [client])
    assert list(found) == [FIRST]
    assert f"does not trust our account key at the CA first.example (thumbprint {first})" in found[FIRST]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert found[FIRST] in caplog.text


async def test_unpinned_fallback_is_a_warning(
    settings: Settings, folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = thumbprints(settings)
    async with pinned_to([first], folder, clock) as client:
        found = await check_pins(settings, build.accounts(settings), [client])
    assert list(found) == [SECOND]
    (reported,) = caplog.messages
    assert caplog.records[0].levelno == logging.WARNING
    for word in ("'n1'", "second.example", second, "'wellkeeper trust --write'"):
        assert word in reported


async def test_missing_key_is_a_warning_for_a_fallback_and_an_error_for_the_preferred_ca(
    settings: Settings, folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = thumbprints(settings)
    accounts = build.accounts(settings)
    accounts.key_path(SECOND).unlink()
    async with pinned_to([first], folder, clock) as client:
        assert list(await check_pins(settings, accounts, [client])) == [SECOND]
        assert "no account key for the CA https://second.example/directory" in caplog.text
        accounts.key_path(FIRST).unlink()
        assert set(await check_pins(settings, accounts, [client])) == {FIRST, SECOND}
    reported = [record for record in caplog.records if f"no account key for the CA {FIRST}" in record.getMessage()]
    assert [record.levelno for record in reported] == [logging.ERROR]


async def test_unreachable_responder_makes_no_ca_unusable(
    settings: Settings, folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    thumbprints(settings)
    client = ResponderClient("n1", f"unix:{folder}/missing.sock", KEY, clock)
    assert await check_pins(settings, build.accounts(settings), [client]) == {}
    assert "cannot ask a responder which accounts it trusts: cannot reach the responder of node 'n1'" in caplog.text
    await client.close()
