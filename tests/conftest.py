"""Options and test order of the whole suite: quick unit tests run first."""

import signal

import pytest


def pytest_configure() -> None:
    """Restore SIGINT's default, which a shell ignores for background jobs, so that our programs receive Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=24, help="how many random moments test_kills.py tries (%(default)s)")
    parser.addoption("--junk-seconds", type=float, default=0, help="how long test_responder_floods.py sends junk")
    parser.addoption("--attack-seconds", type=float, default=2, help="how long each of test_responder_attacks.py lasts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run unit tests before integration tests; keep the order of collection within each."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of attacks: attempts and failures."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, figures in getattr(report, "user_properties", ()):
                if name == "attack":
                    terminalreporter.write_line(f"attack: {figures}")
