"""Tests of health checks: what they ask, and how little they load."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wellkeeper_client import health

_DEFAULT = "unix:/run/default.sock"


@contextmanager
def _answering(address: str, reply: bytes) -> Iterator[str]:
    """Yield the address of a server that answers one connection with this reply, at a free port for one without."""
    is_unix = address.startswith("unix:")
    listening = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
    listening.bind(address.removeprefix("unix:") if is_unix else (address, 0))
    listening.listen()

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    with listening:
        yield address if is_unix else f"{address}:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("reply", "is_healthy"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"HTTP/1.1 20", False),
        (b"", False),
    ],
    ids=["200", "503", "cut short", "nothing"],
)
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_only_http_200_is_healthy(tmp_path: Path, kind: str, reply: bytes, is_healthy: bool) -> None:
    with _answering(f"unix:{tmp_path}/s" if kind == "unix" else "127.0.0.1", reply) as address:
        assert health.is_healthy(address) is is_healthy


@pytest.mark.parametrize("address", ["unix:/nowhere/s", "127.0.0.1:x", "127.0.0.1", "[::1:"])
def test_nothing_is_healthy_where_nothing_answers(address: str) -> None:
    assert not health.is_healthy(address)


@pytest.mark.parametrize(
    ("arguments", "environment", "address"),
    [
        (["--check-health"], "", _DEFAULT),
        (["--check-health"], "unix:/run/1.sock unix:/run/2.sock", "unix:/run/1.sock"),
        (["--check-health", "--control=unix:/run/3.sock"], "unix:/run/1.sock", "unix:/run/3.sock"),
        (["--control=unix:/run/3.sock", "--check-health"], "", "unix:/run/3.sock"),
        (["--check-health", "--help"], "", None),
        (["--control=unix:/run/3.sock", "--verbose"], "", None),
        (["--check-health", "--control", "unix:/run/3.sock"], "", None),
        ([], "", None),
    ],
)
def test_address_comes_from_option_environment_or_default(
    arguments: list[str], environment: str, address: str | None
) -> None:
    assert health.asked_address(arguments, "--control", environment, _DEFAULT) == address


@pytest.mark.parametrize("program", ["responder", "relay"])
def test_health_check_of_a_server_loads_little_beside_sockets(tmp_path: Path, program: str) -> None:
    option = {"responder": "control", "relay": "issuer"}[program]
    loaded = _loaded_by(program, f"--{option}=unix:{tmp_path}/none.sock")
    own = {name for name in loaded if name.startswith("wellkeeper_")}
    assert own == {
        "wellkeeper_client",
        "wellkeeper_client.health",
        f"wellkeeper_{program}",
        f"wellkeeper_{program}.start",
    }
    # Each of these would take longer than the check.
    assert loaded & {"asyncio", "aiohttp", "click", "http.client", "re", "typing", "pathlib", "ssl"} == set()


@pytest.mark.parametrize("program", ["issuer", "node"])
def test_health_check_beside_nginx_loads_only_the_standard_library(program: str) -> None:
    loaded = _loaded_by(program)
    own = {name.partition(".")[0] for name in loaded} & {"wellkeeper_issuer", "wellkeeper_node", "wellkeeper_client"}
    assert own == {f"wellkeeper_{program}", "wellkeeper_client"}
    assert {name.partition(".")[0] for name in loaded} - own - sys.stdlib_module_names == set()
    assert loaded & {"asyncio", "http.client", "ssl"} == set()


@pytest.mark.parametrize("program", ["responder", "relay", "issuer", "node"])
def test_start_without_a_health_check_runs_the_program(program: str) -> None:
    code = f"import sys; sys.argv = ['x', '--version']; from wellkeeper_{program}.start import main; main()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ", version " in found.stdout


def _loaded_by(program: str, *arguments: str) -> set[str]:
    """Return the modules that a health check imported, without those that each start of Python here loads."""
    code = (
        "import sys; known = set(sys.modules)\n"
        f"sys.argv = ['program', '--check-health', *{arguments}]\n"
        f"from wellkeeper_{program}.start import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 1, end\n"
        "print(*(set(sys.modules) - known))"
    )
    # Isolated, without `site`: an editable installation and the measuring of coverage load many modules.
    paths = f"import sys; sys.path[:0] = {[one for one in sys.path if one]}\n"
    found = subprocess.run([sys.executable, "-ISc", paths + code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())
