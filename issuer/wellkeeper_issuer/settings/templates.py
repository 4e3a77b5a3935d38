"""Check the `$name` placeholders of notifications: `string.Template`, which only inserts values."""

import json
from collections.abc import Iterator
from string import Template
from typing import Any, Final

SECRET: Final = "secret"
# Values without line breaks and without text of others.
IN_HEADERS: Final = (SECRET, "id", "event", "subject", "title", "at", "host")
IN_BODIES: Final = (*IN_HEADERS, "detail", "text", "command")


def check_template(text: str, known: tuple[str, ...]) -> None:
    """Raise ValueError for a placeholder that has no value."""
    template = Template(text)
    if not template.is_valid():
        raise ValueError(f"{text!r:.80} has a '$' without a name; write $$ for a dollar sign")
    for name in template.get_identifiers():
        if name not in known:
            allowed = ", ".join(f"${one}" for one in known)
            raise ValueError(f"unknown placeholder ${name}; known are {allowed}; write $$ for a dollar sign")


def check_body(body: object) -> object:
    """Return the body of a webhook; raises ValueError for what is neither a text nor JSON."""
    if not isinstance(body, str | dict):
        raise ValueError("must be a table, which is sent as JSON, or a string")
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot be sent as JSON ({error}); write dates and such numbers as strings") from error
    return body


def texts_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - any TOML
    """Yield the strings in a value, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def uses(text: str, name: str) -> bool:
    return name in Template(text).get_identifiers()
