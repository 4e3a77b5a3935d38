"""The upstream of the responder in nginx's configuration."""

from pathlib import Path

import pytest

from tests.node.doctor.dumps import FILE, UPSTREAM, configured
from wellkeeper_node.doctor.upstream import check_upstream, server_addresses
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import parse

PUBLIC = ["unix:/run/wellkeeper/public.sock"]
OWN = ["10.0.0.1", "2001:db8::1"]


async def only(*lines: str, public: list[str] = PUBLIC) -> Finding:
    (found,) = await check_upstream(configured(*lines), public, OWN)
    assert found.check == "upstream"
    return found


async def test_upstream_that_names_the_responder_is_ok() -> None:
    found = await only(UPSTREAM)
    assert (found.verdict, found.cause) == (Verdict.OK, f"{FILE}:2 names the responder ({PUBLIC[0]})")


async def test_missing_upstream_is_a_failure_at_the_http_block() -> None:
    found = await only("server { listen 80; }")
    assert (found.verdict, found.place) == (Verdict.FAIL, f"{FILE}:1")
    assert found.cause == "no upstream wellkeeper_responder is defined"
    assert "include snippets/wellkeeper/upstream.conf;" in found.fix


async def test_second_server_is_a_failure_at_its_line() -> None:
    found = await only("upstream wellkeeper_responder {", "server unix:/a;", "server 192.0.2.7:80 backup;", "}")
    assert (found.verdict, found.place) == (Verdict.FAIL, f"{FILE}:4")
    assert "has 2 servers: another machine" in found.cause


async def test_upstream_without_a_server_is_a_failure_at_its_line() -> None:
    found = await only("upstream wellkeeper_responder {", "keepalive 4;", "}")
    assert (found.verdict, found.place) == (Verdict.FAIL, f"{FILE}:2")
    assert "has 0 servers" in found.cause


async def test_upstream_elsewhere_is_a_failure_with_the_line_to_write() -> None:
    found = await only("upstream wellkeeper_responder {", "server unix:/run/other.sock;", "}")
    assert (found.verdict, found.place) == (Verdict.FAIL, f"{FILE}:3")
    assert found.cause == f"nginx asks unix:/run/other.sock, but the responder of this node listens at {PUBLIC[0]}"
    assert f"Write 'server {PUBLIC[0]} max_fails=0;' there" in found.fix


async def test_other_path_to_the_same_socket_is_ok(tmp_path: Path) -> None:
    (tmp_path / "public.sock").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    line = f"upstream wellkeeper_responder {{ server unix:{tmp_path}/link/public.sock; }}"
    assert (await only(line, public=[f"unix:{tmp_path}/public.sock"])).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("server", "public", "verdict"),
    [
        ("127.0.0.1:8402", ["127.0.0.1:8402"], Verdict.OK),
        ("10.0.0.1:8402", ["0.0.0.0:8402"], Verdict.OK),
        ("[::1]:8402", ["[::]:8402"], Verdict.OK),
        ("responder", ["responder:80"], Verdict.OK),
        ("[::1]", ["[::1]:80"], Verdict.OK),
        ("10.0.0.1:8403", ["0.0.0.0:8402"], Verdict.FAIL),
        ("10.0.0.1:8402", ["10.0.0.2:8402"], Verdict.FAIL),
        ("unix:/none.sock", ["unix:/other.sock"], Verdict.FAIL),
        ("203.0.113.9:8402", ["0.0.0.0:8402"], Verdict.FAIL),
        ("[2001:db8::9]:8402", ["[::]:8402"], Verdict.FAIL),
        ("[2001:db8:0::1]:8402", ["[::]:8402"], Verdict.OK),
        ("127.0.0.2:8402", ["0.0.0.0:8402"], Verdict.OK),
        ("0.0.0.0:8402", ["[::]:8402"], Verdict.OK),
        ("localhost:8402", ["0.0.0.0:8402"], Verdict.OK),
        ("other.example:8402", ["0.0.0.0:8402"], Verdict.FAIL),
        ("10.0.0.1:8402", [], Verdict.OK),
        ("unix:/none.sock", [], Verdict.OK),
        ("203.0.113.9:8402", [], Verdict.SKIPPED),
        ("other.example", [], Verdict.SKIPPED),
    ],
)
async def test_addresses_are_compared_as_nginx_reads_them(server: str, public: list[str], verdict: Verdict) -> None:
    assert (await only(f"upstream wellkeeper_responder {{ server {server}; }}", public=public)).verdict is verdict


async def test_line_to_write_leads_to_a_responder_that_listens_everywhere() -> None:
    line = "upstream wellkeeper_responder { server 203.0.113.9:8402; }"
    found = [await only(line, public=[one]) for one in ("0.0.0.0:8402", "[::]:8402")]
    assert [one.fix.split("'")[1] for one in found] == [
        "server 127.0.0.1:8402 max_fails=0;",
        "server [::1]:8402 max_fails=0;",
    ]


async def test_configuration_without_http_is_skipped() -> None:
    (found,) = await check_upstream(parse(f"# configuration file {FILE}:\nevents {{ }}\n"), PUBLIC, OWN)
    assert found.verdict is Verdict.SKIPPED


def test_addresses_have_the_places_of_their_servers() -> None:
    assert server_addresses(configured(UPSTREAM)) == {"unix:/run/wellkeeper/public.sock": f"{FILE}:2"}
