"""Options and test order of the whole suite: unit tests run first.

A test that cannot run here is left out and counted in the summary. In CI, a test that needs root or private networks is
an error instead.
"""

import os
import signal
from collections import Counter
from typing import Final

import pytest

from stand.namespaces import can_make_networks
from stand.nginx import nginx_version

_REMEDIES: Final = {"root": "run it as root", "private networks": "run it as root, in a container with --privileged"}
_LEFT_OUT: Final = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Restore what a shell ignores for background jobs and nohup(1), and the usual umask: programs would inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.umask(0o022)
    config.pluginmanager.register(_Workers())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=24, help="how many random moments test_kills.py tries (%(default)s)")
    parser.addoption("--renewals", type=int, default=20, help="how many test_fleet_kills.py makes (%(default)s)")
    parser.addoption("--seed", default="fleet kills", help="what the kills of test_fleet_kills.py depend on")
    parser.addoption("--hostile-seconds", type=float, default=0, help="how long hostile peers reply")
    parser.addoption("--junk-seconds", type=float, default=0, help="how long test_responder_floods.py sends junk")
    parser.addoption("--attack-seconds", type=float, default=2, help="how long each of test_responder_attacks.py lasts")


@pytest.hookimpl(trylast=True)  # after `-m` and `-k`
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run unit tests before integration tests, and the longest of each first; leave out what cannot run.

    Thus no process works on a long test at the end while others have nothing left to do.
    """
    needs = {item: need for item in items if (need := _missing(item)) is not None}
    for need, remedy in _REMEDIES.items():
        if need in needs.values() and os.environ.get("CI"):
            raise pytest.UsageError(f"some tests need {need}, and CI must run all of them: {remedy}")
    config.hook.pytest_deselected(items=list(needs))
    config.stash[_LEFT_OUT] = dict(Counter(needs.values()))
    if hasattr(config, "workeroutput"):  # of pytest-xdist
        config.workeroutput["left_out"] = config.stash[_LEFT_OUT]
    items[:] = [item for item in items if item not in needs]
    items.sort(key=lambda item: (item.get_closest_marker("integration") is not None, not _is_long(item)))


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None or item.get_closest_marker("timeout") is not None


def _missing(item: pytest.Item) -> str | None:
    """Return what the test needs and does not have."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        return "root"
    if item.get_closest_marker("network") and not can_make_networks():
        return "private networks"
    versions = item.get_closest_marker("nginx_versions")
    if versions is None or versions.args[0] <= nginx_version() < versions.args[1]:
        return None
    return "another version of nginx"


class _Workers:
    """The processes of pytest-xdist collect the same tests each, and report them here."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        config, output = getattr(node, "config", None), getattr(node, "workeroutput", {})
        if isinstance(config, pytest.Config):
            config.stash[_LEFT_OUT] = output.get("left_out", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was left out, and the figures of attacks: attempts and failures."""
    for need, count in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: {count} that need {need}")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, figures in getattr(report, "user_properties", ()):
                if name in {"attack", "measured"}:
                    terminalreporter.write_line(f"{name}: {figures}")
