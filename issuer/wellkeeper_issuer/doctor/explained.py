"""Skip failures that follow from another one: each problem is reported once, by the check that names the cause."""

from collections.abc import Sequence
from typing import Final

from wellkeeper_node.findings import Finding, Verdict

# Ids of failures, with the ids of those that explain them if they are about the same subject.
BY_SUBJECT: Final = {"reach": ("challenge-route", "challenge-route-ipv6")}
# The same for those of this host or of its node, which explain every subject.
BY_HOST: Final = {
    "reach": ("nginx-process", "responder-reach", "responder"),
    "responder-reach": ("responder",),
    "served": ("nginx-process",),
    "status-reach": ("status-endpoint",),
}
_OF_ALL_NODES: Final = frozenset({"reach"})


def without_followers(found: Sequence[Finding], node: str | None, *, is_only: bool) -> list[Finding]:
    """Return the findings, with failures as skipped that another failure explains.

    `node` is the name of this host's node. Unless it is the only one, `reach` may be about another node, whose failures
    nothing here explains.
    """
    failed = {(one.check, one.subject) for one in found if one.verdict is Verdict.FAIL}
    checks = {check for check, subject in failed if subject in {"", node}}

    def explanation(one: Finding) -> str:
        if one.verdict is not Verdict.FAIL or (one.check in _OF_ALL_NODES and not is_only):
            return ""
        by_subject = (check for check in BY_SUBJECT.get(one.check, ()) if (check, one.subject) in failed)
        by_host = (check for check in BY_HOST.get(one.check, ()) if check in checks)
        return next(iter((*by_subject, *by_host)), "")

    return [_skipped(one, check) if (check := explanation(one)) else one for one in found]


def _skipped(one: Finding, explaining: str) -> Finding:
    return Finding(one.check, Verdict.SKIPPED, one.subject, f"not reported: {explaining} explains it")
