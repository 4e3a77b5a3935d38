"""The certbot authenticator `wellkeeper`: publish the tokens of all names, and ask the CA only if nginx serves each.

A refusal stops certbot before it asks the CA. certbot calls `cleanup` whatever happens; tokens of a certbot that was
killed expire after ten minutes.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from acme import challenges
from certbot import errors, interfaces
from certbot.plugins import common

from wellkeeper_client import publisher
from wellkeeper_client.publish import ResponderControl, ResponderError
from wellkeeper_client.publisher import Publisher, PublisherError
from wellkeeper_client.signing import Publication

_log = logging.getLogger(__name__)


class Authenticator(common.Plugin, interfaces.Authenticator):
    """Implements certbot's interface."""

    description = "Let Wellkeeper's responder answer the challenges through nginx (http-01)."

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 - certbot's
        super().__init__(*arguments, **keywords)
        self._publications: list[Publication] = []
        self._publisher: Publisher | None = None

    @classmethod
    def add_parser_arguments(cls, add: Callable[..., None]) -> None:
        add("control", default=publisher.DEFAULT_CONTROL, help="Control address of the responder.")
        add("key", default=str(publisher.DEFAULT_KEY), help="Publishing key, in PEM.")
        add(
            "through",
            default=publisher.DEFAULT_THROUGH,
            help="Read back through the nginx at HOST:PORT, or proxy:HOST:PORT.",
        )

    def more_info(self) -> str:
        return self.description

    def prepare(self) -> None:
        """Read the publishing key. Raises PluginError."""
        try:
            key = publisher.read_publishing_key(Path(self.conf("key")))
        except PublisherError as error:
            raise errors.PluginError(str(error)) from error
        self._publisher = Publisher(ResponderControl(self.conf("control"), key), self.conf("through"))

    def get_chall_pref(self, _domain: str) -> Iterable[type[challenges.Challenge]]:
        return [challenges.HTTP01]

    def perform(self, achalls: list[Any]) -> list[challenges.ChallengeResponse]:
        """Publish the tokens of all names. Raises PluginError at the first refusal, before the CA is asked."""
        return [self._publish(achall) for achall in achalls]

    def cleanup(self, _achalls: list[Any]) -> None:
        """Withdraw everything."""
        while self._publications:
            publication = self._publications.pop()
            try:
                self._prepared().end(publication)
            except ResponderError as error:
                _log.warning("cannot withdraw the token for %s, which will expire: %s", publication.identifier, error)

    def _publish(self, achall: Any) -> challenges.ChallengeResponse:  # noqa: ANN401 - its class differs by version
        response, key_authorization = achall.response_and_validation()
        name = achall.identifier.value if hasattr(achall, "identifier") else achall.domain
        try:
            self._publications.append(self._prepared().publish(name, key_authorization))
        except PublisherError as error:
            raise errors.PluginError(str(error)) from error
        return response

    def _prepared(self) -> Publisher:
        if self._publisher is None:
            raise errors.PluginError("the authenticator was not prepared")
        return self._publisher
