"""Find other ACME clients that renew certificates for the same names on this host."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from wellkeeper_issuer.doctor.cron_jobs import jobs_of, scripts_of
from wellkeeper_issuer.outside.host.cron import CronLine
from wellkeeper_issuer.outside.host.other_clients import OtherLineage
from wellkeeper_issuer.outside.host.unit_states import Properties
from wellkeeper_node.findings import Finding, Verdict

ID: Final = "other-managers"
TIMERS: Final = {
    "certbot.timer": "certbot",
    "snap.certbot.renew.timer": "certbot",
    "certbot-renew.timer": "certbot",
    "acme.sh.timer": "acme.sh",
}
_FIXES: Final = {
    "certbot": "Run 'certbot delete --cert-name {}', once nginx no longer names its files.",
    "acme.sh": "Run 'acme.sh --remove -d {}', once nginx no longer names its files.",
}
# What makes them renew; with other arguments, they only report or upgrade themselves.
_RENEWING: Final = {
    "certbot": frozenset({"renew", "certonly", "run"}),
    "acme.sh": frozenset({"--cron", "--renew", "--renew-all", "--renewAll", "--issue", "-r"}),
}
# Debian's job of certbot does nothing where systemd runs, and says so in its line.
_ONLY_WITHOUT_SYSTEMD: Final = "-d /run/systemd/system"


async def check_managers(
    identifiers: Iterable[str],
    others: Iterable[OtherLineage],
    units: Mapping[str, Properties],
    cron: Iterable[CronLine],
    *,
    is_systemd: bool,
) -> list[Finding]:
    """Return `other-managers`: no timer or cron job of another client renews a certificate for one of these names."""
    jobs = dict(_jobs(units, cron, is_systemd=is_systemd))
    ours = frozenset(identifiers)
    found = []
    for other in others:
        shared = sorted(ours & other.identifiers)
        if shared and other.client in jobs:
            cause = f"{other.client} renews it, too ({other.name}, by {jobs[other.client]})"
            fix = _FIXES[other.client].format(other.name)
            found += [Finding(ID, Verdict.WARN, name, cause, fix) for name in shared]
    return found or [Finding(ID, Verdict.OK, "", "no other ACME client renews these names on this host")]


def _jobs(units: Mapping[str, Properties], cron: Iterable[CronLine], *, is_systemd: bool) -> Iterator[tuple[str, str]]:
    """Yield clients with what starts them."""
    lines = [one for one in cron if not (is_systemd and _ONLY_WITHOUT_SYSTEMD in one.text)]
    for client, words in _RENEWING.items():
        for job in jobs_of(client, lines):
            if words & set(job.arguments):
                yield client, job.place
        for script in scripts_of(client, lines):
            yield client, script.place
    for timer, client in TIMERS.items():
        if units.get(timer, {}).get("ActiveState") == "active":
            yield client, timer
