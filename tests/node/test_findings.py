"""The verdicts of findings are ordered."""

from wellkeeper_node.findings import Finding, Verdict, worst


def findings(*verdicts: Verdict) -> list[Finding]:
    return [Finding("a-check", verdict, "", "a fact") for verdict in verdicts]


def test_worst_verdict_is_the_last_in_order() -> None:
    assert worst(findings(Verdict.OK, Verdict.FAIL, Verdict.WARN)) is Verdict.FAIL
    assert worst(findings(Verdict.SKIPPED, Verdict.WARN, Verdict.OK)) is Verdict.WARN
    assert worst(findings(Verdict.SKIPPED, Verdict.OK)) is Verdict.OK


def test_without_findings_all_is_well() -> None:
    assert worst([]) is Verdict.OK
