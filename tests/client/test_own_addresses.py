"""The addresses of this host, from the kernel's tables."""

from pathlib import Path

from wellkeeper_client.own_addresses import own_addresses

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 10.0.0.5
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000010 04 40 20 80     eth0
"""


def test_addresses_of_all_interfaces_are_found(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    assert own_addresses(tmp_path) == {"127.0.0.1", "10.0.0.5", "::1", "2001:db8::10"}


def test_tables_that_the_kernel_does_not_show_have_no_addresses(tmp_path: Path) -> None:
    assert own_addresses(tmp_path) == frozenset()


def test_this_host_has_the_loopback() -> None:
    assert "127.0.0.1" in own_addresses()
