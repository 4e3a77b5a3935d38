"""The blocks of addresses that a public CA does not reach."""

import pytest

from wellkeeper_issuer.doctor.reserved import is_made_up, is_private, kind_of


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.0.0.5", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd00::1", "private"),
        ("127.0.1.1", "loopback"),
        ("::1", "loopback"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("203.0.113.7", "documentation"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.7", "unspecified"),
        ("::", "unspecified"),
        ("198.19.0.1", "benchmarking"),
        ("2002::1", "6to4"),
        ("::ffff:10.0.0.5", "IPv4-mapped"),
        ("255.255.255.255", "reserved"),
        ("2001::1", "reserved"),
    ],
)
def test_reserved_address_has_a_kind(address: str, kind: str) -> None:
    assert kind_of(address) == kind


@pytest.mark.parametrize("address", ["9.255.255.255", "172.32.0.1", "100.128.0.1", "2600::1", "64:ff9b::1"])
def test_other_addresses_have_none(address: str) -> None:
    assert kind_of(address) == ""


def test_only_addresses_of_internal_networks_are_private() -> None:
    assert [is_private(one) for one in ("10.0.0.5", "fd00::1", "127.0.0.1", "9.9.9.9")] == [True, True, False, False]


def test_address_that_a_resolver_makes_up_is_found() -> None:
    assert [is_made_up(one) for one in ("64:ff9b::901:101", "2600::1", "9.9.9.9")] == [True, False, False]
