"""Settings: addresses, options and their environment variables, and refused starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.responder.messages import KEY, THUMBPRINT
from wellkeeper_client.signing import encode_public_key
from wellkeeper_responder.__main__ import command
from wellkeeper_responder.settings import Address, TcpAddress, UnixAddress, check_addresses, parse_address, parse_mode

_KEY = encode_public_key(KEY.public_key())


def _run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/wellkeeper/public.sock", UnixAddress(Path("/run/wellkeeper/public.sock"))),
        ("127.0.0.1:8402", TcpAddress("127.0.0.1", 8402)),
        ("[::1]:8402", TcpAddress("::1", 8402)),
        ("localhost:0", TcpAddress("localhost", 0)),
    ],
)
def test_address_round_trips_through_text(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8402",
        "unix:",
        "unix:relative.sock",
        "unix:/" + "x" * 108,
        "::1:8402",
        "host:",
        ":80",
        "host:65536",
        "host:٣",
        "a..b:80",
        f"{'a' * 64}.example:80",
    ],
)
def test_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an address|absolute|at most"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "is_exposed"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("fd00::1", False),
        ("localhost", False),
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("100.64.0.1", True),
    ],
)
def test_exposed_address_is_recognised(host: str, is_exposed: bool) -> None:
    assert TcpAddress(host, 80).is_exposed(frozenset) is is_exposed


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - only looked at
@pytest.mark.parametrize(
    ("own", "is_exposed"),
    [
        ({"127.0.0.1", "::1", "172.18.0.2", "fe80::1"}, False),
        ({"127.0.0.1", "8.8.8.8"}, True),
        ({"127.0.0.1", "2606:4700::1"}, True),
        (set[str](), True),
    ],
    ids=["container", "public IPv4", "public IPv6", "unknown"],
)
def test_all_addresses_of_a_host_are_exposed_if_one_of_them_is(host: str, own: set[str], *, is_exposed: bool) -> None:
    assert TcpAddress(host, 80).is_exposed(lambda: own) is is_exposed


def test_same_address_twice_is_refused_in_any_notation(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    public = UnixAddress(tmp_path / "a.sock")
    for other in (public, UnixAddress(tmp_path / "link" / "a.sock"), UnixAddress(tmp_path / "x" / ".." / "a.sock")):
        with pytest.raises(ValueError, match="more than once"):
            check_addresses((public,), (other,))
    check_addresses((TcpAddress("127.0.0.1", 0),), (TcpAddress("127.0.0.1", 0),))


@pytest.mark.parametrize(("text", "mode"), [("0666", 0o666), ("660", 0o660), ("0000", 0)])
def test_mode_is_octal(text: str, mode: int) -> None:
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "888", "0x1ff", "7777", "-660", "rw"])
def test_invalid_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="octal"):
        parse_mode(text)


@pytest.mark.parametrize("arguments", [(), ("--publishing-key", _KEY), ("--account-thumbprint", THUMBPRINT)])
def test_start_that_could_never_answer_is_refused_with_the_remedy(arguments: tuple[str, ...]) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert "Error: Missing --trust, or --publishing-key and --account-thumbprint." in result.output
    assert "'wellkeeper trust'" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--publishing-key", "AAAA"), "is not a publishing key"),
        (("--account-thumbprint", "AAAA"), "is not an RFC 7638 thumbprint"),
        (("--public", "nonsense"), "is not an address"),
        (("--control", "unix:/run/wellkeeper/public.sock"), "more than once"),
        (("--public", "127.0.0.1:80", "--control", "127.0.0.1:80"), "more than once"),
        (("--control-mode", "999"), "is not a mode"),
        (("--max-tokens", "0"), "--max-tokens"),
        (("--hold-unknown-seconds", "1.5"), "--hold-unknown-seconds"),
        (("--max-lifetime-seconds", "3601"), "--max-lifetime-seconds"),
        (("--log-format", "xml"), "--log-format"),
    ],
)
def test_bad_value_is_named(arguments: tuple[str, ...], words: str) -> None:
    result = _run("--publishing-key", _KEY, "--account-thumbprint", THUMBPRINT, *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_every_option_has_an_environment_variable(tmp_path: Path) -> None:
    environment = {
        "WELLKEEPER_RESPONDER_PUBLIC": f"unix:{tmp_path}/missing/a.sock unix:{tmp_path}/b.sock",
        "WELLKEEPER_RESPONDER_CONTROL": f"unix:{tmp_path}/b.sock",
        "WELLKEEPER_RESPONDER_TRUST": f"{tmp_path}/trust.toml",
        "WELLKEEPER_RESPONDER_TRUST_OWNER": "101",
        "WELLKEEPER_RESPONDER_PUBLISHING_KEY": f"{_KEY} {_KEY}",
        "WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT": THUMBPRINT,
        "WELLKEEPER_RESPONDER_PUBLIC_MODE": "0600",
        "WELLKEEPER_RESPONDER_CONTROL_MODE": "0600",
        "WELLKEEPER_RESPONDER_MAX_TOKENS": "5",
        "WELLKEEPER_RESPONDER_MAX_LIFETIME_SECONDS": "60",
        "WELLKEEPER_RESPONDER_LOG_FORMAT": "json",
    }
    result = _run(environment=environment)
    assert result.exit_code == 2
    assert f"unix:{tmp_path}/b.sock is given more than once" in result.output
    for name in environment.keys() - {"WELLKEEPER_RESPONDER_TRUST"}:
        assert _run(environment=environment | {name: "%"}).exit_code == 2, name


def test_health_check_fails_without_a_responder(tmp_path: Path) -> None:
    result = _run("--check-health", "--control", f"unix:{tmp_path}/missing.sock")
    assert result.exit_code == 1
    assert "no healthy responder at" in result.output


def test_version_and_help_are_printed() -> None:
    assert _run("--version").output.startswith("wellkeeper-responder, version ")
    assert "ACME http-01" in _run("--help").output
