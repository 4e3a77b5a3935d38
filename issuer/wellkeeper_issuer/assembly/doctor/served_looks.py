"""Look at installed and served certificates for doctor, with the objects that renewals use."""

import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.check_now import ServedNow, unusable
from wellkeeper_issuer.assembly.doctor.internal_cas import is_trusted_by_clients
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Check
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.addresses import Question
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Installed, Served
from wellkeeper_node.probes import trust
from wellkeeper_node.probes.probes import NodeProbes

# A certificate has at most a hundred names, and nginx a few addresses.
_MOST_HANDSHAKES: Final = 50


class ServedLooks:
    """Implements `doctor.served.Looks`."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError."""
        self._settings = settings
        self._now = ServedNow(settings)
        self._folders = build.certificates(settings)
        self._probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
        self._context = cache(trust.trusting)
        self._checks: Mapping[str, Check] | None = None

    async def installed(self, lineage: Lineage) -> Installed | None:
        found = await self._folders.installed(lineage.name)
        if found is None and await self._folders.versions(lineage.name):
            raise unusable(lineage.name, self.live_path(lineage))
        return found

    async def served(self, lineage: Lineage) -> Served:
        if self._checks is None:
            self._checks = await self._now.checks(None)
        return await self._now.served(lineage, self._checks.get(lineage.name))

    def live_path(self, lineage: Lineage) -> str:
        return self._folders.live_path(lineage.name)

    async def questions(self, lineage: Lineage, installed: Installed) -> Sequence[Question]:
        plan = await self._now.plan(lineage, installed)
        for asked in (plan.questions, plan.instead):
            found = [one for one in asked[:_MOST_HANDSHAKES] if await self._gets(installed, one)]
            if found:
                return found
        return ()

    async def distrust(self, question: Question, lineage: Lineage, *, has_intermediates: bool = False) -> str:
        context = await self._roots(lineage, has_intermediates=has_intermediates)
        greets = question.speaks_proxy_protocol
        greets = self._settings.nginx.proxy_protocol if greets is None else greets
        return await trust.why_distrusted(question.address, question.identifier, context, greets=greets)

    async def _gets(self, installed: Installed, one: Question) -> bool:
        """Return whether a client gets the certificate there: other programs may serve some of its names."""
        try:
            leaf = await self._probes.handshake(one.address, one.identifier, None, one.speaks_proxy_protocol)
        except VerifyError:
            return False
        return leaf is not None and leaf.fingerprint_sha256 == installed.certificate.fingerprint_sha256

    def is_root_expected(self, lineage: Lineage) -> bool:
        if lineage.is_external:
            return False  # which CA issued it is unknown
        return all(is_trusted_by_clients(self._settings, url) for url in lineage.directory_urls)

    async def _roots(self, lineage: Lineage, *, has_intermediates: bool) -> ssl.SSLContext:
        cas = [self._settings.find_ca(url) for url in lineage.directory_urls]
        bundles = {bundle for one in cas if (bundle := one.bundle or self._settings.ca_bundle)}
        chain = await self._folders.read_pair(lineage.name) if has_intermediates else None
        intermediates = reading.split_chain(chain.chain_pem)[1].decode() if chain else ""
        try:
            return self._context(tuple(sorted(map(str, bundles))), intermediates)
        except OSError as error:
            named = ", ".join(sorted(map(str, bundles)))
            raise SettingsError(f"cannot use the CA certificates in {named}", error.strerror or str(error)) from error
