"""For the whole suite: what is quick and tells most runs first."""

import signal

import pytest


def pytest_configure() -> None:
    """Let our programs hear Ctrl-C, even if whoever started the tests in the background had it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=24, help="how many random moments test_kills.py tries (%(default)s)")
    parser.addoption("--junk-seconds", type=float, default=0, help="how long test_responder_floods.py sends junk")
    parser.addoption("--attack-seconds", type=float, default=2, help="how long each of test_responder_attacks.py lasts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests, then the integration tests; within each, the order of collection."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of attacks: attempts and failures."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, figures in getattr(report, "user_properties", ()):
                if name == "attack":
                    terminalreporter.write_line(f"attack: {figures}")
