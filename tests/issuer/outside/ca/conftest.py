"""The CAs of these tests are in this process."""

import pytest


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of this machine be asked for them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
