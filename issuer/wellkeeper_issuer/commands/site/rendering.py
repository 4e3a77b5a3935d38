"""Render templates. Every text is escaped, and made harmless first: those of CAs, clients and files are anyone's."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from wellkeeper_client.foreign_text import LONGEST_SENTENCE, one_line

_FOLDER: Final = Path(__file__).parent / "templates"


def render(template: str, *, is_static: bool = False, **values: Any) -> str:  # noqa: ANN401 - what the template shows
    """Return the text of a page; a static one has its style in it, and no links to others."""
    return _environment().get_template(template).render(values, is_static=is_static)


def load_templates() -> None:
    """Compile all templates, once, so that no page waits for that."""
    for name in _environment().list_templates(extensions=["html"]):
        _environment().get_template(name)


def read_file(name: str) -> str:
    """Return a file that pages link to."""
    return (_FOLDER / name).read_text()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _harmless(value: object) -> str:
    """Return text without line breaks and control characters, also those that change its direction."""
    return value if isinstance(value, Markup) else one_line(value, LONGEST_SENTENCE)
