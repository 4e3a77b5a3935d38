"""Secrets in values of the settings are masked."""

import pytest

from wellkeeper_issuer.settings.secrets import mask_command, mask_texts, mask_url, mask_webhook


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://ca.example/directory", "https://ca.example/directory"),
        ("https://me:pw@ca.example/directory", "https://***@ca.example/directory"),
        ("https://me:p@w@ca.example/directory", "https://***@ca.example/directory"),
        ("https://ca.example/directory?key=x", "https://ca.example/directory?***"),
        ("socks5://me:pw@proxy.example:1080", "socks5://***@proxy.example:1080"),
        ("mailto:me@example.org", "mailto:me@example.org"),
        ("/etc/wellkeeper/token", "/etc/wellkeeper/token"),
    ],
)
def test_url_keeps_its_path(text: str, masked: str) -> None:
    assert mask_url(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://hooks.example/services/T/B", "https://hooks.example/***"),
        ("https://me:pw@hooks.example:8443/a?b#c", "https://***@hooks.example:8443/***"),
        ("https://hooks.example?token=x", "https://hooks.example?***"),
        ("https://hooks.example/", "https://hooks.example/"),
        ("http://hooks.example", "http://hooks.example"),
    ],
)
def test_webhook_keeps_its_host(text: str, masked: str) -> None:
    assert mask_webhook(text) == masked


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        (["systemctl", "reload", "postfix"], ["systemctl", "reload", "postfix"]),
        (["curl", "-H", "Authorization: Bearer x y"], ["curl", "-H", "Authorization: ***"]),
        (["curl", "-H", "X-Api-Key:x"], ["curl", "-H", "X-Api-Key:***"]),
        (["notify", "--password=x"], ["notify", "--password=***"]),
        (["notify", "--token", "x", "deploy"], ["notify", "--token", "***", "deploy"]),
        (["notify", "--token-file", "/etc/token"], ["notify", "--token-file", "/etc/token"]),
        (["notify", "--key-file=/etc/key"], ["notify", "--key-file=/etc/key"]),
        (["curl", "-u", "me:pw", "https://h.example/x"], ["curl", "-u", "me:***", "https://h.example/***"]),
        (["curl", "-d", '{"text": "a", "token": "x"}'], ["curl", "-d", '{"text": "a", "token": ***']),
        (["sudo", "-u", "deploy", "run"], ["sudo", "-u", "deploy", "run"]),
        (["env", "SECRET=x", "run"], ["env", "SECRET=***", "run"]),
        (["sh", "-c", "curl -H 'Cookie: x' https://h.example"], ["sh", "-c", "curl -H 'Cookie: ***"]),
    ],
    ids=" ".join,
)
def test_command_keeps_arguments_without_secrets(arguments: list[str], masked: list[str]) -> None:
    assert mask_command(arguments) == masked


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"Authorization": "Bearer x", "Title": "$title"}, {"Authorization": "***", "Title": "$title"}),
        ({"routing_key": "x", "n": 3}, {"routing_key": "***", "n": 3}),
        ([{"text": "$text"}, "y"], [{"text": "$text"}, "***"]),
        ("token=x&text=$text", "token=***"),
        ("pa$$word", "***"),
        ("$$$$x", "***"),
        ("$$5 for $text", "$$5 for $text"),
        ("$$$title", "$$$title"),
        ("see https://h.example/x $text", "see https://h.example/*** $text"),
        ('{"routing_key":"x","text":"$text"}', '{"routing_key":***'),
        (None, None),
    ],
)
def test_texts_keep_placeholders(value: object, masked: object) -> None:
    assert mask_texts(value) == masked
