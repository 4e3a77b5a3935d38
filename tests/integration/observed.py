"""Observations of a host from outside: served certificates, requests to the CA, tokens of a responder."""

import asyncio
import hashlib
import json
import os
import re
import sqlite3
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from stand.fault_proxy import Kind
from stand.host import Host
from stand.issuer import Finished, Issuer
from stand.nginx import NginxServer, NginxSettings
from stand.pebble import Pebble
from stand.responder import ResponderProcess
from tests.responder.http import ask
from wellkeeper_client import wire
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.nginx import masters, processes
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_responder.settings import UnixAddress

_ASKED: Final = re.compile(r"(?:POST|GET|HEAD) (/\S+) -> calling handler")


async def served(host: Host, name: str) -> str:
    """Return the fingerprint of the leaf served for the name, verified against the root of the test CA."""
    context = ssl.create_default_context(cadata=(await host.ca.issuing_root()).decode())
    return await _handshake(host, name, context)


async def served_unverified(host: Host, name: str) -> str:
    """Return the fingerprint of a served leaf that may be a placeholder."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await _handshake(host, name, context)


async def _handshake(host: Host, name: str, context: ssl.SSLContext) -> str:
    _, writer = await asyncio.open_connection(*host.https, ssl=context, server_hostname=name)
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return hashlib.sha256(leaf).hexdigest()


def installed(issuer: Issuer, name: str) -> str:
    """Return the fingerprint of the live leaf."""
    pem = (issuer.live(name) / "cert.pem").read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def version(issuer: Issuer, name: str) -> str:
    return issuer.live(name).readlink().name


def fetch_counts(issuer: Issuer) -> list[tuple[int, int]]:
    """Return, for each CA on record, the fetches before a verdict, and how often in a row there were as many."""
    with closing(sqlite3.connect(issuer.state_dir / "state.db")) as connection:
        return connection.execute("SELECT fetches, repeats FROM fetch_counts").fetchall()


def asked(ca: Pebble, path: str = "/") -> int:
    """Return the number of requests to the CA whose path starts so: `/order-plz`, `/chalZ`, `/finalize-order`, …

    A request whose nonce the CA rejects is sent again, and counted again.
    """
    return sum(found.startswith(path) for found in _ASKED.findall(ca.process.log.read_text()))


def orders(ca: Pebble) -> int:
    """Return the number of orders made; there may be more requests, since the CA rejects some nonces."""
    return ca.process.log.read_text().count('Added order "')


def replaced(host: Host) -> list[str | None]:
    """Return the `replaces` of each newOrder that reached the fault proxy."""
    assert host.proxy is not None
    return [one.payload().get("replaces") for one in host.proxy.asked if one.kind is Kind.NEW_ORDER]


def issued(ca: Pebble) -> int:
    """Return the number of issued certificates."""
    return ca.process.log.read_text().count("Issued certificate serial")


def reloads(nginx: NginxServer) -> int:
    """Return the number of reloads that the master started, successful or not."""
    return nginx.errors().count(": reconfiguring\n")


def workers(nginx: NginxServer) -> frozenset[int]:
    """Return the process ids of the workers that accept connections."""
    found = processes.workers(masters.find_master(nginx.pid_path))
    return frozenset(worker.pid for worker in found.accepting)


async def reconfigure(nginx: NginxServer, settings: NginxSettings) -> None:
    """Write, test and reload a configuration as an administrator does, and wait for the new workers."""
    nginx.write(settings)
    await reload(nginx)


async def reload(nginx: NginxServer) -> None:
    """Reload a configuration that was edited in place."""
    local = LocalNginx(Control(tuple(nginx.argv()), nginx.pid_path), SystemClock())
    tested = await local.test()
    assert tested.passed, tested.words
    await local.reload(tested)


async def passes_test(nginx: NginxServer) -> bool:
    """Return whether `nginx -t` passes."""
    return (await LocalNginx(Control(tuple(nginx.argv()), nginx.pid_path), SystemClock()).test()).passed


async def assert_next_pass_only_delivers(host: Host, name: str) -> None:
    """Check that the next pass delivers `web`, installed by an earlier pass, without a request to the CA."""
    before = asked(host.ca)
    finished = await host.issuer.run("renew", "--retry", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    assert list(finished.json()["certificates"][0]["seconds"]) == ["reload", "verify"]
    assert asked(host.ca) == before
    assert await served(host, name) == installed(host.issuer, "web")


async def tokens(responder: ResponderProcess) -> int:
    """Return the number of tokens that the responder holds."""
    return int((await _read(responder, wire.STATUS_PATH))["counts"]["tokens"])


async def fetches(responder: ResponderProcess) -> list[dict[str, Any]]:
    """Return the CA's fetches, hits and misses."""
    found = (await _read(responder, f"{wire.FETCHES_PATH}?after=0&wait=0"))["fetches"]
    return [one for one in found if not one["is_read_back"]]


async def _read(responder: ResponderProcess, path: str) -> dict[str, Any]:
    reply = await ask(UnixAddress(responder.control_socket), "GET", path)
    body: dict[str, Any] = reply.json()
    return body


def journal(issuer: Issuer) -> dict[str, list[sqlite3.Row]]:
    """Return the rows of the state by table, accessible by column name; none before the tables exist."""
    connection = sqlite3.connect(issuer.state_dir / "state.db")
    connection.row_factory = sqlite3.Row
    try:
        is_made = connection.execute("PRAGMA user_version").fetchone()[0] > 0
        return {
            table: connection.execute(f"SELECT * FROM {table}").fetchall() if is_made else []  # noqa: S608 - constants
            for table in ("attempts", "deliveries")
        }
    finally:
        connection.close()


def journal_bytes(issuer: Issuer) -> bytes:
    """Return all bytes of the state on disk, deleted rows included."""
    return b"".join(path.read_bytes() for path in sorted(issuer.state_dir.glob("state.db*")))


def mode(path: Path) -> int:
    return os.lstat(path).st_mode & 0o777


def outcomes(finished: Finished) -> dict[str, str]:
    """Return the outcomes by certificate of `renew --json`."""
    return {one["name"]: one["outcome"] for one in finished.json()["certificates"]}


def error_of(finished: Finished, name: str) -> str:
    """Return the error of a failed certificate in `renew --json`."""
    (one,) = (one for one in finished.json()["certificates"] if one["name"] == name)
    return error_text(one["error"])


def error_text(error: dict[str, str]) -> str:
    """Return the three parts of an error in `renew --json` as one line."""
    failure = ": ".join(part for part in (error["what"], error["why"]) if part)
    return f"{failure.rstrip('.')}. {error['remedy']}" if error["remedy"] else failure


def one_line(text: str) -> str:
    """Join the lines of a printed failure as logs do; the last line is a remedy if it ends like a sentence."""
    what, *others = [line.strip() for line in text.splitlines()]
    if others and others[-1].endswith("."):
        *others, remedy = others
        return f"{': '.join([what, *others]).rstrip('.')}. {remedy}"
    return ": ".join([what, *others])


def events(finished: Finished) -> list[tuple[str, str, str]]:
    """Return (certificate, stage, event) of `--log-format json`, without notes and warnings."""
    lines = [json.loads(line) for line in finished.err.splitlines() if line.startswith("{")]
    return [(one["certificate"], one["stage"], one["event"]) for one in lines if "stage" in one]
