"""scripts/demo: obtain, install and verify a certificate for three names under load, and renew it; or show a fleet.

A real nginx, a real ACME server, responder and issuer run as separate processes, on free ports of the loopback
interface, in a temporary directory. Nothing is left running, not even after Ctrl-C or SIGTERM.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from stand import demo_fleet
from stand.demo_parts import Shown, Tell, address_text, served_leaf, trusting
from stand.host import Host, running_host
from stand.load import Counts, Load, Target, unverified_tls
from stand.processes import StandError, temporary_folder

LINEAGE: Final = "demo"
NAMES: Final = ("www.demo.test", "shop.demo.test", "api.demo.test")
# Long enough for the load to reach nginx before and after a reload.
_BEFORE_AND_AFTER_SECONDS: Final = 0.5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fleet", "is_fleet", is_flag=True, help="Show three nodes that join, get certificates, and catch up.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of progress and a table.")
def main(*, is_fleet: bool, as_json: bool) -> None:
    """Obtain a certificate from a real ACME server, put it under a loaded nginx, and renew it.

    Exit status: 0 all certificates verified and no request failed, 1 something failed, 130 interrupted.
    """
    tell = _silent if as_json else _to_standard_error
    try:
        shown = asyncio.run(_interruptible(demo_fleet.demonstrate(tell) if is_fleet else demonstrate(tell)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; all started processes have ended", err=True)
        sys.exit(130)
    except StandError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(shown.result, indent=2))
    else:
        _print(shown)
    for reason in shown.failures:
        click.echo(f"failed: {reason}", err=True)
    sys.exit(1 if shown.result["requests_failed"] else 0)


async def _interruptible(work: Coroutine[Any, Any, Shown]) -> Shown:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _print(shown: Shown) -> None:
    console = Console()
    for one in shown.printed:
        console.print(one, highlight=False, markup=False, soft_wrap=isinstance(one, str))


async def demonstrate(tell: Tell) -> Shown:
    """Raises StandError when a step fails."""
    tell("starting DNS, ACME server, responder, nginx (with self-signed placeholders)")
    with temporary_folder() as folder:
        async with running_host(folder, {LINEAGE: NAMES}) as host:
            addresses = f"{address_text(host.http)} and {address_text(host.https)}"
            tell(f"nginx answers on {addresses}; a load of 16 clients begins")
            async with Load(_targets(host)).running() as counts:
                first = await _obtain(host, tell, "first certificate", "renew", "--log-format", "text")
                renewed = await _obtain(host, tell, "renewal", "renew", "--force", "--log-format", "text")
    result = _result([first, renewed], counts)
    return Shown(result, _printed(result), counts.reasons)


async def _obtain(host: Host, tell: Tell, event: str, *arguments: str) -> dict[str, Any]:
    """Run the issuer once, and verify each name by a handshake."""
    await asyncio.sleep(_BEFORE_AND_AFTER_SECONDS)
    tell(f"{event}: wellkeeper {arguments[0]}")
    async with host.issuer.running(*arguments, "--json") as process:
        out = await _follow(process, tell)
    if process.returncode != 0:
        raise StandError(f"{event} failed with exit {process.returncode}: {out}")
    certificate: dict[str, Any] = json.loads(out)["certificates"][0]
    served = await _served(host)
    if served != {certificate["fingerprint_sha256"]}:
        raise StandError(f"{event}: nginx serves {served}, installed is {certificate['fingerprint_sha256']}")
    tell(f"{event}: {len(NAMES)} handshakes verified: nginx serves serial {certificate['serial']}")
    await asyncio.sleep(_BEFORE_AND_AFTER_SECONDS)
    return certificate | {"event": event, "served_fingerprint_sha256": served.pop()}


async def _follow(process: asyncio.subprocess.Process, tell: Tell) -> str:
    """Report every line of its progress, without the time; return its result."""
    if process.stdout is None or process.stderr is None:
        raise StandError("the issuer was started without pipes")
    out = asyncio.ensure_future(process.stdout.read())
    async for line in process.stderr:
        tell(f"    {line.decode().partition(' ')[2].rstrip()}")
    await process.wait()
    return (await out).decode()


async def _served(host: Host) -> set[str]:
    """Return the fingerprints of the leaves that nginx serves for the names, verified against the CA's root."""
    trusted = await trusting(host.ca)
    return {await served_leaf(host.https, name, trusted) for name in NAMES}


def _targets(host: Host) -> list[Target]:
    (http_host, http_port), (https_host, https_port) = host.http, host.https
    plain = [Target(http_host, http_port, NAMES[0])]
    return plain + [Target(https_host, https_port, name, unverified_tls()) for name in NAMES]


def _result(certificates: list[dict[str, Any]], counts: Counts) -> dict[str, Any]:
    shown = ("name", "event", "identifiers", "serial", "fingerprint_sha256", "served_fingerprint_sha256")
    more = ("issued_by", "not_after", "seconds")
    return {
        "certificates": [{key: one[key] for key in (*shown, *more)} for one in certificates],
        "requests_served": counts.served,
        "requests_retried": counts.retried,
        "requests_failed": counts.failed,
        "failures": counts.reasons,
    }


def _printed(result: dict[str, Any]) -> Sequence[Table | str]:
    table = Table(title="Served by nginx, proven by handshake", title_justify="left")
    table.add_column("")
    for one in result["certificates"]:
        table.add_column(one["event"])
    for label, key in (("serial", "serial"), ("CA", "issued_by"), ("not after", "not_after")):
        table.add_row(label, *(one[key] for one in result["certificates"]))
    table.add_row("names", *("\n".join(one["identifiers"]) for one in result["certificates"]))
    for stage in result["certificates"][0]["seconds"]:
        table.add_row(f"{stage} (s)", *(f"{one['seconds'].get(stage, 0):.2f}" for one in result["certificates"]))
    counts = (
        f"requests during both: {result['requests_served']} served, {result['requests_retried']} retried, "
        f"{result['requests_failed']} failed"
    )
    return table, counts


def _silent(_: str) -> None:
    return


def _to_standard_error(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


if __name__ == "__main__":
    main(prog_name="scripts/demo")
