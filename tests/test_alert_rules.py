"""The alert rules: promtool runs their tests, and each rule has one that fires and one that stays silent."""

import re
from typing import Final

from tests.metrics_page import documented
from tests.promtool import CASES, RULES, promtool

_SECTIONS: Final = ("certificates", "the daemon", "nodes", "a standby", "a node", "the responder", "the relay")


def test_rules_fire_and_stay_silent_as_their_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES)


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_stays_silent() -> None:
    rules = re.findall(r"- alert: (\w+)", RULES.read_text())
    cases = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", CASES.read_text())
    assert len(set(rules)) == len(rules) > 0
    assert {name for name, silent in cases if silent} == set(rules)
    assert {name for name, silent in cases if not silent} == set(rules)


def test_rules_and_their_tests_name_only_exported_metrics() -> None:
    exported = {name for section in _SECTIONS for name in names_of(section)}
    for path in (RULES, CASES):
        assert set(re.findall(r"\bwellkeeper_\w+", path.read_text())) <= exported


def names_of(section: str) -> list[str]:
    prefix = "wellkeeper_relay_" if section == "the relay" else "wellkeeper_"
    return [prefix + name for name in documented(f"Metrics of {section}")]


def test_rules_are_those_of_the_documentation() -> None:
    page = documented_alerts()
    assert page == [name.removeprefix("Wellkeeper") for name in re.findall(r"- alert: (\w+)", RULES.read_text())]


def documented_alerts() -> list[str]:
    """Return the names of the table in docs/monitoring.md, in its order."""
    page = (RULES.parent.parent / "docs/monitoring.md").read_text()
    _, _, section = page.partition("\n## Alerts\n")
    rows = [line.split("|")[1] for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]
