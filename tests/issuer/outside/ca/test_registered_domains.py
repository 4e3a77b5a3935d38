"""Registered domains, as CAs count them."""

import subprocess
import sys

import pytest

from wellkeeper_issuer.outside.ca.registered_domains import registered_domain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org", "example.org"),
        ("www.example.co.uk", "example.co.uk"),
        ("a.b.github.io", "b.github.io"),
        ("github.io", "github.io"),
        ("www.xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("foo.bar.xn--p1ai", "bar.xn--p1ai"),
        ("host.internal", "host.internal"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_registered_domain_of_a_name(value: str, expected: str) -> None:
    assert registered_domain(value) == expected


def test_list_is_loaded_on_first_use() -> None:
    script = (
        "from wellkeeper_issuer.outside.ca import registered_domains as one;"
        "print(one._suffixes.cache_info().currsize);"
        "one.registered_domain('example.org'); print(one._suffixes.cache_info().currsize)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "1"]
