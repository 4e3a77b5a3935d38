"""The table [web]."""

from pathlib import Path

import pytest

from tests.issuer.settings_texts import complaint, read


def test_nothing_listens_by_default(folder: Path) -> None:
    assert read(folder, "").web.listen is None


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("listen = 'unix:/run/status.sock'", set()),
        ("listen = 'localhost:9900'", set()),
        ("listen = '127.0.0.2:9900'", {"127.0.0.2"}),
        ("listen = '[::1]:9900'\nhosts = ['Status.example', 'www.example.']", {"status.example", "www.example"}),
        ("listen = '[fd00::1]:9900'\nallow_remote = true", {"[fd00::1]"}),
    ],
)
def test_requests_may_name_loopback_the_own_address_and_configured_hosts(
    folder: Path, text: str, hosts: set[str]
) -> None:
    assert read(folder, f"[web]\n{text}\n").web.accepted_hosts() == {"localhost", "127.0.0.1", "[::1]", *hosts}


@pytest.mark.parametrize("address", ["0.0.0.0:9900", "[::]:9900", "10.0.0.1:9900", "issuer.example:9900"])
def test_other_address_than_loopback_needs_a_key_of_its_own(folder: Path, address: str) -> None:
    assert "is not a loopback address; write 127.0.0.1, or set allow_remote = true" in complaint(
        folder, f"[web]\nlisten = '{address}'\n"
    )


@pytest.mark.parametrize("host", ["*", "issuer.example:9900", "https://issuer.example", "", "[x]"])
def test_host_that_no_request_names_is_refused(folder: Path, host: str) -> None:
    found = complaint(folder, f"[web]\nhosts = ['issuer.example', '[::1]', '{host}']\n")
    assert f"{host!r} is not a host name; write issuer.example.org, without a port, or [IPV6]" in found
