"""Progress of renewing many certificates: a counter, and one line per finished certificate."""

import io

from wellkeeper_issuer.commands.terminal.brief import BriefProgress, UnexplainedFailures
from wellkeeper_issuer.commands.terminal.progress import LineProgress, no_prefix
from wellkeeper_issuer.commands.terminal.tally import Tally
from wellkeeper_node.ports import Progress


def renew(progress: Progress, name: str, *, fails: bool = False) -> None:
    progress.note(name, "due: no certificate yet")
    progress.started(name, "order")
    if fails:
        progress.failed(name, "order", 0.5, "the CA refused it")
        return
    progress.finished(name, "order", 0.5, "https://ca.example/order/1")
    progress.started(name, "verify")
    progress.finished(name, "verify", 0.1, "served")


def lines(tally: Tally, *, is_counted: bool = False) -> tuple[BriefProgress, io.StringIO]:
    out = io.StringIO()
    return BriefProgress(LineProgress(out, no_prefix), tally, is_counted=is_counted), out


def test_each_finished_certificate_has_one_line_with_the_counter() -> None:
    progress, out = lines(Tally(3))
    renew(progress, "a")
    renew(progress, "b", fails=True)
    renew(progress, "c")
    assert out.getvalue().splitlines() == ["a: served (1/3)", "c: served (3/3)"]


def test_single_certificate_has_no_counter() -> None:
    progress, out = lines(Tally(1))
    renew(progress, "a")
    assert out.getvalue() == "a: served\n"


def test_unknown_total_is_left_out() -> None:
    progress, out = lines(Tally())
    renew(progress, "a")
    assert out.getvalue() == "a: served (1 finished)\n"


def test_terminal_shows_the_counter_instead_of_lines() -> None:
    tally = Tally(3)
    progress, out = lines(tally, is_counted=True)
    renew(progress, "a")
    progress.started("b", "order")
    progress.started("c", "order")
    assert (out.getvalue(), tally.line) == ("", "1/3  b  order …, c  order …")


def test_certificate_retried_at_another_ca_is_not_finished() -> None:
    tally = Tally(2)
    progress, _ = lines(tally)
    renew(progress, "a", fails=True)
    assert tally.counter == "1/2"
    progress.started("a", "order")
    assert tally.counter == "0/2"


def test_warnings_and_events_after_an_interrupt_are_shown() -> None:
    progress, out = lines(Tally(2))
    progress.note("a", "WARNING: the first CA is away")
    progress.note("renew", "interrupted")
    progress.note("daemon", "continues")
    assert out.getvalue().splitlines() == [
        "a: WARNING: the first CA is away",
        "renew: interrupted",
        "daemon: continues",
    ]


def test_details_of_failures_appear_only_in_the_result() -> None:
    out = io.StringIO()
    progress = UnexplainedFailures(LineProgress(out, no_prefix))
    renew(progress, "a", fails=True)
    assert out.getvalue().splitlines() == ["a: due: no certificate yet", "a: order      0.50 s  failed"]
