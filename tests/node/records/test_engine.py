"""Addresses of engines: what is understood, what is refused, and that no message has a password."""

import re
import subprocess
import sys

import pytest

from wellkeeper_node.records.engine import EngineAddress, parse_engine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://10.0.0.1", {"hosts": (("10.0.0.1", 6379),)}),
        ("redis://valkey.internal:6380/3", {"hosts": (("valkey.internal", 6380),), "database": 3}),
        ("redis://[fd00::1]:7", {"hosts": (("fd00::1", 7),)}),
        ("rediss://wk-issuer@8.8.8.8", {"hosts": (("8.8.8.8", 6379),), "user": "wk-issuer"}),
        ("rediss://a?ca=/etc/ca.pem&prefix=wk1", {"hosts": (("a", 6379),), "ca_file": "/etc/ca.pem", "prefix": "wk1"}),
        ("unix:/run/valkey.sock", {"socket": "/run/valkey.sock"}),
        ("unix:///run/valkey.sock?prefix=a", {"socket": "/run/valkey.sock", "prefix": "a"}),
        (
            "redis+sentinel://10.0.0.1,10.0.0.2:26380/fleet/1",
            {"hosts": (("10.0.0.1", 26379), ("10.0.0.2", 26380)), "service": "fleet", "database": 1},
        ),
        ("rediss+sentinel://a/fleet", {"hosts": (("a", 26379),), "service": "fleet"}),
        ("valkey://10.0.0.1", {"hosts": (("10.0.0.1", 6379),)}),
        ("valkeys://a:7?ca=/etc/a@b.pem", {"hosts": (("a", 7),), "ca_file": "/etc/a@b.pem"}),
        (
            "rediss://user@a:7/2?prefix=b&ca=/etc/a@b.pem",
            {"hosts": (("a", 7),), "database": 2, "user": "user", "prefix": "b", "ca_file": "/etc/a@b.pem"},
        ),
        ("rediss://[fd00::1]:7?ca=/etc/a@b.pem", {"hosts": (("fd00::1", 7),), "ca_file": "/etc/a@b.pem"}),
        ("valkeys+sentinel://a/valkey", {"hosts": (("a", 26379),), "service": "valkey"}),
        (
            "rediss+sentinel://a:7,b:8/fleet?ca=/etc/a@b.pem",
            {"hosts": (("a", 7), ("b", 8)), "service": "fleet", "ca_file": "/etc/a@b.pem"},
        ),
        ("unix:/run/a@b.sock", {"socket": "/run/a@b.sock"}),
    ],
)
def test_address_is_understood(text: str, expected: dict[str, object]) -> None:
    found = parse_engine(text)
    scheme = text.partition(":")[0].replace("valkey", "redis")
    assert found == EngineAddress(text, scheme, **expected)  # type: ignore[arg-type]
    assert found.is_encrypted is text.startswith(("rediss", "valkeys"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not the address of an engine; write redis://"),
        ("valkey.internal:6379", "is not the address of an engine"),
        ("redis:", "is not the address of an engine"),
        ("redis://", "'' is not HOST or HOST:PORT"),
        ("redis://a:99999", "'a:99999' is not HOST or HOST:PORT"),
        ("redis://a,b", r"several hosts must be Sentinels; write redis\+sentinel://HOST,HOST/SERVICE"),
        ("redis+sentinel://a", "name the service that the Sentinels monitor"),
        ("redis://a/x", "the number of the database comes last"),
        ("redis://a/1/2", "the number of the database comes last"),
        ("redis://a?db=1", "unknown option 'db'"),
        ("redis://a?ca=/etc/ca.pem", "'ca' must be the absolute path of a file, and needs rediss://"),
        ("rediss://a?ca=ca.pem", "'ca' must be the absolute path of a file"),
        ("redis://a?prefix=a*", "'prefix' must have 1 to 64 letters, digits"),
        ("unix:relative", "write the path of the socket after the colon"),
        ("unix://host/path", "write the path of the socket after the colon"),
        ("redis://8.8.8.8", "allowed only to private addresses; use rediss:// or a VPN"),
        ("redis+sentinel://[2001:4860::1]/a", "allowed only to private addresses"),
        ("redis://[::1", "is not the address of an engine"),
        ("redis://a#b", "is not the address of an engine"),
        ("redis://a\n", "is not the address of an engine"),
        ("valkey://8.8.8.8", "allowed only to private addresses"),
        ("redis://fd00::1", r"'fd00::1' is not HOST or HOST:PORT; write \[fd00::1\]"),
    ],
)
def test_other_text_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_engine(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://u:geheim@a",
        "redis://:geheim@a:1",
        "http://u:geheim@a",
        "redis://u:geheim@[",
        "u:geheim@a",
        "redis://u:ge/geheim@a",
        "redis://u:geheim#geheim@a",
        "redis://u:geheim?geheim@a",
        "redis://u:geheim@geheim@a",
        "redis://u:7,geheim@a",
        "redis://u:7/geheim@a",
        "redis://u:7?geheim@a",
        "redis://u:7#geheim@a",
        "rediss://u:7/geheim@a:7?ca=/etc/a@b.pem",
        "u:7/geheim@a",
    ],
)
def test_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="engine") as caught:
        parse_engine(text)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("redis", "why"),
    [
        ("None", "the Python package redis is missing"),
        ("types.ModuleType('redis.exceptions')", "cannot import name .* from 'redis.exceptions' .*"),
    ],
)
def test_missing_or_other_client_is_named_with_the_command_that_installs_it(redis: str, why: str) -> None:
    code = (
        f"import sys, types; sys.modules['redis.exceptions' if {redis} else 'redis'] = {redis}\n"
        "from wellkeeper_node.clock import SystemClock\n"
        "from wellkeeper_node.records.engine import open_records, parse_engine\n"
        "try: open_records(parse_engine('redis://a'), '', '', SystemClock())\n"
        "except Exception as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    remedy = "Run \"pip install 'wellkeeper\\[valkey\\]'\" where Wellkeeper is installed."
    assert re.fullmatch(f"cannot use the engine at redis://a: {why}. {remedy}\n", result.stdout)
