"""Nodes that joined, and what they reported, recorded for the commands that show them."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from tests.fleet import entry
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import schedule
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode, NodeReport
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest

SERVED = {
    "web": CertificateReport(3, "ab" * 32, CertificateState.SERVED),
    "mail": CertificateReport(3, "ab" * 32, CertificateState.SERVED),
}
OLDER = Instead(Got.OLDER, 1_700_000_000, 2, "0a1b", 1_690_000_000, 1_700_100_000)
REFUSED = SERVED | {
    "web": CertificateReport(3, "ab" * 32, CertificateState.REFUSED, "nginx: [emerg] no", "Fix it.", OLDER)
}
VALID = timedelta(days=90)

Join = Callable[..., None]


def joining(program: Program, now: datetime) -> Join:
    """Return a function that records a node, with its report if it has one; two certificates are in the manifest."""
    program.configure(more="[fleet]\nlisten = ['10.0.0.1:8404']")
    program.make_keys()
    keys = FleetKeys(program.state_dir)
    keys.make()
    public = keys.current.public_key()
    manifest = Manifest(1, int(now.timestamp()), {"web": entry(3), "mail": entry(3)}, {}, {})
    ManifestFile(program.state_dir / "manifest.jws", {key_id(public): public}).take(
        sign_manifest(manifest, keys.current)
    )

    async def record(node: EnrolledNode, report: NodeReport | None) -> None:
        async with open_state(program.state_dir / "state.db", may_write=True) as state:
            await state.fleet.record_node(node)
            for name in ("web", "mail"):
                dated = replace(
                    schedule(entry().version.archive_name), lineage=name, not_before=now, not_after=now + VALID
                )
                await state.schedules.record_schedule(dated)
            if report is not None:
                await state.fleet.record_reports(report)

    def join(
        name: str,
        ago: timedelta = timedelta(),
        report: Report | None = None,
        *,
        answers: bool = True,
        is_ephemeral: bool = False,
    ) -> None:
        at = now - ago
        body = json.dumps(replace(report, clock=at.timestamp() + 0.1).to_json()) if report else ""
        node = EnrolledNode(name, "s", "x", ("*",), answers, at, is_ephemeral)
        asyncio.run(record(node, NodeReport(name, 1, at, body) if report else None))

    return join


def said(certificates: dict[str, CertificateReport]) -> Report:
    return Report("1.2.3", 0, 1, certificates=certificates, follows=("relay", "engine"))
