"""Make a report short enough for a record: what matters least for the issuer goes first. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from wellkeeper_node.agent.report import DONE, PublicationReport, Report, done_digest

_TOO_LONG: Final = "the report would be too long, so it lacks some certificates or tokens"


def shortened(report: Report) -> Iterator[Report]:
    """Yield the report, then shorter ones, the last with neither certificates nor publications.

    Of certificates that nginx has, a digest is enough; without any of the others, the report says that it lacks some.
    """
    yield report
    bare = {jti: _without_passed(one) for jti, one in report.publications.items()}
    yield replace(report, publications=bare)
    concern = report.concern or _TOO_LONG
    every = sorted(report.certificates.items(), key=lambda one: one[1].state in DONE and one[1].instead is None)
    length = len(every)
    while length:
        length //= 2
        rest = every[length:]
        done = frozenset(done_digest(name, one.number, one.state) for name, one in rest if one.state in DONE)
        is_whole = len(done) == len(rest)
        yield replace(
            report,
            publications=bare,
            certificates=dict(every[:length]),
            done=done,
            concern=report.concern if is_whole else concern,
        )
    done = frozenset(done_digest(name, one.number, one.state) for name, one in every if one.state in DONE)
    tokens = list(bare.items())
    while tokens:
        tokens = tokens[: len(tokens) // 2]
        yield replace(report, publications=dict(tokens), fetches={}, certificates={}, done=done, concern=concern)
    yield replace(report, publications={}, fetches={}, certificates={}, concern=concern)


def _without_passed(one: PublicationReport) -> PublicationReport:
    """Leave out the read-backs that succeeded: the issuer acts on the others only."""
    return replace(one, read_backs=tuple(read for read in one.read_backs if read.cause is not None))
