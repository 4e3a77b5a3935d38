"""Targets and heartbeat, as the settings describe them."""

from pathlib import Path

from tests.issuer.settings_texts import read
from wellkeeper_issuer.assembly.notifications import make_pulse, make_targets
from wellkeeper_issuer.outside.host.mail import Mail
from wellkeeper_issuer.outside.host.notifications import Webhook
from wellkeeper_issuer.outside.host.pulse import UrlPulse
from wellkeeper_issuer.records import Notice

TEXT = """
[notifications]
webhook = "https://chat.example.org/$1"
[[notifications.webhooks]]
name = "ntfy"
url = "https://ntfy.example.org/a"
events = ["joined"]
body = "$text"
[[notifications.mail]]
name = "admin"
server = "mail.example.org:465"
security = "tls"
sender = "w@example.org"
recipients = ["a@example.org"]
[heartbeat]
url = "https://hc.example.org/x"
method = "POST"
every_minutes = 5
"""


def test_every_target_of_the_settings_is_made(tmp_path: Path) -> None:
    first, ntfy, admin = make_targets(read(tmp_path, TEXT))
    assert isinstance(first, Webhook)
    assert (first.name, first.url, first.is_template) == ("webhook", "https://chat.example.org/$1", False)
    assert [one for one in Notice if not first.wants(one)] == [Notice.RENEWED, Notice.TEST]
    assert isinstance(ntfy, Webhook)
    assert (ntfy.name, ntfy.body, ntfy.is_template) == ("ntfy", "$text", True)
    assert ntfy.events == {Notice.JOINED}
    assert isinstance(admin, Mail)
    assert (admin.server, admin.security, admin.recipients) == (("mail.example.org", 465), "tls", ("a@example.org",))
    assert admin.events == {Notice.FAILURE, Notice.DANGER, Notice.FINDING, Notice.BEHIND}


def test_heartbeat_of_the_settings_is_made(tmp_path: Path) -> None:
    pulse = make_pulse(read(tmp_path, TEXT))
    assert isinstance(pulse, UrlPulse)
    assert (pulse.wanted.url, pulse.wanted.method, pulse.every_seconds) == ("https://hc.example.org/x", "POST", 300)
    assert make_pulse(read(tmp_path, "")) is None
