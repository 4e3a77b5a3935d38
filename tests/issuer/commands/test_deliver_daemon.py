"""deliver beside a daemon: it must have read the settings, and what it did not install is not called a success."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.beside import running_beside
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import install
from tests.issuer.commands.test_deliver import deliver
from wellkeeper_issuer.outside.daemon.server import Tell, daemon_socket
from wellkeeper_issuer.outside.daemon.socket import Message, socket_path
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_issuer.service.report_wire import encode_report
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.model import KeyType

NAME = dns("a.example")


class FakeDaemon:
    """A daemon that read the settings when it started, and whose passes find nothing to do."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._digest = read_sources(program.config).digest
        self.asked: list[str] = []

    async def answer(self, request: Message, _tell: Tell) -> Message:
        self.asked.append(request["command"])
        if request["command"] == "renew":
            return {"reports": [encode_report(Report("web", Outcome.UNCHANGED, "another client renews it"))]}
        if request["command"] == "reload":
            self._digest = read_sources(self._program.config).digest
        return {"settings_digest": self._digest}

    @contextmanager
    def running(self) -> Iterator[None]:
        handlers = dict.fromkeys(("status", "reload", "deliver", "renew"), self.answer)
        with running_beside(lambda: daemon_socket(socket_path(self._program.state_dir), handlers)):
            yield


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure()
    program.make_keys()
    return program


def test_daemon_reads_settings_that_changed_by_hand_or_in_a_run_that_was_killed(ready: Program) -> None:
    daemon, pair = FakeDaemon(ready), FakeCa(datetime.now(UTC)).pair(NAME)
    table = "[[certificates]]\nname = 'web'\nsource = 'external'\nidentifiers = ['a.example']\n"
    ready.config.write_text(f"{ready.config.read_text()}\n{table}")
    with daemon.running():
        first, second = deliver(ready, pair), deliver(ready, pair)
    assert daemon.asked == ["status", "reload", "deliver", "renew", "status", "deliver", "renew"]
    for one in (first, second):
        assert one.exit_code == 1, one
        assert "web: failed (install): certificate web was not installed" in one.out


def test_rsa_and_ecdsa_certificates_need_two_names(program: Program) -> None:
    program.configure()
    program.make_keys()
    daemon, now = FakeDaemon(program), datetime.now(UTC)
    ecdsa = FakeCa(now - timedelta(minutes=1)).pair(NAME)
    install(program, ecdsa)
    newer = FakeCa(now).pair(NAME, key_type=KeyType.RSA_2048)
    older = FakeCa(now - timedelta(minutes=2)).pair(NAME, key_type=KeyType.RSA_2048)
    with daemon.running():
        replaced, refused = (deliver(program, one, name="a.example") for one in (newer, older))
        same = deliver(program, ecdsa, name="a.example")
    note = "note: a certificate with an RSA key replaces one with an ECDSA key. To have both"
    remedy = "give the RSA one its own name, such as a.example-rsa."
    assert note in replaced.err
    assert remedy in replaced.err
    assert (refused.exit_code, "the installed one (ECDSA) is newer" in refused.err) == (2, True), refused
    assert remedy in refused.err
    assert "note" not in same.err
