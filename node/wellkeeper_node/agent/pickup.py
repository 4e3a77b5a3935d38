"""Bring the certificates that the manifest lists to this node's nginx, and say how far each has come.

    listed ─ waiting ─▶ opened, installed ──▶ reloaded ──▶ served | installed
                           │ failed | wrong     │ refused     │ wrong: clients get another one

One reload serves all that arrived together. What did not succeed is tried again by the caller, after a look at what
clients get meanwhile.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from wellkeeper_node.advice.handshakes import remedy_for_unused
from wellkeeper_node.agent.fetching import Fetching, NotYetError
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.looking import Known
from wellkeeper_node.agent.pending import Pending
from wellkeeper_node.agent.report import DONE, CertificateReport, CertificateState
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.verify import is_one_of
from wellkeeper_node.errors import InstallError, ReloadError, VerifyError, WellkeeperError, WrongBundleError
from wellkeeper_node.model import Flip, Installed, Verified
from wellkeeper_node.ports import Certificates, Clock

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_NOT_USED: Final = "no server block of nginx uses it yet"
# Most bundles arrive within seconds of the manifest, and a new node lacks all of them at first.
_PATIENCE_SECONDS: Final = 60.0


class Delivery(Protocol):
    """nginx of this node: `deliver.local.LocalDelivery`."""

    def expecting(self) -> AbstractContextManager[None]: ...

    async def deliver(self, flip: Flip) -> float: ...

    async def verify(self, lineage: str, https_addresses: Sequence[tuple[str, int]] | None = None) -> Verified: ...

    async def prune(self, lineages: Mapping[str, Sequence[tuple[str, int]] | None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a pickup works with; `hook` is None without one, `retire` deletes what the manifest says."""

    fetching: Fetching
    certificates: Certificates
    delivery: Delivery
    pending: Pending
    hook: Callable[[Installed], Awaitable[None]] | None
    retire: Callable[[str, Manifest], Awaitable[None]]


