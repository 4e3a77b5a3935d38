"""Remedies for a CA's problem documents: pure functions."""

import re
from typing import Final

from wellkeeper_node.model import Problem

# Let's Encrypt pauses a name after 1 152 failures in a row; the detail has the link at which its owner resumes it.
_UNPAUSE_LINK: Final = re.compile(r"https://\S*unpause\S*")
# Boulder: 'Account is not valid, has status "deactivated"'; Pebble words it the other way round.
_DEACTIVATED: Final = re.compile(r"account.*\b(?:deactivated|revoked)\b|\bdeactivated\b.*account", re.IGNORECASE)
# What CAs say to a signature by another key than the account's: Boulder and Pebble "JWS verification error".
_SIGNATURE: Final = re.compile(r"\bJWS\b|\bsignature\b", re.IGNORECASE)
# serles answers keyChange with 403, others with 404 or 405; step-ca and Caddy with 501.
_NOT_OFFERED: Final = re.compile(r"\bnot (?:offered|implemented|supported)\b", re.IGNORECASE)
_NOT_IMPLEMENTED: Final = 501
WAY_TO_THE_NODES: Final = "Check what lies between the CA and the nodes: A and AAAA records, firewall, port 80."


def of_validation(problem: Problem) -> str:
    """Return what to check after a failed validation."""
    match problem.name:
        case "connection":
            return WAY_TO_THE_NODES
        case "dns":
            return "Check that the name has an A or AAAA record and that its name servers answer."
        case "caa":
            return "Allow this CA in the CAA record of the name."
        case "unauthorized" | "incorrectResponse":
            return "Check that A and AAAA records lead only to the configured nodes: another server answered the CA."
        case _:
            return "Fix what the CA reports, then run 'wellkeeper renew' again."


def of_request(problem: Problem) -> str:
    """Return what the administrator must do about a refused request; "" when nothing."""
    link = unpause_link(problem)
    if problem.name == "rateLimited" and link:
        return f"Fix the cause of the failed validations, then open {link} to resume the name."
    if problem.name == "unauthorized" and is_about_deactivation(problem):
        return "Run 'wellkeeper account show': the account was permanently deactivated."
    if problem.name == "userActionRequired":
        return "Read the terms that the CA names, then run 'wellkeeper account update'."
    return ""


def unpause_link(problem: Problem) -> str | None:
    """Return the link at which the owner of a paused name resumes it; None when the name is not paused."""
    found = _UNPAUSE_LINK.search(problem.detail)
    return found.group() if found else None


def is_about_deactivation(problem: Problem) -> bool:
    """Return True if the problem says that our account was deactivated or revoked."""
    return _DEACTIVATED.search(problem.detail) is not None


def may_be_about_our_account(problem: Problem) -> bool:
    """Return True if the CA may have forgotten our account, or our key is not the account's.

    django-ca and acme2certifier report a forgotten account as `unauthorized`, with HTTP 401 or 403.
    """
    if problem.name == "unauthorized":
        return not is_about_deactivation(problem)
    return problem.name == "malformed" and _SIGNATURE.search(problem.detail) is not None


def is_about_contact(problem: Problem) -> bool:
    """Return True if the CA refused an account because of its contacts."""
    return problem.name in {"invalidContact", "unsupportedContact"} or "contact" in problem.detail.lower()


def is_not_offered(problem: Problem) -> bool:
    """Return True if the CA does not have what the directory offers."""
    return problem.status == _NOT_IMPLEMENTED or _NOT_OFFERED.search(problem.detail) is not None
