"""The relay behind nginx with TLS, with the server block of docs/design/0023-records-and-relay.md."""

import asyncio
import json
import re
import sys
import textwrap
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from stand.nginx import NginxServer, NginxSettings
from stand.ports import free_port
from stand.processes import PROJECT
from tests.fakes_deliver import dns
from tests.integration.test_relay_process import now, relay
from tests.relay.messages import WEB1_KEY, enrolment, signed
from wellkeeper_client.records import Kind
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.process import run
from wellkeeper_node.records.relay import RelayRecords

pytestmark = pytest.mark.integration

PAGE: Final = PROJECT / "docs/design/0023-records-and-relay.md"

# Follows until a bundle comes, and prints the snapshot and the bundle. A new process trusts what SSL_CERT_FILE says.
FOLLOWER: Final = """
import asyncio, json, sys
from contextlib import aclosing
from tests.relay.messages import WEB1_KEY
from wellkeeper_client.records import Kind
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import Reader, RelayRecords
async def follow():
    records = RelayRecords(sys.argv[1], SystemClock(), Reader("web1", WEB1_KEY), call_seconds=20)
    found = []
    async with aclosing(records.follow(Kind.BUNDLE)) as updates:
        async for update in updates:
            found.append([one.value.decode() for one in update.records])
            if found[-1]:
                break
            await records.put("report/web1", sys.argv[2].encode())
    await records.close()
    print(json.dumps(found))
asyncio.run(follow())
"""


def server_block(folder: Path, port: int) -> str:
    """Return the block of the page, with this port, a certificate, and the socket in the directory."""
    found = re.search(r"(?ms)^    server \{.*?^    \}$", PAGE.read_text())
    assert found is not None
    files = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"
    block = textwrap.dedent(found[0])
    for old, new in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl; {files}",
        "relay.example.org": "localhost",
        "/run/wellkeeper-relay/": f"{folder}/",
    }.items():
        assert old in block
        block = block.replace(old, new)
    return block


async def test_node_follows_through_nginx_with_tls(folder: Path) -> None:
    pair, port, http = make_self_signed([dns("localhost")], 7, datetime.now(UTC)), free_port(), free_port()
    (folder / "cert.pem").write_bytes(pair.chain_pem)
    (folder / "key.pem").write_bytes(pair.certificate_key_pem)
    nginx = NginxSettings(folder / "public.sock", (("127.0.0.1", http),), in_http=server_block(folder, port))
    report = signed("report/web1", by=WEB1_KEY, issued_at=now())
    argv = [sys.executable, "-c", FOLLOWER, f"https://localhost:{port}", report.decode()]
    environment = {"SSL_CERT_FILE": str(folder / "cert.pem"), "PYTHONPATH": str(PROJECT)}
    issuer = RelayRecords(f"unix:{folder}/issuer.sock", SystemClock())
    async with relay(folder, more=[f"--nodes=unix:{folder}/nodes.sock"]), NginxServer(folder / "nginx", nginx):
        await issuer.put("node/web1", enrolment("web1", WEB1_KEY, issued_at=now()))
        follower = asyncio.ensure_future(run(argv, 60, environment=environment))
        async with aclosing(issuer.follow(Kind.REPORT)) as updates:
            while [one.value for one in (await anext(updates)).records] != [report]:
                assert not follower.done(), follower
        bundle = signed(issued_at=now())
        await issuer.put("bundle/www", bundle)
        finished = await follower
        assert (finished.exit_code, json.loads(finished.output)) == (0, [[], [bundle.decode()]])
    await issuer.close()