class Pickup:
    """`reports` are those of the wanted lineages; `concern` is what is wrong beside them.

    `checked_at` is when the last look at all of them began, in UNIX time.
    """

    def __init__(self, parts: Parts, notify: Callable[[], None], clock: Clock) -> None:
        self._parts = parts
        self._notify = notify
        self._clock = clock
        self._loaded: set[tuple[str, str]] = set()
        self._waiting_since: dict[str, float] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        self.reports: dict[str, CertificateReport] = {}
        self.concern: str | None = None
        self.checked_at: float | None = None

    async def run_once(self, manifest: Manifest, wanted: Iterable[str]) -> bool:
        """Bring all wanted lineages to the versions of the manifest; return False if something must be repeated.

        Never raises for a certificate. One call at a time; reports change while it runs.
        """
        entries, began_at = {name: manifest.lineages[name] for name in wanted}, self._now()
        self._numbers = {name: self._numbers_of(name, entry) for name, entry in entries.items()}
        self.reports = {name: self._known(name, entry) for name, entry in entries.items()}
        limit = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._bring(name, manifest, limit) for name in entries))
        self.checked_at = began_at
        await self._finish(manifest, entries)
        return self.concern is None and all(one.state in DONE for one in self.reports.values())

    def _known(self, lineage: str, entry: Entry) -> CertificateReport:
        """Return the last report if it is about this certificate: it holds until the certificate is looked at again."""
        known = self.reports.get(lineage)
        if known is not None and known.leaf_sha256 == entry.leaf_sha256:
            return replace(known, number=entry.version.number)
        instead = known.instead if known is not None else None
        if instead is not None and instead.what is Got.NEWEST:
            instead = replace(instead, what=Got.OLDER, since=self._now())
        return replace(_of(entry, CertificateState.WAITING), instead=instead)

    def _numbers_of(self, lineage: str, entry: Entry) -> dict[str, int]:
        """Return the numbers of this version and of the one before, by fingerprint."""
        former = [one for one in self._numbers.get(lineage, {}).items() if one[0] != entry.leaf_sha256]
        return dict([*former[-1:], (entry.leaf_sha256, entry.version.number)])

    async def _bring(self, lineage: str, manifest: Manifest, limit: asyncio.Semaphore) -> None:
        """Deliver the certificate and report the result; an error does not affect the others."""
        entry = manifest.lineages[lineage]
        try:
            self._set(lineage, await self._result(lineage, manifest, limit))
        except Exception as error:  # noqa: BLE001 - one certificate must not stop the others
            _log.exception("certificate %s", lineage)
            self._set(lineage, _of(entry, CertificateState.FAILED, repr(error)))

    async def _result(self, lineage: str, manifest: Manifest, limit: asyncio.Semaphore) -> CertificateReport:
        entry = manifest.lineages[lineage]
        try:
            verified = await self._deliver(lineage, manifest, limit)
            if verified.served.is_served:
                return _of(entry, CertificateState.SERVED)
            cause = verified.served.detail if verified.served.is_hidden else _NOT_USED
            instead = (await self._known_of(lineage, entry)).after_check(verified)
            remedy = remedy_for_unused(self._parts.certificates.live_path(lineage)) if instead else ""
            return replace(_of(entry, CertificateState.INSTALLED, cause, remedy), instead=instead)
        except WellkeeperError as error:
            if not isinstance(error, NotYetError):
                _log.warning("certificate %s: %s", lineage, error)
            found = _of(entry, _state_of(error), _cause_of(error), _without_command(error.remedy))
            return replace(found, instead=await self._look(lineage, entry, error, limit))

    async def _deliver(self, lineage: str, manifest: Manifest, limit: asyncio.Semaphore) -> Verified:
        entry, delivery = manifest.lineages[lineage], self._parts.delivery
        with delivery.expecting():
            async with limit:
                flip = await self._prepare(lineage, manifest)
        self._waiting_since.pop(lineage, None)
        if flip is not None:
            await delivery.deliver(flip)
            self._loaded.add((lineage, entry.leaf_sha256))
        async with limit:
            return await self._verify(lineage, entry)

    async def _look(
        self, lineage: str, entry: Entry, error: WellkeeperError, limit: asyncio.Semaphore
    ) -> Instead | None:
        """Return what clients get after this error; what is known of it while a bundle may still come."""
        since = self._waiting_since.setdefault(lineage, self._clock.monotonic())
        if isinstance(error, NotYetError) and self._clock.monotonic() - since < _PATIENCE_SECONDS:
            return self.reports[lineage].instead
        try:
            known = await self._known_of(lineage, entry)
            if isinstance(error, VerifyError):
                return known.after_error(error)
            async with limit:
                return known.after_check(await self._parts.delivery.verify(lineage))
        except VerifyError as other:
            return known.after_error(other)
        except WellkeeperError:
            return None  # the report has the first error

    async def _known_of(self, lineage: str, entry: Entry) -> Known:
        versions = await self._parts.certificates.versions(lineage)
        return Known(entry.leaf_sha256, versions, self._numbers[lineage], self._now())

    def _now(self) -> float:
        return round(self._clock.now().timestamp(), 3)

    async def _prepare(self, lineage: str, manifest: Manifest) -> Flip | None:
        """Install the version unless it is live; return the switch that nginx has not loaded, if any."""
        parts, leaf = self._parts, manifest.lineages[lineage].leaf_sha256
        installed = await parts.certificates.installed(lineage)
        if installed is not None and installed.certificate.fingerprint_sha256 == leaf:
            flip = await parts.pending.flip(lineage, installed.version)
        else:
            bundle = await parts.fetching.bundle(lineage, manifest)
            switched = await install(lineage, bundle.pair, parts.certificates, parts.pending.record_flip)
            flip = await parts.pending.flip(lineage, switched.after) or switched
        if flip is not None and flip.before is not None and is_one_of(manifest.disown.get(lineage, ()), [flip.before]):
            return replace(flip, before=None)  # nginx never goes back to a certificate that must not be used any more
        return flip

    async def _verify(self, lineage: str, entry: Entry) -> Verified:
        """Return what clients get. A version that this process has not seen loaded may be from before a crash."""
        parts = self._parts
        try:
            return await parts.delivery.verify(lineage)
        except VerifyError:
            installed = await parts.certificates.installed(lineage)
            if installed is None or (lineage, entry.leaf_sha256) in self._loaded:
                raise
        await parts.delivery.deliver(Flip(lineage, installed.version, installed.version))
        self._loaded.add((lineage, entry.leaf_sha256))
        return await parts.delivery.verify(lineage)

    async def _finish(self, manifest: Manifest, entries: Mapping[str, Entry]) -> None:
        """Run deploy hooks that are due, and delete what is no longer needed. What fails does not affect the rest."""
        parts, former, failures = self._parts, self.concern, dict[str, None]()
        with _noting(failures):
            for name in await parts.pending.hooks():
                with _noting(failures):
                    await self._run_hook(name)
        for name in sorted({*manifest.retire, *manifest.disown}):
            with _noting(failures):
                await parts.retire(name, manifest)
        with _noting(failures):
            await parts.delivery.prune(dict.fromkeys(entries))
        self.concern = "; ".join(failures) or None
        if self.concern != former:
            self._notify()

    async def _run_hook(self, lineage: str) -> None:
        parts = self._parts
        installed = await parts.certificates.installed(lineage)
        if installed is not None and parts.hook is not None:
            await parts.hook(installed)
        await parts.pending.record_hook(lineage)

    def _set(self, lineage: str, report: CertificateReport) -> None:
        former = self.reports[lineage].instead
        if report.instead is not None and report.instead.is_same(former):
            report = replace(report, instead=former)
        if report != self.reports[lineage]:
            self.reports[lineage] = report
            self._notify()


def _of(entry: Entry, state: CertificateState, cause: str | None = None, remedy: str = "") -> CertificateReport:
    return CertificateReport(entry.version.number, entry.leaf_sha256, state, cause, remedy)


@contextlib.contextmanager
def _noting(failures: dict[str, None]) -> Iterator[None]:
    try:
        yield
    except WellkeeperError as error:
        failures[_without_command(str(error))] = None
        _log.warning("%s", error)


def _cause_of(error: WellkeeperError) -> str:
    """Return the reason; of an error of the disk, also which file."""
    if isinstance(error, InstallError) and error.why:
        return f"{error.what}: {error.why}"
    return error.why or error.what


def _without_command(remedy: str) -> str:
    """Leave out what a person does where no agent tries again by itself."""
    return remedy.replace(", then run 'wellkeeper renew' again", "")


def _state_of(error: WellkeeperError) -> CertificateState:
    if isinstance(error, NotYetError):
        return CertificateState.WAITING
    if isinstance(error, WrongBundleError) or (isinstance(error, VerifyError) and (error.leaf or error.is_refused)):
        return CertificateState.WRONG
    return CertificateState.REFUSED if isinstance(error, ReloadError) else CertificateState.FAILED
