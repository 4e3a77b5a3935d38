"""run on a standby that is stopped while it looks."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import StandbyHost
from wellkeeper_client.systemd import Systemd
from wellkeeper_issuer.assembly.taking_over import Host, TakingOver, Waits
from wellkeeper_issuer.commands.run_standby import stand_by


class Stopped(TakingOver):
    """Is stopped during the first look, which then fails, or has taken over."""

    def __init__(self, failure: OSError | None) -> None:
        super().__init__(FakeClock())
        self.failure = failure

    async def look(self, host: Host) -> Waits | None:
        del host
        signal.raise_signal(signal.SIGTERM)
        for _ in range(5):  # until the loop has handled it
            await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        return None


@pytest.fixture
def host(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandbyHost:
    made = StandbyHost(program, tmp_path, monkeypatch)
    made.restore()
    return made


def test_standby_that_is_stopped_in_the_middle_of_a_takeover_does_not_begin_to_work(host: StandbyHost) -> None:
    assert not asyncio.run(stand_by(host.program.config, Systemd({}), Stopped(None)))


def test_file_that_vanishes_during_a_look_is_a_reason_to_wait(host: StandbyHost) -> None:
    failure = FileNotFoundError(2, "No such file or directory", "status.json")
    assert not asyncio.run(stand_by(host.program.config, Systemd({}), Stopped(failure)))
    assert "status.json" in (host.program.state_dir / ".watch.json").read_text()
