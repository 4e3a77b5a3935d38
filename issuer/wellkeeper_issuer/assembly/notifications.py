"""Make the targets of notifications from the settings, and what puts notices into the outbox for them."""

import socket
from collections.abc import Iterator

from wellkeeper_issuer.assembly.build import version
from wellkeeper_issuer.ports.people import Outbox, Target
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.notification_tables import WEBHOOK_NAME, MailSettings, WebhookSettings
from wellkeeper_issuer.upkeep.heartbeat import Pulse
from wellkeeper_issuer.upkeep.queueing import QueuedNotifications
from wellkeeper_issuer.upkeep.sending import Sending
from wellkeeper_node.clock import SystemClock


def make_targets(settings: Settings) -> tuple[Target, ...]:
    """Return all targets, in the order of the settings."""
    return tuple(_targets(settings))


def make_notifications(settings: Settings, outbox: Outbox) -> QueuedNotifications:
    return QueuedNotifications(outbox, make_targets(settings), SystemClock())


async def send_waiting(settings: Settings, outbox: Outbox) -> None:
    """Try once to send what waits, where no daemon does."""
    if await outbox.read_backlogs():
        await Sending(outbox, lambda: make_targets(settings), SystemClock()).flush()


def make_pulse(settings: Settings) -> Pulse | None:
    """Return the heartbeat, if there is one."""
    wanted = settings.heartbeat
    if wanted.url is None:
        return None
    from wellkeeper_issuer.outside.host.calls import Call
    from wellkeeper_issuer.outside.host.pulse import UrlPulse

    call = Call(wanted.url, version(), wanted.method, ca_bundle=wanted.ca_bundle)
    return UrlPulse(call, wanted.every_minutes * 60)


def _targets(settings: Settings) -> Iterator[Target]:
    wanted = settings.notifications
    if wanted.webhook:
        from wellkeeper_issuer.outside.host.notifications import Sender, Webhook

        sender = Sender(socket.gethostname(), version())
        # As before there were others: `renewed` would be a message per certificate and renewal.
        everything = frozenset(Notice) - {Notice.TEST, Notice.RENEWED}
        yield Webhook(WEBHOOK_NAME, wanted.webhook, everything, sender, is_template=False)
    yield from map(_webhook, wanted.webhooks)
    yield from map(_mail, wanted.mail)


def _webhook(one: WebhookSettings) -> Target:
    from wellkeeper_issuer.outside.host.notifications import Sender, Webhook

    return Webhook(
        one.name,
        one.url,
        frozenset(map(Notice, one.events)),
        Sender(socket.gethostname(), version()),
        one.headers,
        one.body,
        one.secret_file,
        one.ca_bundle,
    )


def _mail(one: MailSettings) -> Target:
    from wellkeeper_issuer.outside.host.mail import Mail

    return Mail(
        one.name,
        frozenset(map(Notice, one.events)),
        one.server,
        one.security,
        one.sender,
        one.recipients,
        socket.gethostname(),
        one.user,
        one.password_file,
        one.ca_bundle,
    )
