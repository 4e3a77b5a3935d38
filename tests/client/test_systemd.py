"""sd_notify(3), received by a test socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wellkeeper_client.systemd import Systemd


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        yield listening


def test_every_state_is_sent(listener: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": listener.getsockname()})
    systemd.ready("keeps 3 certificates")
    systemd.reloading()
    systemd.status("keeps 4 certificates")
    systemd.alive()
    systemd.stopping()
    reported = [listener.recv(200).decode() for _ in range(5)]
    assert reported[0] == "READY=1\nSTATUS=keeps 3 certificates"
    assert reported[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert reported[2:] == ["STATUS=keeps 4 certificates", "WATCHDOG=1", "STOPPING=1"]


def test_abstract_socket_address_is_supported() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0wellkeeper-{os.getpid()}")
        listening.settimeout(1)
        Systemd({"NOTIFY_SOCKET": f"@wellkeeper-{os.getpid()}"}).stopping()
        assert listening.recv(200) == b"STOPPING=1"


def test_missing_socket_is_not_an_error(tmp_path: Path) -> None:
    Systemd({}).ready("")
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=["none", "any process", "this process", "another process", "not a number"],
)
def test_watchdog_interval_is_half_the_limit(environment: dict[str, str], seconds: float | None) -> None:
    assert Systemd(environment).watchdog_seconds == seconds
