"""Measurement: reloads under load, each with a new certificate; what new and kept connections see of it."""

from pathlib import Path
from typing import Any, Final

from bench.figures import Goal, Plan, Result, Series, Tell
from stand.host import Host, running_host
from stand.load import Counts, Load, Target, unverified_tls
from stand.processes import StandError

NAME: Final = "reloads"
_NAME: Final = "reloads.bench.test"
_CLIENTS: Final = 8


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """One round is one run of the issuer: obtain, install, reload, verify."""
    served: set[str] = set()
    seconds: list[float] = []
    async with running_host(folder, {_NAME: (_NAME,)}, nonces_rejected_percent=0, retry_after_seconds=0) as host:
        plain = Load([Target(*host.http, _NAME)], clients_per_target=_CLIENTS)
        tls = Load([Target(*host.https, _NAME, unverified_tls())], clients_per_target=_CLIENTS)
        async with plain.running() as plain_counts, tls.running() as tls_counts:
            for number in range(plan.reload_count):
                tell(f"reloads: {number + 1} of {plan.reload_count}")
                certificate = await _renew(host)
                served.add(certificate["served_fingerprint_sha256"])
                seconds.append(certificate["seconds"]["reload"])
    if len(served) != plan.reload_count:
        raise StandError(f"{plan.reload_count} reloads brought {len(served)} certificates")
    return _result(plan, {"plain": plain_counts, "TLS": tls_counts}, seconds)


async def _renew(host: Host) -> dict[str, Any]:
    finished = await host.issuer.run_well("renew", "--force", "--json", "--log-format", "text")
    certificate: dict[str, Any] = finished.json()["certificates"][0]
    if certificate["served_fingerprint_sha256"] != certificate["fingerprint_sha256"]:
        raise StandError(f"nginx does not serve what was installed: {certificate}")
    return certificate


def _result(plan: Plan, counts: dict[str, Counts], seconds: list[float]) -> Result:
    series = [Series("reload until the old workers accept no more", "nginx", "s", tuple(seconds))]
    for name, found in counts.items():
        series += [
            Series("requests served", name, "", (found.served,)),
            Series("requests repeated: kept connection closed by the reload", name, "", (found.retried,)),
            Series("requests failed", name, "", (found.failed,)),
        ]
    failed = sum(found.failed for found in counts.values())
    reasons = [reason for found in counts.values() for reason in found.reasons]
    goal = Goal(f"{plan.reload_count} reloads: failed on a new connection", "0", failed, failed == 0)
    note = (
        f"{plan.reload_count} reloads, each with a certificate just obtained and proven served; {_CLIENTS} clients on "
        f"plain HTTP and {_CLIENTS} on TLS, half of them with a new connection for each request. A reload closes idle "
        "kept connections: a request that met that is repeated once, as browsers do."
    )
    return Result(NAME, "Reloads under load", tuple(series), (goal,), (note, *reasons))
