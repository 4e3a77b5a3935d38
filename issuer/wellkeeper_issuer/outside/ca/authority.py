"""Order, validate and download certificates at a CA, with our account there (RFC 8555).

Only the modules of this package use the acme library.
"""

import logging
from collections.abc import Sequence

from acme import messages
from cryptography import x509

from wellkeeper_issuer.errors import (
    ChallengeError,
    FinalizeError,
    OrderError,
    UnusableAuthorizationError,
    UnusableOrderError,
)
from wellkeeper_issuer.model import Authorization, Challenge, Order
from wellkeeper_issuer.outside.ca.abilities import Abilities, choose_profile, read_abilities
from wellkeeper_issuer.outside.ca.chains import alternate_urls, root_name
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.messages import Deactivation, EmptyMessage, NewOrder
from wellkeeper_issuer.outside.ca.problems import ProblemError, translated
from wellkeeper_issuer.outside.ca.replies import parse_authorization, parse_order
from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_issuer.outside.ca.signing import Sender
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Identifier

_log = logging.getLogger(__name__)


class AcmeAuthority:
    """Implements `ports.CertificateAuthority`. The first call that needs the account finds or registers it.

    Raises SettingsError when the account key is missing.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._options = connection.options
        self._accounts = connection.accounts
        self._clock = connection.clock
        self._ignored_profile: str | None = None
        self._accounts.account_key(self._options.directory_url)

    @property
    def name(self) -> str:
        return self._options.name

    @property
    def directory_url(self) -> str:
        return self._options.directory_url

    @property
    def thumbprint(self) -> str:
        return self.connection.thumbprint

    async def prepare(self) -> None:
        """Implement `ports.CertificateAuthority.prepare`."""
        await self.connection.prepare()

    async def abilities(self) -> Abilities:
        """Return what the directory offers; needs no account."""
        return read_abilities(await self.connection.directory())

    async def account_url(self) -> str:
        record = self._accounts.read(self.directory_url)
        if record is not None and not record.is_deactivated:
            return record.account_url
        _, account = await self.connection.account()
        return account.url

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        directory, _ = await self.connection.account()
        abilities = read_abilities(directory)
        message = NewOrder(
            identifiers=[
                messages.Identifier(typ=messages.IdentifierType(identifier.type.value), value=identifier.value)
                for identifier in identifiers
            ],
            profile=self._profile(abilities, profile),
            replaces=replaces if abilities.has_renewal_info else None,
        )

        request = f"the order for {_summary(identifiers)}"

        async def work(sender: Sender, directory: messages.Directory) -> Order:
            reply = await sender.send(directory["newOrder"], message)
            # The CA has placed the order: a reply that cannot be used concerns this one.
            with translated(UnusableOrderError, self.name, request, self._clock):
                return self._order(reply.location(), reply, is_new=True)

        return await self.connection.call(OrderError, request, work)

    async def read_order(self, url: str) -> Order | None:
        try:
            return await self.connection.read(OrderError, f"the request for order {url}", url, self._order)
        except OrderError as error:
            if error.problem and error.problem.status in {403, 404}:
                return None
            if isinstance(error.__cause__, ReplyError):
                raise UnusableOrderError(error.what, error.why, error.remedy) from error.__cause__
            raise

    async def read_authorization(self, url: str) -> Authorization:
        try:
            return await self.connection.read(
                ChallengeError, f"the request for authorization {url}", url, self._authorization
            )
        except ChallengeError as error:
            if isinstance(error.__cause__, ReplyError):
                raise UnusableAuthorizationError(error.what, error.why, error.remedy) from error.__cause__
            raise

    async def deactivate_authorization(self, url: str) -> None:
        async def work(sender: Sender, _: messages.Directory) -> None:
            await sender.send(url, Deactivation())

        await self.connection.call(ChallengeError, f"the deactivation of authorization {url}", work)

    async def answer_challenge(self, challenge: Challenge) -> None:
        async def work(sender: Sender, _: messages.Directory) -> None:
            await sender.send(challenge.url, EmptyMessage())

        await self.connection.call(ChallengeError, f"the response to challenge {challenge.url}", work)

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        message = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr_der))

        async def work(sender: Sender, _: messages.Directory) -> Order | None:
            try:
                reply = await sender.send(order.finalize_url, message)
            except ProblemError as error:
                if error.problem.name == "orderNotReady":
                    return None
                raise
            return self._order(order.url, reply)

        found = await self.connection.call(FinalizeError, f"the finalization of order {order.url}", work)
        if found is not None:
            return found
        return await self.connection.read(FinalizeError, f"the request for order {order.url}", order.url, self._order)

    async def read_chain(self, order: Order) -> bytes:
        url = order.certificate_url
        if url is None:
            raise FinalizeError(
                f"cannot download the certificate of order {order.url}",
                f"the CA {self.name} reports the order as valid but names no certificate",
                "Report this to the CA.",
            )
        reply = await self._certificate(url)
        wanted = self._options.preferred_chain
        if wanted is None or root_name(reply.body) == wanted:
            return reply.body
        return await self._preferred(wanted, reply)

    async def _preferred(self, wanted: str, default: Reply) -> bytes:
        """Return the first alternate chain below the root of that name, or the default chain when there is none."""
        roots = [root_name(default.body)]
        for url in alternate_urls(default.links):
            try:
                found = (await self._certificate(url)).body
            except WellkeeperError as error:
                _log.warning("ignoring an alternate chain of the CA %s: %s", self.name, error)
                continue
            roots.append(root_name(found))
            if roots[-1] == wanted:
                return found
        offered = ", ".join(repr(root) for root in roots)
        _log.warning(
            "the CA %s has no chain with %r (preferred_chain), using its default chain; it offers %s",
            self.name,
            wanted,
            offered,
        )
        return default.body

    async def _certificate(self, url: str) -> Reply:
        return await self.connection.read(
            FinalizeError, f"the request for certificate {url}", url, lambda _, reply: reply
        )

    def _profile(self, abilities: Abilities, wanted: str | None) -> str | None:
        wanted = wanted or self._options.profile
        if wanted and not abilities.profiles and self._ignored_profile != wanted:
            self._ignored_profile = wanted
            _log.warning("the CA %s has no profiles, ignoring profile = %r", self.name, wanted)
        return choose_profile(abilities, self.name, wanted)

    def _order(self, url: str, reply: Reply, *, is_new: bool = False) -> Order:
        seconds = retry_after_seconds(reply.headers, self._clock.now())
        return parse_order(url, reply.json(), seconds, is_new=is_new)

    def _authorization(self, url: str, reply: Reply) -> Authorization:
        return parse_authorization(url, reply.json(), retry_after_seconds(reply.headers, self._clock.now()))


def _summary(identifiers: Sequence[Identifier]) -> str:
    others = f" and {len(identifiers) - 1} more" if len(identifiers) > 1 else ""
    return f"{identifiers[0]}{others}"
