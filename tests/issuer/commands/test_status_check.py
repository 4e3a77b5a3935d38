"""The heartbeat's verdict is the one of `status --check`."""

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME, NOW, install, record
from wellkeeper_issuer.commands.status_check import is_well
from wellkeeper_issuer.settings import read_settings


@pytest.mark.parametrize("is_reloaded", [True, False])
def test_heartbeat_is_called_if_status_check_ends_with_0(program: Program, *, is_reloaded: bool) -> None:
    program.configure(NAME)
    program.hide_last()
    record(program, install(program, FakeCa(NOW).pair(dns(NAME))), is_reloaded=is_reloaded, is_served=False)
    assert program.run("status", "--check").exit_code == (0 if is_reloaded else 1)
    assert is_well(read_settings(program.config)) is is_reloaded
