"""Remedies for words of `nginx -t`."""

import pytest

from wellkeeper_node.advice.words import remedy_for

MISSING = 'nginx: [emerg] host not found in upstream "wellkeeper_responder"'


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (
            f"{MISSING} in /etc/nginx/snippets/wellkeeper/challenge.conf:37",
            "/etc/nginx/snippets/wellkeeper/upstream.conf",
        ),
        (MISSING, "snippets/wellkeeper/upstream.conf"),
    ],
)
def test_missing_upstream_is_named_with_the_include(words: str, path: str) -> None:
    expected = f"Add 'include {path};' to nginx's http block, then reload nginx: upstream.conf is not included."
    assert remedy_for(words) == expected


def test_other_words_explain_themselves() -> None:
    assert remedy_for('nginx: [emerg] host not found in upstream "application" in /x:1') == ""
