"""rehearse: try everything that a renewal needs, without touching what is live."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.rehearsals import rehearse_all
from wellkeeper_issuer.commands import further
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.commands.terminal.progress import LogFormat, progress
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.broadcast import replay
from wellkeeper_issuer.service.report_wire import decode_rehearsal, encode_rehearsal
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose_ordered
from wellkeeper_node.ports import Progress


@dataclass(frozen=True, slots=True)
class _Steps:
    """Implements `ports.Progress`: passes everything on, and keeps the steps for --json."""

    reporting: Progress
    ended: list[dict[str, Any]]

    def started(self, lineage: str, stage: str) -> None:
        self.reporting.started(lineage, stage)

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._keep(lineage, stage, seconds, detail, is_well=True)
        self.reporting.finished(lineage, stage, seconds, detail)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._keep(lineage, stage, seconds, detail, is_well=False)
        self.reporting.failed(lineage, stage, seconds, detail)

    def note(self, lineage: str, text: str) -> None:
        self.reporting.note(lineage, text)

    def _keep(self, lineage: str, step: str, seconds: float, detail: str, *, is_well: bool) -> None:
        one = {"of": lineage, "step": step, "is_well": is_well, "seconds": round(seconds, 3), "detail": detail}
        self.ended.append(one)


@click.command()
@options.names_argument
@options.config_option
@options.json_option
@options.log_format_option
def rehearse(names: tuple[str, ...], config: Path | None, log_format: LogFormat, *, as_json: bool) -> None:
    """Dry run: try a renewal of the certificates NAME…, or of all, without touching what is live.

    Check that responders know our account keys, that nginx passes its test, that each CA answers and knows our account,
    and that every node serves a token for every name. Run the hooks with WELLKEEPER_REHEARSAL=1. With rehearsal.ca,
    order a certificate from that test CA and throw it away. `renew --dry-run` does the same.

    At the end, list what doctor's other checks report; that does not change the exit status.

    Exit status: 0 every step succeeded, 1 a step failed, 2 usage or settings.
    """
    rehearse_certificates(config, names, log_format, as_json=as_json)


def rehearse_certificates(
    config: Path | None,
    names: Sequence[str],
    log_format: LogFormat,
    *,
    as_json: bool = False,
    has_findings: bool = True,
) -> Sequence[Rehearsal]:
    """Rehearse and print the results, at the end those of doctor. Exits with 1 if a step failed.

    Without `has_findings`, only rehearse and print, and return the results.
    """
    settings = options.read(config)
    with progress(log_format) as reporting:
        steps = _Steps(reporting, [])
        results = interrupts.run(_by_daemon_or_itself(settings, names, steps))
    is_outdated = warn_if_outdated(settings, config)
    if not as_json:
        for one in results:
            click.echo(f"{one.lineage}: {one.detail if one.is_well else f'a renewal would fail: {one.detail}'}")
    if not has_findings:
        return results
    said, has_progress = "\n".join(one.detail for one in results), not as_json and log_format == "auto"
    found = further.find(settings_path(config), names, said, further.REHEARSED, has_progress=has_progress)
    if as_json:
        rehearsals = [encode_rehearsal(one) for one in results]
        result = {"rehearsals": rehearsals, "steps": steps.ended, "is_reload_needed": is_outdated}
        print_json(result | {"findings": list(map(asdict, found))})
    else:
        further.show(found)
    if not all(one.is_well for one in results):
        click.get_current_context().exit(1)
    return results


async def _by_daemon_or_itself(settings: Settings, names: Sequence[str], steps: _Steps) -> list[Rehearsal]:
    """Let the daemon rehearse if one runs, because it owns the state that records the result."""
    lineages = choose_ordered(settings, names)
    build.check_keys(settings)
    request = {"command": "rehearse", "names": list(names)}
    answer = await remote.ask(settings, request, lambda message: replay(message, steps))
    if answer is not None:
        return [decode_rehearsal(one) for one in answer["rehearsals"]]
    results = await rehearse_all(settings, lineages, steps)
    await _record(settings, results, steps)
    return results


async def _record(settings: Settings, results: Sequence[Rehearsal], steps: _Steps) -> None:
    """Record the results. The state is owned only for a moment, so that a rehearsal never blocks a timer's renewal."""
    try:
        async with build.owned_state(settings, "rehearse") as (state, _):
            for result in results:
                await state.notes.record_rehearsal(result)
    except JournalError as error:
        steps.note("rehearse", f"cannot record the result, so 'status' will not show it: {error}")
