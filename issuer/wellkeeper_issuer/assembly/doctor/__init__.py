"""The list of doctor's checks, in the order in which their findings are shown, and what they are run with."""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from wellkeeper_issuer.assembly.doctor import challenges, fleet, host, network, nginx, serving, web
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.doctor.checks import Check, Network
from wellkeeper_issuer.doctor.explained import without_followers
from wellkeeper_issuer.doctor.run_checks import NoWatcher, Watcher, run_checks
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT
from wellkeeper_node.findings import Finding, Verdict

# Its failure means that the settings cannot be used.
SETTINGS_CHECK: Final = "settings"
_REFUSAL: Final = os.strerror(errno.EACCES)
# A busy host must not cause a notification.
_PATIENCE_SECONDS: Final = 600.0
_UNWATCHED: Final = NoWatcher()
_ANY_NETWORK: Final = Network()
CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    *host.CHECKS,
    *fleet.CHECKS,
    *nginx.CHECKS,
    *web.CHECKS,
    *challenges.CHECKS,
    *network.CHECKS,
    *serving.CHECKS,
)


async def examine(
    path: Path,
    names: Sequence[str] = (),
    checks: Sequence[Check[CheckContext]] = CHECKS,
    watcher: Watcher = _UNWATCHED,
    network: Network = _ANY_NETWORK,
) -> list[Finding]:
    """Run the checks on this host with the settings at `path`, for the certificates `names` or all.

    Raises SettingsError for an unknown name. Without the rights of root or of the issuer's user, what needs them is
    skipped. Settings that cannot be used are a finding of the check `settings`; checks
    that need them are skipped.
    """
    async with CheckContext.open(path, names, network) as context:
        found = await run_checks(checks, context, watcher, is_offline=network.is_offline)
        judged = found if context.is_issuers_user else [_without_refusal(one) for one in found]
        node, settings = context.find_local_node(), context.found.settings
        is_only = node is not None and settings is not None and len(settings.nodes) == 1
        return without_followers(judged, node.name if node else None, is_only=is_only)


def _without_refusal(one: Finding) -> Finding:
    """Return the finding as skipped if the kernel refused something to this user, which the issuer's user may do."""
    is_refusal = _REFUSAL in one.cause and one.verdict in {Verdict.FAIL, Verdict.SKIPPED}
    if not is_refusal or one.check == SETTINGS_CHECK:
        return one
    return Finding(one.check, Verdict.SKIPPED, one.subject, NEEDS_ROOT)


async def examine_cheaply(path: Path) -> list[Finding]:
    """Run the cheap checks, for the daemon, which has time."""
    checks = [replace(one, seconds=_PATIENCE_SECONDS) for one in CHECKS if one.is_cheap]
    return await examine(path, checks=checks, network=Network(is_offline=True))
