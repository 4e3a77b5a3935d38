"""Words for routes and directives in messages."""

from typing import Final

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.request import CHALLENGE, TOKEN
from wellkeeper_node.nginx.route.routes import Route

# The fix where the configuration alone does not decide.
REHEARSE: Final = "Run 'wellkeeper rehearse', which asks nginx."
_LONGEST: Final = 60
_THUMBPRINT: Final = 43


def place(one: Directive) -> str:
    return f"{one.file}:{one.line}"


def shown(one: Directive) -> str:
    """Return the directive as one short line."""
    arguments = " ".join(one.arguments)
    text = f"{one.name} ({arguments})" if one.name == "if" else f"{one.name} {arguments}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def named(one: Directive | None) -> str:
    """Return the directive with its place; None is the directive that decides nothing."""
    return f"'{shown(one)}' at {place(one)}" if one else "the configuration"


def where(one: Directive | None) -> str:
    """Return the place of a finding, "" without one."""
    return place(one) if one else ""


def answered_by(route: Route) -> str:
    """Return which location answers, and what."""
    location = route.ending.location
    return f"{named(location) if location else 'it'} {result(route)}"


def result(route: Route) -> str:
    """Return what the CA gets, as a verb and its object."""
    ending = route.ending
    if ending.outcome is Outcome.CLOSED:
        return "closes the connection"
    if ending.outcome is Outcome.SERVED and ending.text:
        return f"passes it to {ending.text}"
    if ending.outcome is Outcome.REDIRECTED:
        return f"redirects it to {plain(ending.text)}"
    if ending.outcome is Outcome.RETURNED and TOKEN in ending.text:
        return f"answers {ending.text.partition('.')[2][:_THUMBPRINT]!r}, the thumbprint of an account"
    return f"answers {ending.status}" if ending.status else "answers with another page"


def plain(url: str) -> str:
    """Return the URL with an ellipsis for the path of a challenge, or its token."""
    return url.replace(CHALLENGE, "/…").replace(TOKEN, "…")


def is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()
