"""Places of nodes, their certificates, and what their processes use."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.ca import Ca, dns
from bench.fleet.idle import cpu_seconds, shared_mib
from bench.fleet.lineages import names, prepared_nginx
from bench.fleet.places import new_place, servers
from bench.fleet.playing import body
from bench.fleet.shape import Shape, connection_address
from bench.responder import resident_mib
from stand.nginx import NginxServer, NginxSettings
from wellkeeper_node import settings as node_settings
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders

_PROGRAM = "import sys; sum(range(10**6)); print(flush=True); sys.stdin.read()"


def test_settings_of_a_place_are_those_of_a_node(tmp_path: Path) -> None:
    place = new_place(tmp_path, "node1", answers=False)
    nginx = NginxServer(tmp_path / "nginx", NginxSettings(place.public_socket, (place.http,)))
    found = node_settings.parse(place.toml("127.0.0.1:8404", tmp_path / "trust.toml", nginx).encode(), place.settings)
    assert (found.name, found.relays, found.answers) == ("node1", ("127.0.0.1:8404",), False)
    assert (found.http_addresses, found.https_addresses) == ((place.http,), (place.https,))
    assert (found.nginx.command, found.nginx.pid_file) == (tuple(nginx.argv()), nginx.pid_path)
    assert found.responder == f"unix:{place.control_socket}"


def test_places_differ_in_keys_and_ports(tmp_path: Path) -> None:
    one, other = new_place(tmp_path, "node1"), new_place(tmp_path, "node2")
    assert one.body.signing_key != other.body.signing_key
    assert len({one.control, one.http, one.https, other.control, other.http, other.https}) == 6
    assert [servers([one, other]).count(f"listen {host}:{port};") for host, port in (one.http, other.http)] == [1, 1]


def test_certificate_is_for_its_names_and_its_key() -> None:
    wanted = [dns("a.example"), dns("b.example")]
    pair = Ca(datetime.now(UTC)).pair(wanted)
    assert set(reading.read_certificate(pair.chain_pem).identifiers) == set(wanted)
    assert not reading.read_certificate(pair.chain_pem).is_self_signed
    assert pair.chain_pem.count(b"BEGIN CERTIFICATE") == 2


async def test_nginx_of_a_node_has_a_live_certificate_for_each_lineage(tmp_path: Path) -> None:
    place, lineages = new_place(tmp_path, "node1"), names(3)
    nginx = await prepared_nginx(place, lineages)
    assert [site.names for site in nginx.settings.sites] == [(one,) for one in lineages]
    for lineage in lineages:
        installed = await CertificateFolders(place.certificates).installed(lineage)
        assert installed is not None
        assert installed.certificate.identifiers == frozenset({dns(lineage)})


def test_played_nodes_differ_and_share_the_certificates() -> None:
    shape = Shape(nodes=1000, lineages=30, each=10)
    assert len({connection_address(number) for number in range(shape.nodes)}) == shape.nodes
    assert [shape.lineages_of(number) == shape.lineages_of(0) for number in (1, 2, 3)] == [False, False, True]
    assert body(shape, 1).lineages == tuple(shape.lineages_of(1))
    assert body(shape, 1).signing_key != body(shape, 2).signing_key


def test_shared_memory_counts_in_part_and_cpu_time_grows() -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0 < shared_mib(process.pid) <= resident_mib(process.pid)
        assert 0 < cpu_seconds(process.pid) < 60
