"""Imports of commands that timers and monitors run every minute."""

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME, NOW, install, record, schedule, write

pytestmark = pytest.mark.slow  # each starts the program

# Libraries for CAs, responders and nginx, which together take a fifth of a second to import.
HEAVY: Final = ("acme", "aiohttp", "josepy", "requests", "rich", "tomlkit")
SCRIPT: Final = f"""
import json, sys
from wellkeeper_issuer.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({set(HEAVY)!r} & set(sys.modules))), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["renew", "--log-format", "text"],
        ["renew", "--log-format", "json", "--json"],
        ["status"],
        ["status", "--json"],
        ["list"],
        ["why", NAME],
    ],
    ids=" ".join,
)
def test_commands_without_due_work_load_no_heavy_libraries(program: Program, arguments: list[str]) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, check=False, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert NAME in finished.stdout
    assert json.loads(finished.stderr.splitlines()[-1]) == []
