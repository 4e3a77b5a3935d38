"""The checks of the status endpoint, and of nginx in front of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor.asking import ask_daemon
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor import endpoint
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web import asking
from wellkeeper_issuer.outside.web.listener import shown
from wellkeeper_node.doctor import status_proxy
from wellkeeper_node.findings import Finding

# 10 000 server blocks take 10 s to test, and as long to parse.
_TEST_SECONDS: Final = 120.0


async def _endpoint(context: CheckContext) -> Sequence[Finding]:
    listen, sources = _listen(context), context.found.sources
    need_owner(context.settings.state_dir)
    answer: asking.Answer | DaemonError
    try:
        answer = await asking.ask(listen)
    except DaemonError as error:
        answer = error
    daemon = await ask_daemon(context.settings)
    return await endpoint.check_endpoint(shown(listen), answer, daemon, sources.digest if sources else None)


async def _proxy(context: CheckContext) -> Sequence[Finding]:
    address, settings = shown(_listen(context)), context.settings
    configuration = await context.configuration()
    return await status_proxy.check_proxy(configuration, build.nginx_control(settings), address, settings.web.group)


def _listen(context: CheckContext) -> Path | tuple[str, int]:
    if context.settings.web.listen is None:
        raise NotCheckedError("the settings have no [web] listen")
    return context.settings.web.listen


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((endpoint.ID,), _endpoint, is_cheap=True),
    Check((status_proxy.PROXY, status_proxy.REACH), _proxy, is_cheap=True, seconds=_TEST_SECONDS),
)
