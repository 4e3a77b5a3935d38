"""A local user without rights, on a host that has everything: issuer, relay, responder, and a node of the fleet."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.observed import installed
from tests.integration.whole_fleets import Fleet, running_fleet
from tests.unprivileged import as_unprivileged_user
from wellkeeper_node import history

pytestmark = [pytest.mark.integration, pytest.mark.root]

NAME = "www.example.org"


@contextmanager
def as_stranger() -> Iterator[None]:
    """Be a user who belongs to no group of the services."""
    groups = os.getgroups()
    os.setgroups([])
    try:
        with as_unprivileged_user():
            yield
    finally:
        os.setgroups(groups)


def folders(fleet: Fleet) -> list[Path]:
    """Return all directories that programs of ours write to, with those of the settings."""
    issuer, (node,) = fleet.host.issuer, fleet.nodes.values()
    own = [issuer.state_dir, issuer.certificates_dir, issuer.config_path.parent]
    sockets = [fleet.host.responder.control_socket.parent, fleet.relay.issuer_socket.parent]
    return [*own, *sockets, *(node.folder / one for one in ("state", "certificates", "trust", "responder"))]


def paths(fleet: Fleet) -> list[Path]:
    found = [path for folder in folders(fleet) for path in (folder, *folder.rglob("*"))]
    return [path for path in found if not path.is_symlink()]


def delivered(state_dir: Path) -> set[str]:
    """Return the nodes that have the certificate, according to the history, which has its order, too."""
    entries, _ = history.read(state_dir)
    assert {"certificate-requested", "certificate-issued"} <= {one.what for one in entries}
    return {one.details["node"] for one in entries if one.what == "certificate-delivered"}


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(path))
        return True
    return False


async def test_user_without_rights_reads_no_secret_writes_nothing_and_reaches_only_public_sockets(
    folder: Path,
) -> None:
    async with running_fleet(folder, {"web": [NAME]}, ["web2"]) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer, (node,) = fleet.host.issuer, fleet.nodes.values()
        await issuer.run_well("renew", "--force")
        await node.until_served(NAME, installed(issuer, "web"))
        found = paths(fleet)
        sockets = {one for one in found if one.is_socket()}
        files = {one for one in found if one.is_file()}
        secrets = {one for one in files if b"PRIVATE KEY" in one.read_bytes()}
        while "web2" not in delivered(issuer.state_dir):  # noqa: ASYNC110 - the node reports soon
            await asyncio.sleep(0.1)
        kept = {one for one in files for state in (issuer.state_dir, node.folder / "state") if state in one.parents}
        assert {"publishing_key.pem", "fleet_key.pem", "privkey.pem", "signing_key.pem"} <= {
            one.name for one in secrets
        }
        with as_stranger():
            assert [one for one in secrets | kept if os.access(one, os.R_OK)] == []
            assert [one for one in set(found) - sockets if os.access(one, os.W_OK)] == []
            reached = {one for one in sockets if accepts(one)}
        assert reached == {one for one in sockets if one.name == "public.sock"}
        assert len(reached) == 2  # of the responders; the others are two of control, the relay's, the daemon's
        assert len(sockets - reached) >= 4
