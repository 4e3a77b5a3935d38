"""Name the blocks of addresses that a public CA cannot or does not reach (the special-purpose registries of IANA)."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_PRIVATE: Final = "private"
# Blocks inside another one come first. Boulder refuses the same ones (iana/data/*.csv).
_KINDS: Final[Mapping[IPv4Network | IPv6Network, str]] = {
    ip_network(block): kind
    for kind, blocks in {
        _PRIVATE: "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
        "loopback": "127.0.0.0/8 ::1/128",
        "carrier-grade NAT": "100.64.0.0/10",
        "link-local": "169.254.0.0/16 fe80::/10",
        "documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "multicast": "224.0.0.0/4 ff00::/8",
        "unspecified": "0.0.0.0/8 ::/128",
        "benchmarking": "198.18.0.0/15 2001:2::/48",
        "6to4": "192.88.99.0/24 2002::/16",
        "IPv4-mapped": "::ffff:0.0.0.0/96",
        "reserved": "192.0.0.0/24 240.0.0.0/4 100::/64 2001::/23 5f00::/16 fec0::/10 64:ff9b:1::/48",
    }.items()
    for block in blocks.split()
}
# Resolvers of networks without IPv4 make these up (DNS64, RFC 6147); no CA gets them.
_NAT64: Final = IPv6Network("64:ff9b::/96")


def kind_of(address: str) -> str:
    """Return the kind of a reserved address, such as `loopback`; "" for one that a public CA can reach."""
    found = ip_address(address)
    return next((kind for block, kind in _KINDS.items() if found.version == block.version and found in block), "")


def is_private(address: str) -> bool:
    """Return whether the address is one for internal networks, where an internal CA can reach it."""
    return kind_of(address) == _PRIVATE


def is_made_up(address: str) -> bool:
    """Return whether a resolver made the address up from an IPv4 address."""
    found = ip_address(address)
    return isinstance(found, IPv6Address) and found in _NAT64
