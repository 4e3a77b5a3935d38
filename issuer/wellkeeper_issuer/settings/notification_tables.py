"""The tables `[notifications]` and `[heartbeat]` of issuer.toml."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from wellkeeper_issuer.settings import values
from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.templates import (
    IN_BODIES,
    IN_HEADERS,
    SECRET,
    check_body,
    check_template,
    texts_in,
    uses,
)
from wellkeeper_issuer.settings.value_types import AbsolutePath, Address, Name, PositiveNumber, Webhook

# The name of the target that `webhook` sets.
WEBHOOK_NAME: Final = "webhook"

EventName = Literal["failure", "danger", "recovery", "renewed", "finding", "behind", "caught up", "joined", "forgotten"]
Events = Annotated[tuple[EventName, ...], Field(min_length=1)]
Mailbox = Annotated[
    str,
    BeforeValidator(values.parse_mailbox),
    WithJsonSchema({"type": "string", "pattern": f"^{values.EMAIL_ADDRESS}$"}),
]
# Those that need a person.
_EVENTS: Final[tuple[EventName, ...]] = ("failure", "danger", "finding", "behind")
_ABOUT_EVENTS: Final = "Events that it gets (docs/notifications.md). By default those that need a person."


class WebhookSettings(Frozen):
    """A target that gets notifications by POST."""

    name: Name = Field(description="Name of the target in messages.")
    url: Webhook = Field(description="URL (`https://` or `http://`); `$secret` is replaced.")
    events: Events = Field(default=_EVENTS, description=_ABOUT_EVENTS)
    headers: dict[str, str] = Field(
        default={},
        description=(
            'Additional headers, such as `{ Authorization = "Bearer $secret" }`. Placeholders are '
            f"{', '.join(f'`${one}`' for one in IN_HEADERS)}."
        ),
    )
    body: str | dict[str, Any] | None = Field(
        default=None,
        description=(
            'A table is sent as JSON, such as `{ content = "$text" }`, and a string as text. Placeholders are those of '
            "`headers`, `$detail`, `$text` and `$command`; `$$` is a dollar sign. By default all of them are sent as "
            "JSON."
        ),
    )
    secret_file: AbsolutePath | None = Field(
        default=None, description="File with the value of `$secret`, read before each notification."
    )
    ca_bundle: AbsolutePath | None = Field(
        default=None, description="PEM file that verifies the server. By default the system's CAs."
    )

    @field_validator("body", mode="before")
    @classmethod
    def _check_body(cls, body: object) -> object:
        return check_body(body)

    @model_validator(mode="after")
    def _check_templates(self) -> "WebhookSettings":
        in_headers, in_body = list(self.headers.values()), list(texts_in(self.body))
        for text, known in ((self.url, (SECRET,)), *((one, IN_HEADERS) for one in in_headers)):
            check_template(text, known)
        for text in in_body:
            check_template(text, IN_BODIES)
        if not self.secret_file and any(uses(one, SECRET) for one in (self.url, *in_headers, *in_body)):
            raise ValueError("$secret has no value; add secret_file = '/PATH'")
        for name, text in self.headers.items():
            values.check_header(name, text)
        return self


class MailSettings(Frozen):
    """A target that gets notifications by mail."""

    name: Name = Field(description="Name of the target in messages.")
    server: Address = Field(description="Mail server, `HOST:PORT`: 587 with STARTTLS, 465 with TLS.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="`starttls`, `tls` from the first byte, or `none` for a server on this host (`127.0.0.1:25`).",
    )
    sender: Mailbox = Field(description="Address in `From`.")
    recipients: tuple[Mailbox, ...] = Field(min_length=1, description="Addresses in `To`.")
    events: Events = Field(default=_EVENTS, description=_ABOUT_EVENTS)
    user: str | None = Field(default=None, description="User name at the server, if it requires one.")
    password_file: AbsolutePath | None = Field(
        default=None, description="File with the user's password, read before each mail."
    )
    ca_bundle: AbsolutePath | None = Field(
        default=None, description="PEM file that verifies the server. By default the system's CAs."
    )

    @model_validator(mode="after")
    def _check_security(self) -> "MailSettings":
        if (self.user is None) != (self.password_file is None):
            raise ValueError("set both user and password_file, or neither")
        if self.security == "none" and not values.is_loopback(self.server[0]):
            raise ValueError("security = 'none' is only for a server on this host; write 'starttls' or 'tls'")
        return self


class NotificationsSettings(Frozen):
    """Reports to the administrator, by webhook and mail."""

    webhook: Webhook | None = Field(
        default=None,
        description=(
            "URL (`https://` or `http://`) to which all events but `renewed` are posted as JSON, once each. "
            "`[[notifications.webhooks]]` has more options."
        ),
    )
    webhooks: tuple[WebhookSettings, ...] = Field(
        default=(), description="Targets that get notifications by POST (docs/notifications.md)."
    )
    mail: tuple[MailSettings, ...] = Field(
        default=(), description="Targets that get notifications by mail (docs/notifications.md)."
    )

    @property
    def has_url(self) -> bool:
        return bool(self.webhook or self.webhooks)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all targets."""
        first = (WEBHOOK_NAME,) if self.webhook else ()
        return (*first, *(one.name for one in self.webhooks), *(one.name for one in self.mail))

    @model_validator(mode="after")
    def _check_names(self) -> "NotificationsSettings":
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"two targets are named {name!r}; rename one")
        return self


class HeartbeatSettings(Frozen):
    """A request to a monitoring service while everything works."""

    url: Webhook | None = Field(
        default=None,
        description=(
            "URL (`https://` or `http://`) that the daemon calls after each check that found no problem, as "
            "`status --check` does (docs/notifications.md)."
        ),
    )
    method: Literal["GET", "POST"] = Field(default="GET", description="Method of the request.")
    every_minutes: PositiveNumber = Field(
        default=15.0, description="Minutes between checks. Each asks nginx for every certificate by handshake."
    )
    ca_bundle: AbsolutePath | None = Field(
        default=None, description="PEM file that verifies the server. By default the system's CAs."
    )
