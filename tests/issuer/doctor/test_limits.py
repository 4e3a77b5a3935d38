"""The checks of limits and blocks, from the records of the state."""

from datetime import timedelta

from tests.fakes_deliver import NOW
from wellkeeper_issuer.doctor.limits import check_blocks, check_limits
from wellkeeper_issuer.records import Blocked, Budget, Failure, Limit, Scope, Spent
from wellkeeper_node.errors import Retry
from wellkeeper_node.findings import Finding, Verdict

HOUR = 3600.0
URL = "https://ca.example/directory"
FAILED = Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 5, HOUR)
ORDERS = Limit(Spent.ORDER, Scope.ACCOUNT, 300, 3 * HOUR)
LATER = NOW + timedelta(hours=1)


def limits(*budgets: Budget) -> list[Finding]:
    return list(
        check_limits(["one"], [("one", budget) for budget in budgets] + [("two", Budget(ORDERS, "", 300, None))])
    )


def test_unused_limits_are_fine() -> None:
    assert limits() == [Finding("ca-limits", Verdict.OK, "one", "nothing was used of its limits")]


def test_least_rest_and_failures_of_the_last_hour_are_shown() -> None:
    [finding] = limits(Budget(FAILED, "a.example", 2, LATER), Budget(ORDERS, "", 2, LATER))
    assert finding.verdict is Verdict.OK
    assert finding.cause == (
        "3 of 5 failed validations left per identifier (a.example), the next one is free at 2026-03-01 13:00 UTC;"
        " 2 failed validations in the last hour"
    )


def test_reserve_that_is_left_is_a_warning() -> None:
    [finding] = limits(Budget(FAILED, "b.example", 4, None))
    assert (finding.verdict, finding.cause, finding.fix) == (
        Verdict.WARN,
        "1 of 5 failed validations left per identifier (b.example); 4 failed validations in the last hour",
        "Fix what makes orders fail.",
    )


def test_limit_that_is_used_up_fails_with_the_time_of_the_next_use_and_counts_the_others() -> None:
    [finding] = limits(Budget(FAILED, "a.example", 5, LATER), Budget(FAILED, "b.example", 4, None))
    used_up = "0 of 5 failed validations left per identifier (a.example), the next one is free at 2026-03-01 13:00 UTC"
    assert (finding.verdict, finding.cause, finding.fix) == (
        Verdict.FAIL,
        f"{used_up}; 1 other limit nearly used up; 9 failed validations in the last hour",
        "Fix what makes orders fail, and wait until then.",
    )


def test_limit_of_one_has_no_reserve() -> None:
    one = Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 1, HOUR)
    assert limits(Budget(one, "a", 0, None))[0].verdict is Verdict.OK
    assert limits(Budget(one, "a", 1, None))[0].verdict is Verdict.FAIL


def failure(problem: str | None, retry: Retry) -> Failure:
    return Failure(
        "web", 1, "order", "the CA says: paused, see https://ca.example/unpause", retry, NOW, NOW, NOW, problem
    )


def test_nothing_is_blocked() -> None:
    other = failure("rateLimited", Retry.LATER)
    over = Blocked(URL, "", NOW, "it was down")
    elsewhere = Blocked("https://other.example", "", LATER, "it is down")
    found = check_blocks({URL: "one"}, [over, elsewhere], {"web": other, "b": failure("dns", Retry.NEVER)}, NOW)
    assert found == [Finding("ca-blocks", Verdict.OK, "", "1 CA may be asked")]


def test_ca_that_is_left_alone_is_a_warning_with_the_reason() -> None:
    blocks = [Blocked(URL, "", LATER, "it is down"), Blocked(URL, "web", LATER, "it limits web")]
    assert [(one.verdict, one.subject, one.cause) for one in check_blocks({URL: "one"}, blocks, {}, NOW)] == [
        (Verdict.WARN, "one", "one is not asked before 2026-03-01 13:00 UTC: it is down"),
        (Verdict.WARN, "web", "one is not asked before 2026-03-01 13:00 UTC: it limits web"),
    ]


def test_paused_name_fails_with_the_cas_words_once() -> None:
    blocks = [Blocked(URL, "web", LATER, "it limits web")]
    [finding] = check_blocks({URL: "one"}, blocks, {"web": failure("rateLimited", Retry.NEVER)}, NOW)
    assert (finding.verdict, finding.subject) == (Verdict.FAIL, "web")
    assert finding.cause == "the CA paused it: the CA says: paused, see https://ca.example/unpause"
