"""Reload nginx once for all certificates of a pass, and leave out those that nginx rejects.

When `nginx -t` fails, the flips are undone to see whether they are the cause. If they are, the culprits are found by
halving and stay undone, and the rest is delivered. If not, all flips are kept, and the next pass only delivers. Where
nothing can run `nginx -t`, each test is a reload: a refused one changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from wellkeeper_node.errors import RefusedError, ReloadError
from wellkeeper_node.model import Flip, Reloaded, RolledBack, Tested
from wellkeeper_node.ports import Certificates, Clock, Nginx

Pause = Callable[[], Awaitable[None]]


async def reload(
    flips: Sequence[Flip], nginx: Nginx, certificates: Certificates, clock: Clock, pause: Pause | None = None
) -> Reloaded:
    """Reload once and verify the reload, or do nothing when no flip is left; `pause` comes before a reload as a test.

    Afterwards every flip is in place, except those rolled back. This is also true after an error or a cancellation:
    only proven culprits stay undone. Flips of an earlier pass may be passed again. Raises ReloadError and InstallError.
    """
    if not flips:
        return Reloaded()
    began = clock.monotonic()
    search = _Search(flips, nginx, certificates, pause)
    try:
        tested = await search.run()
    except BaseException:  # a cancellation too: half of the flips may be undone
        await asyncio.shield(asyncio.ensure_future(search.settle()))
        raise
    if len(search.rolled_back) == len(flips):
        return Reloaded(tuple(search.rolled_back))
    finishing_count = await nginx.reload(tested) if search.finishing_count is None else search.finishing_count
    return Reloaded(tuple(search.rolled_back), clock.monotonic() - began, finishing_count)


class _Search:
    """The search for culprits among the flips of one pass; it adds them to `rolled_back`.

    `finishing_count` is that of the last reload that was a test.
    """

    def __init__(self, flips: Sequence[Flip], nginx: Nginx, certificates: Certificates, pause: Pause | None) -> None:
        self._flips = tuple(flips)
        self._nginx = nginx
        self._certificates = certificates
        self._pause = pause
        self.rolled_back: list[RolledBack] = []
        self.finishing_count: int | None = None

    async def run(self) -> Tested:
        """Return the test that passed, with all flips in place except the culprits."""
        await self.settle()
        tested = await self._test()
        if tested.passed:
            return tested
        suspects, without = await self._suspects(tested)
        return await self._without_culprits(suspects, tested, without)

    async def _test(self) -> Tested:
        """Return whether nginx accepts what is in place."""
        tested = await self._nginx.test()
        if tested is not None:
            return tested
        if self._pause is not None:
            await self._pause()
        try:
            self.finishing_count = await self._nginx.reload(None)
        except RefusedError as error:
            return Tested(passed=False, words=error.why, seconds=0.0)
        return Tested(passed=True, words="", seconds=0.0)

    async def settle(self) -> None:
        """Put every flip in place that is not a culprit; idempotent."""
        culprits = {one.flip for one in self.rolled_back}
        await self._forward([flip for flip in self._flips if flip not in culprits])

    async def _suspects(self, failed: Tested) -> tuple[list[Flip], Tested]:
        """Undo and return the flips without which the test passes, and that test. Raises ReloadError if none does.

        Undoing a first certificate leaves no file, which nginx may reject too; so the second try undoes only renewals.
        """
        renewals = [flip for flip in self._flips if flip.before is not None]
        for suspects in (list(self._flips), renewals):
            await self.settle()
            await self._back(suspects)
            if suspects and (tested := await self._test()).passed:
                return suspects, tested
            if len(renewals) == len(self._flips):
                break
        raise ReloadError(
            "nginx rejects its configuration, with the previous certificates too",
            failed.words,
            "Fix it ('nginx -t'), then run 'wellkeeper renew' again.",
        )

    async def _without_culprits(self, suspects: list[Flip], failed: Tested, without: Tested) -> Tested:
        """Find one culprit at a time, in log2(n) tests, until the rest passes together.

        The first `good` suspects passed a test; `without` is the test that passed without all of them.
        """
        good, tested = 0, failed
        while not tested.passed:
            good, culprit = await self._culprit(suspects, good, tested)
            self.rolled_back.append(culprit)
            suspects.remove(culprit.flip)
            if not suspects:
                return without
            await self._forward(suspects)
            tested = await self._test()
        return tested

    async def _culprit(self, suspects: list[Flip], good: int, failed: Tested) -> tuple[int, RolledBack]:
        """Undo and return the first suspect that fails on top of those before it, which stay in place."""
        bad, words = len(suspects), failed.words
        while bad - good > 1:
            middle = (good + bad) // 2
            await self._forward(suspects[:middle])
            await self._back(suspects[middle:])
            tested = await self._test()
            if tested.passed:
                good = middle
            else:
                bad, words = middle, tested.words
        await self._back(suspects[bad - 1 :])
        return good, RolledBack(suspects[bad - 1], words)

    async def _forward(self, flips: Sequence[Flip]) -> None:
        for flip in flips:
            await self._certificates.switch(flip.lineage, flip.after)

    async def _back(self, flips: Sequence[Flip]) -> None:
        for flip in flips:
            await self._certificates.switch(flip.lineage, flip.before)
