"""Remedies for words of `nginx -t`."""

import pytest

from wellkeeper_node.nginx.processes import Ids
from wellkeeper_node.nginx.refusals import place_of, remedy_of, remedy_of_keys


@pytest.mark.parametrize(
    ("words", "remedy", "place"),
    [
        (
            '[emerg] host not found in upstream "wellkeeper_responder" in /s/challenge.conf:32',
            "Add 'include /s/upstream.conf;' to nginx's http block, then reload nginx: upstream.conf is not included.",
            "/s/challenge.conf:32",
        ),
        (
            '[emerg] duplicate upstream "wellkeeper_responder" in /etc/nginx/upstream.conf:10',
            "Remove one of the two: include upstream.conf only once, in the http block.",
            "/etc/nginx/upstream.conf:10",
        ),
        ("[emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "Fix what it reports.", ""),
    ],
    ids=["upstream.conf forgotten", "upstream.conf twice", "anything else"],
)
def test_words_of_nginx_give_remedy_and_place(words: str, remedy: str, place: str) -> None:
    assert (remedy_of(words), place_of(words)) == (remedy, place)


@pytest.mark.parametrize(
    ("words", "ids", "names_group"),
    [
        ("cannot load certificate key (13: Permission denied)", Ids(1, 54_321, ()), True),
        ("cannot load certificate key (13: Permission denied)", Ids(0, 0, ()), False),
        ("cannot load certificate key (13: Permission denied)", None, False),
        ("bind() to 0.0.0.0:80 failed (98: Address already in use)", Ids(1, 54_321, ()), False),
    ],
    ids=["not root", "root", "ended", "other words"],
)
def test_master_that_cannot_read_a_key_needs_its_group_in_the_settings(
    words: str, ids: Ids | None, names_group: bool
) -> None:
    assert ('Set certificates_group = "54321" in the settings' in remedy_of_keys(words, ids)) is names_group
