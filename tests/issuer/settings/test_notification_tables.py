"""The tables `[notifications]` and `[heartbeat]`: defaults, placeholders, and mistakes."""

import re
from pathlib import Path
from typing import get_args

import pytest

from tests.issuer.settings_texts import complaint, read
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.settings.notification_tables import EventName

CHAT = "[[notifications.webhooks]]\nname = 'chat'\nurl = 'https://chat.example/hooks'\n"
MAIL = "[[notifications.mail]]\nname = 'admin'\nsender = 'w@example.org'\nrecipients = ['a@example.org']\n"


def test_events_are_all_notices_but_the_test() -> None:
    assert set(get_args(EventName)) == set(Notice) - {Notice.TEST}


def test_new_target_gets_what_needs_a_person(tmp_path: Path) -> None:
    (chat,) = read(tmp_path, CHAT).notifications.webhooks
    assert chat.events == ("failure", "danger", "finding", "behind")
    assert (chat.headers, chat.body, chat.secret_file, chat.ca_bundle) == ({}, None, None, None)


def test_mail_uses_starttls(tmp_path: Path) -> None:
    (mail,) = read(tmp_path, f"{MAIL}server = 'mail.example:587'").notifications.mail
    assert (mail.security, mail.user, mail.events) == ("starttls", None, ("failure", "danger", "finding", "behind"))


@pytest.mark.parametrize("server", ["127.0.0.1:25", "[::1]:25", "localhost:25"])
def test_mail_without_tls_is_for_this_host(tmp_path: Path, server: str) -> None:
    assert read(tmp_path, f"{MAIL}server = '{server}'\nsecurity = 'none'").notifications.mail[0].security == "none"


def test_placeholders_may_be_anywhere_in_a_body(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    body = "body = { a = ['$text', { b = '$$5 $command' }], c = 3 }"
    text = f"{CHAT}{body}\nheaders = {{ Authorization = 'Bearer $secret' }}\nsecret_file = '{tmp_path}/secret'"
    assert read(tmp_path, text).notifications.webhooks[0].body == {"a": ["$text", {"b": "$$5 $command"}], "c": 3}


def test_heartbeat_is_off_by_default(tmp_path: Path) -> None:
    heartbeat = read(tmp_path, "").heartbeat
    assert (heartbeat.url, heartbeat.method, heartbeat.every_minutes) == (None, "GET", 15.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{CHAT}body = '$txt'", "notifications.webhooks[0]: unknown placeholder $txt; known are $secret, $id, "),
        (f"{CHAT}body = {{ a = ['5 $'] }}", "'5 $' has a '$' without a name; write $$ for a dollar sign"),
        (f"{CHAT}headers = {{ Title = '$detail' }}", "unknown placeholder $detail; known are $secret, $id, $event, "),
        (f"{CHAT}headers = {{ Title = 'ä' }}", "the header Title may contain only printable ASCII characters"),
        (f"{CHAT}headers = {{ 'a b' = 'x' }}", "'a b' is not the name of a header"),
        (f"{CHAT}headers = {{ content-length = '5' }}", "Wellkeeper sets the header content-length itself; remove it"),
        (f"{CHAT}body = 5", "notifications.webhooks[0].body: must be a table, which is sent as JSON, or a string"),
        (f"{CHAT}body = {{ a = [2026-03-01] }}", "date is not JSON serializable); write dates and such numbers as"),
        (f"{CHAT}body = {{ a = nan }}", "cannot be sent as JSON (Out of range float values are not JSON compliant"),
        (f"{CHAT}headers = {{ a = '$secret' }}", "$secret has no value; add secret_file = '/PATH'"),
        (
            f"{CHAT}url = 'https://a.example/$text'".replace("url = 'https://chat.example/hooks'\n", ""),
            "unknown placeh",
        ),
        ("[[notifications.webhooks]]\nname = 'chat'", "number 1 ('chat') has no url; add url = "),
        (f"{CHAT}evnets = []", "unknown key 'notifications.webhooks[0].evnets'. Did you mean 'events'?"),
        (
            f"{CHAT}events = ['renewd']",
            "notifications.webhooks[0].events[0] = 'renewd': must be 'failure', 'danger', ",
        ),
        (f"{CHAT}{CHAT}", "notifications: two targets are named 'chat'; rename one"),
        (f"{CHAT.replace('chat', 'webhook', 1)}[notifications]\nwebhook = 'https://a.example/'", "named 'webhook'"),
        (f"{MAIL}", "[[notifications.mail]] number 1 ('admin') has no server; add server = "),
        (f"{MAIL}server = 'a.example:25'\nsecurity = 'none'", "security = 'none' is only for a server on this host"),
        (f"{MAIL}server = 'a.example:25'\nuser = 'x'", "set both user and password_file, or neither"),
        (f"{MAIL}server = 'a.example'", "notifications.mail[0].server: 'a.example' "),
        (f"{MAIL}server = 'a.example:25'".replace("w@", "w "), "'w example.org' is not an email address"),
        (f"{MAIL}server = 'a.example:25'".replace("w@", "a;w@"), "'a;w@example.org' is not an email address"),
        (f"{MAIL}server = 'a.example:25'".replace("w@", "mailto:w@"), "'mailto:w@example.org' is not an email"),
        (f"{MAIL}server = 'a.example:25'".replace("w@", "w@."), "'w@.example.org' is not an email address"),
        ("[heartbeat]\nurl = 'https://a.example:99999/secret'", "heartbeat.url: its host or port is not valid"),
        ("[heartbeat]\nurl = 'https://[::1/secret'", "heartbeat.url: its host or port is not valid"),
        ("[heartbeat]\nurl = 'https://:443/secret'", "heartbeat.url: its host or port is not valid"),
        ("[heartbeat]\nevery_minutes = 0", "heartbeat.every_minutes must be greater than 0, not 0"),
        ("[heartbeat]\nurl = 'x'", "heartbeat.url: 'x' is not an http:// or https:// URL"),
    ],
)
def test_mistake_names_place_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    found = complaint(tmp_path, text)
    assert len(found.splitlines()) == 1
    assert re.search(re.escape(words), found), found
