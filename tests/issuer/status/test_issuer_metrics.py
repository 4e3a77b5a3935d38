"""The problems of an issuer that `status --check` reports, and the readiness of a standby, as metrics."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, StandbyHost
from tests.issuer.commands.statuses import NAME, NOW, install, schedule, write
from tests.issuer.commands.test_run_standby import ENGINE
from tests.metrics_page import documented, exported
from tests.promtool import complaints
from wellkeeper_issuer.outside.state.standby import Watch, write_watch

ALWAYS: Final = ["build_info", "status_at_seconds"]


def problems(program: Program) -> list[str]:
    """Return the lines about problems."""
    begin = 'wellkeeper_issuer_problem{problem="'
    lines = program.run("status", "--prometheus").out.splitlines()
    return [line.removeprefix(begin).replace('"}', "") for line in lines if line.startswith(begin)]


def test_issuer_without_certificates_has_a_problem(program: Program) -> None:
    program.configure()
    assert problems(program) == ["no_certificates 1.0"]
    program.configure(NAME)
    assert problems(program) == ["no_certificates 0.0"]


def test_issuer_of_a_fleet_may_have_more_problems(program: Program) -> None:
    program.configure(NAME, more="[fleet]\nlisten = ['10.0.0.1:8404']")
    program.make_keys()
    others = ["other_issuer 0.0", "waits_for_nodes 0.0", "manifest_full 0.0"]
    assert problems(program) == ["no_certificates 0.0", *others]


def test_certificate_that_was_renewed_without_a_name_lacks_it(program: Program) -> None:
    names = f"identifiers = ['{NAME}', 'dead.example']"
    program.configure("b.example", more=f"[[certificates]]\n{names}\ndrop_failing_names = true")
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    lines = program.run("status", "--prometheus").out.splitlines()
    assert [line for line in lines if line.startswith("wellkeeper_certificate_lacks_names{")] == [
        f'wellkeeper_certificate_lacks_names{{certificate="{NAME}"}} 1.0'
    ]


@pytest.fixture
def standby(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandbyHost:
    host = StandbyHost(program, tmp_path, monkeypatch)
    host.restore()
    return host


@pytest.mark.usefixtures("standby")
def test_standby_exports_nothing_of_the_records_in_its_backup(program: Program) -> None:
    text = program.run("status", "--prometheus").out
    assert exported(text) == sorted([*ALWAYS, *documented("Metrics of a standby")])
    assert "\nwellkeeper_standby_ready" not in text
    assert complaints(text) == ""


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        pytest.param(None, 0, id="nothing watches"),
        pytest.param(("the agent does not run", False), 0, id="prevented"),
        pytest.param(("the issuer has the lease", True), 1, id="waits"),
    ],
)
def test_standby_with_an_engine_is_ready_if_nothing_prevents_it_from_taking_over(
    program: Program, standby: StandbyHost, reason: tuple[str, bool] | None, value: int
) -> None:
    (program.state_dir / "standby.json").unlink()
    standby.back_up(f"{FLEET}\n{ENGINE}")
    standby.restore()
    if reason:
        why, is_expected = reason
        write_watch(program.state_dir, Watch(datetime.now(UTC), why, is_expected=is_expected))
    assert f"wellkeeper_standby_ready {value}.0" in program.run("status", "--prometheus").out.splitlines()
