"""status: what this node has and lacks, as it reported it last, and whether nginx is reached now."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wellkeeper_client import services
from wellkeeper_node import settings
from wellkeeper_node.agent.metrics import to_prometheus
from wellkeeper_node.agent.report import DONE, CertificateReport
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.commands.options import config_option
from wellkeeper_node.model import Certificate
from wellkeeper_node.nginx.reached import Reached, reach
from wellkeeper_node.settings import NodeSettings
from wellkeeper_node.start import SILENT_SECONDS
from wellkeeper_node.wording import format_time


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--prometheus", is_flag=True, help="Print metrics, for a textfile collector; exit with 0.")
def status(config: Path, *, as_json: bool, prometheus: bool) -> None:
    """Show the certificates, relays, responder and nginx of this node.

    Exit status: 0 without problems, 1 something is missing, failed, not reached, or the agent does not run, 2 usage.
    """
    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus cannot be combined")
    found, now = settings.read(config), datetime.now(UTC)
    shown, live = asyncio.run(_read(found))
    if prometheus:
        click.echo(to_prometheus(shown, live, now), nl=False)
        return
    age = None if shown is None else now.timestamp() - shown.report.clock
    reached = asyncio.run(reach(found.nginx, SystemClock()))
    problems = [*_problems(shown, age), *([str(reached)] if reached.problem else [])]
    if as_json:
        click.echo(json.dumps(_to_json(found, shown, age, problems) | {"nginx": reached.to_json()}, indent=2))
    else:
        click.echo(_text(shown, live, reached, problems))
    sys.exit(1 if problems else 0)


async def _read(node: NodeSettings) -> tuple[Shown | None, Mapping[str, Certificate]]:
    """Return the last report, and the live certificates."""
    folder = node.certificates_dir
    shown = await StatusFile(node.name, node.state_dir).read()
    return shown, await read_leaves(folder, await LiveFolder(folder).versions())


def _problems(shown: Shown | None, age: float | None) -> list[str]:
    if shown is None or age is None:
        return [f"wellkeeper-node has never run here. {services.sentence('enable --now', 'wellkeeper-node')}"]
    report, found = shown.report, []
    if not 0 <= age + 1 <= SILENT_SECONDS:
        found.append(f"wellkeeper-node last reported {age:.0f} s ago. Read {services.log('wellkeeper-node')}.")
    found += [f"{_kind(name)} {name}: {failure}" for name, failure in shown.relays.items() if failure]
    found += [f"responder: {report.responder.error}"] if report.responder.error else []
    found += [report.concern] if report.concern else []
    found += [_line(name, one) for name, one in report.certificates.items() if one.state not in DONE]
    return found


def _kind(name: str) -> str:
    """Return the kind of what the agent follows, by its address."""
    return "engine" if name.startswith(("redis", "valkey")) and "://" in name else "relay"


def _line(name: str, one: CertificateReport) -> str:
    cause = f": {one.cause}" if one.cause else ""
    return f"{name}: {one.state}{cause}{f' {one.remedy}' if one.remedy else ''}{_instead(one)}"


def _instead(one: CertificateReport) -> str:
    """Return what clients get if it is not the newest version."""
    if one.instead is None:
        return ""
    until = f", valid until {format_time(one.instead.not_after_at)}" if one.instead.not_after_at else ""
    return f" (since {format_time(one.instead.since_at)}, clients get {one.instead.words}{until})"


def _stale(lineage: str, leaf: Certificate) -> str:
    """Return a line about a certificate on disk that the fleet does not deliver, or no longer: nothing renews it."""
    return f"{lineage}: not delivered to this node; the one here is valid until {format_time(leaf.not_after)}"


def _text(shown: Shown | None, live: Mapping[str, Certificate], reached: Reached, problems: list[str]) -> str:
    lines = [*([] if reached.problem else [str(reached)]), *problems]
    if shown is not None:
        report = shown.report
        done = [_line(name, one) for name, one in report.certificates.items() if one.state in DONE]
        others = [_stale(name, leaf) for name, leaf in sorted(live.items()) if name not in report.certificates]
        head = f"manifest {report.manifest}, certificates: {len(done)} of {len(report.certificates)}"
        lines = [head, *done, *others, *lines]
    return "\n".join(lines)


def _to_json(node: NodeSettings, shown: Shown | None, age: float | None, problems: list[str]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "node": node.name,
        "age_seconds": None if age is None else round(age, 1),
        "relays": {} if shown is None else {name: failure or None for name, failure in shown.relays.items()},
        "report": None if shown is None else shown.report.to_json(),
        "problems": problems,
    }
