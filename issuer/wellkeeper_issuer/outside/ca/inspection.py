"""Look at a CA and at our account there, for `doctor`: registers nothing and changes nothing."""

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import read_abilities
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import translated
from wellkeeper_issuer.ports.inspection import Account, Offer


class CaInspector:
    """Implements `ports.inspection.CaInspection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def offer(self) -> Offer:
        """Implement `ports.inspection.CaInspection.offer`."""
        abilities = read_abilities(await self._connection.directory())
        ahead_seconds = self._connection.server.ahead_seconds
        return Offer(abilities.terms_of_service, abilities.profiles, abilities.caa_identities, ahead_seconds)

    async def account(self) -> Account:
        """Implement `ports.inspection.CaInspection.account`.

        Sends one POST-as-GET: other requests find or register the account again if the CA forgot it.
        """
        connection, name = self._connection, self._connection.options.name
        record = connection.accounts.read(connection.options.directory_url)
        sender = connection.sender(record.account_url if record else None)
        if record is None or record.is_deactivated:
            await connection.check_registration()
            return Account()
        try:
            with translated(OrderError, name, "the request to read the account", connection.clock):
                reply = await sender.send(record.account_url, None)
                status = reply.json().get("status")
                if not isinstance(status, str):
                    raise ReplyError("account member 'status' must be a string")
        except OrderError as error:
            if error.problem is not None and error.problem.name == "accountDoesNotExist":
                error.remedy = f"Run 'wellkeeper account register --ca {name}' if the CA has lost it."
            raise
        if status == "deactivated":
            raise connection.deactivated()
        return Account(record.account_url, one_line(status), record.agreed_terms)
