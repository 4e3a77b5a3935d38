"""Test, show and reload an nginx in another container, by the agent beside it (docs/design/0028-reaching-nginx.md)."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from wellkeeper_node.errors import EndedError, RefusedError, ReloadError
from wellkeeper_node.model import Tested
from wellkeeper_node.nginx import refusals
from wellkeeper_node.nginx.agent_folder import AgentFolder, Heartbeat, Reply
from wellkeeper_node.nginx.configuration import Sources, dumped
from wellkeeper_node.nginx.configured import ConfiguredNginx
from wellkeeper_node.nginx.named import unseen_certificate
from wellkeeper_node.nginx.said import severe_of, words_of
from wellkeeper_node.ports import Clock

_UNREADABLE: Final = "cannot read nginx's configuration ('nginx -T')"
_MOUNT: Final = "Mount the certificates at the same path here and in nginx's container (docs/reaching-nginx.md)."
_RENEW: Final = "then run 'wellkeeper renew' again"
_RESTART: Final = f"Look at the log of nginx's container, restart it, {_RENEW}."
_NOT_RUNNING: Final = (
    "nginx does not run in its container",
    "its agent sees no nginx master",
    "Start nginx there ('docker compose logs nginx' shows why it does not run).",
)
# What failed, why and what to do, by the word of the agent; `{}` is its detail.
_FAILURES: Final[Mapping[str, tuple[str, str, str]]] = {
    "absent": _NOT_RUNNING,
    "denied": (
        "cannot reload nginx",
        "its agent may not signal nginx (process {} of its container)",
        "Run nginx's master as the user of its container.",
    ),
    "replaced": ("nginx ended or was replaced during the reload", "its master was process {}", _RESTART),
    "lingering": (
        "nginx started new workers, but old ones still accept connections with the old certificates",
        "process {} of nginx's container",
        "Check what this process does, then restart nginx's container.",
    ),
    "killed": (
        "nginx did not answer",
        "'nginx -t' or 'nginx -T' was killed: by the agent after 120 s, or because memory ran out",
        "Look for host names in nginx's configuration that do not resolve, and at the container's memory limit.",
    ),
    "cut": ("nginx prints more than 64 MiB", "", "Check which files nginx's configuration includes."),
    "unwritten": (
        "nginx's agent cannot write its answer",
        "",
        "Make room on the volume with the answers of the agent.",
    ),
    "interrupted": ("nginx's agent ended before it answered", "", _RESTART),
}

_ENDINGS: Final = frozenset({"replaced", "interrupted"})


class AgentNginx(ConfiguredNginx):
    """Implements `ports.Nginx` for an nginx beside an agent."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = AgentFolder(folder, clock)

    async def look(self) -> Heartbeat:
        """Return what the agent sees of nginx now. Raises ReloadError when there is no agent."""
        return await self._folder.heartbeat()

    async def running(self) -> Heartbeat:
        """Return what the agent sees of the running nginx. Raises ReloadError when it does not run."""
        found = await self.look()
        if not found.master:
            found = await self._folder.next_heartbeat(found)  # nginx may have started meanwhile
        if not found.master:
            raise ReloadError(*_NOT_RUNNING)
        return found

    async def prove(self) -> None:
        """Implement `ports.Nginx.prove`."""
        await self.running()

    async def test(self) -> Tested:
        reply = _checked(await self._folder.ask("test"))
        passed = reply.detail == "0"
        return Tested(passed, words_of(reply.output, passed=passed), reply.seconds)

    async def reload(self, tested: Tested | None) -> int:
        """Implement `ports.Nginx.reload`; the agent measured the test itself."""
        del tested
        reply = await self._folder.ask("reload")
        match reply.result:
            case "reloaded":
                return int(reply.detail)
            case "refused":
                raise RefusedError(
                    f"nginx did not load the new configuration within {reply.seconds:.1f} s and keeps the old "
                    "certificates",
                    _reason(reply),
                    f"Fix it, {_RENEW}.",
                )
            case "workerless":
                what = "nginx has no workers left and serves nothing: its new workers ended at once"
                raise EndedError(what, _reason(reply), f"Fix it, restart nginx's container, {_RENEW}.")
        raise _failure(reply)

    async def finishing(self) -> int:
        """Implement `ports.Nginx.finishing`."""
        try:
            return (await self.look()).leaving
        except ReloadError:
            return 0  # the reload that follows reports it

    async def named(self, folders: Collection[str]) -> Mapping[str, str]:
        """Implement `ports.Nginx.named`: a file that only nginx's container has may be a link to any certificate."""
        found = await self._parsed()
        if unseen := await asyncio.to_thread(unseen_certificate, found):
            raise ReloadError("cannot find out which certificates nginx uses", f"{unseen} is not visible here", _MOUNT)
        return await self._named(found, folders)

    async def sources(self) -> Sources:
        """Implement `ConfiguredNginx.sources`: paths must mean the same files here and in nginx's container."""
        reply = _checked(await self._folder.ask("show"))
        if reply.detail != "0":
            words = words_of(reply.output, passed=False)
            raise ReloadError(_UNREADABLE, words, refusals.remedy_of(words))
        try:
            return await asyncio.to_thread(dumped, reply.output)
        except ValueError as error:
            raise ReloadError(_UNREADABLE, str(error)) from error


def _checked(reply: Reply) -> Reply:
    if reply.result != "ran":
        raise _failure(reply)
    return reply


def _failure(reply: Reply) -> ReloadError:
    unknown = ("cannot understand the answer of nginx's agent", repr(reply.result), _RESTART)
    what, why, remedy = _FAILURES.get(reply.result, unknown)
    kind = EndedError if reply.result in _ENDINGS else ReloadError
    return kind(what, why.format(reply.detail), remedy)


def _reason(reply: Reply) -> str:
    """Return nginx's words about a refused reload, of which a test may not know the reason."""
    words = severe_of(reply.output)
    return words or "no reason found; look for [emerg] lines in the log of nginx's container"
