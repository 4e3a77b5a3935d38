"""What to do about a CA's problem documents: pure functions."""

import re
from typing import Final

from wellkeeper_node.model import Problem

# Let's Encrypt pauses a name that failed 1 152 times in a row; only its owner can go on, at a link in the detail.
_UNPAUSE_LINK: Final = re.compile(r"https://\S*unpause\S*")
# Boulder: 'Account is not valid, has status "deactivated"'; Pebble says it the other way round.
_DEACTIVATED: Final = re.compile(r"account.*\b(?:deactivated|revoked)\b|\bdeactivated\b.*account", re.IGNORECASE)


def of_validation(problem: Problem) -> str:
    """Return what to check after a failed validation."""
    match problem.name:
        case "connection":
            return (
                "Look between the CA and the nodes, since no node's own nginx was asked from outside: A and AAAA "
                "records, firewall, port 80"
            )
        case "dns":
            return "Check that the name has an A or AAAA record and that its name servers answer"
        case "caa":
            return "The CAA record of the name does not allow this CA"
        case "unauthorized" | "incorrectResponse":
            return (
                "Something other than this project's responder answered the CA: check that A and AAAA records "
                "lead to the configured nodes only"
            )
        case _:
            return "Fix what the CA names, then run renew again"


def of_request(problem: Problem) -> str:
    """Return what a person has to do about a refused request, where only a person can; else nothing."""
    link = unpause_link(problem)
    if problem.name == "rateLimited" and link:
        return f"; it has paused the name: fix what made its validations fail, then go to {link}"
    if problem.name == "unauthorized" and is_about_deactivation(problem):
        return "; this account is gone for good: 'wellkeeper account show' says which, and what to do"
    if problem.name == "userActionRequired":
        return "; read the terms that it names, then run 'wellkeeper account update'"
    return ""


def unpause_link(problem: Problem) -> str | None:
    """Return the link at which the owner of a paused name resumes it; None when the name is not paused."""
    found = _UNPAUSE_LINK.search(problem.detail)
    return found.group() if found else None


def is_about_deactivation(problem: Problem) -> bool:
    """Whether the CA says that our account was deactivated or revoked."""
    return _DEACTIVATED.search(problem.detail) is not None
