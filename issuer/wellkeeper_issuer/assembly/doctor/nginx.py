"""The checks of nginx, the responder and other ACME clients on this host (checks in `wellkeeper_node.doctor`)."""

import os
from collections.abc import Sequence
from typing import Final

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor import looks
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node.certificates.layout import KEY_FILE
from wellkeeper_node.doctor import clients, nginx_process, nginx_user, responder, upstream
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.findings import Finding

# 10 000 server blocks take 10 s to test, and as long to parse.
_TEST_SECONDS: Final = 120.0


async def _process(context: CheckContext) -> Sequence[Finding]:
    settings = context.settings
    return await nginx_process.check_process(build.nginx_control(settings), settings.nginx.finishing_workers)


async def _signal(context: CheckContext) -> Sequence[Finding]:
    need_owner(context.settings.state_dir)
    return await nginx_process.check_signal(build.nginx_control(context.settings))


async def _test(context: CheckContext) -> Sequence[Finding]:
    # Without nginx here, root is not what is missing.
    is_root = os.geteuid() == 0 or context.settings.nginx.test == "reload"
    try:
        return await nginx_process.check_test(await context.configuration(), is_root=is_root)
    except NotCheckedError as error:
        if isinstance(error.__cause__, ReloadError):
            return await nginx_process.check_test(error.__cause__, is_root=is_root)
        raise


async def _loaded(context: CheckContext) -> Sequence[Finding]:
    return await nginx_process.check_loaded(await context.configuration(), build.nginx_control(context.settings))


async def _keys(context: CheckContext) -> Sequence[Finding]:
    settings, live = context.settings, context.settings.certificates_dir / "live"
    paths = {one.name: str(live / one.name / KEY_FILE) for one in context.lineages}
    return await nginx_user.check_keys(build.nginx_control(settings), paths, settings.certificates_group)


async def _upstream(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_client.own_addresses import own_addresses

    return await upstream.check_upstream(await context.configuration(), await _public(context), own_addresses())


async def _public(context: CheckContext) -> Sequence[str]:
    """Return the public addresses of this node's responder; none if they are unknown."""
    try:
        node = context.local_node.name
        return [address for one in await context.once(looks.responders) if one.node == node for address in one.public]
    except NotCheckedError:
        return []


async def _reach(context: CheckContext) -> Sequence[Finding]:
    return await nginx_user.check_reach(await context.configuration(), build.nginx_control(context.settings))


async def _responders(context: CheckContext) -> Sequence[Finding]:
    return await responder.check_responders(await context.once(looks.responders), build.version())


async def _trust(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_issuer.assembly.pins import all_pins

    asked, accounts = await context.once(looks.responders), build.accounts(context.settings)
    pins, without_key = all_pins(context.settings, accounts)
    try:
        own = key_id(accounts.publishing_key.public_key())
    except SettingsError as error:
        raise NotCheckedError(error.what) from error
    return await responder.check_trust(asked, {pin.ca: pin.thumbprint for pin in pins}, own, list(without_key))


async def _clients(context: CheckContext) -> Sequence[Finding]:
    live = context.settings.certificates_dir / "live"
    paths = {str(name): str(live / one.name) for one in context.lineages for name in one.identifiers}
    return await clients.check_clients(await context.configuration(), paths)


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((nginx_process.PROCESS,), _process, is_cheap=True),
    Check((nginx_process.SIGNAL,), _signal, is_cheap=True),
    Check((nginx_process.TEST,), _test, is_cheap=True, seconds=_TEST_SECONDS),
    Check((nginx_process.LOADED,), _loaded, is_cheap=True, seconds=_TEST_SECONDS),
    Check((nginx_user.KEYS,), _keys, is_cheap=True),
    Check((upstream.ID,), _upstream, is_cheap=True, seconds=_TEST_SECONDS),
    Check((nginx_user.REACH,), _reach, is_cheap=True, seconds=_TEST_SECONDS),
    Check((responder.RESPONDER,), _responders, is_cheap=True),
    Check((responder.TRUST,), _trust, is_cheap=True),
    Check((clients.ID,), _clients, is_cheap=True, seconds=_TEST_SECONDS),
)
