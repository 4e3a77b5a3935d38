"""The Grafana dashboard: Prometheus parses every expression, and each names what the product exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.issuer.outside.states import NOW
from tests.metrics_page import exported
from tests.promtool import RULES, promtool
from wellkeeper_issuer.assembly.all_metrics import counts, recorded
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_issuer.status.certificate_status import Rows
from wellkeeper_issuer.status.overview import Overview

pytestmark = pytest.mark.any_python

DASHBOARD: Final = json.loads(RULES.with_name("wellkeeper.dashboard.json").read_text())
_VARIABLES: Final = {"$__rate_interval": "5m", "$instance": ".*"}
_SERIES: Final = re.compile(r"(?<=\w)_(?:bucket|sum|count|total)$")


def panels() -> Iterator[dict[str, Any]]:
    yield from (one for one in DASHBOARD["panels"] if one["type"] != "row")


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(found) > 20
    return found


def test_prometheus_parses_every_expression(tmp_path: Path) -> None:
    rules = []
    for number, text in enumerate(expressions()):
        for variable, value in _VARIABLES.items():
            text = text.replace(variable, value)  # noqa: PLW2901 - all variables in turn
        assert "$" not in text
        rules.append({"record": f"expression:{number}", "expr": text})
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)


def test_every_metric_is_exported() -> None:
    text = recorded(Overview([], Rows(), NOW, None, ()), (), {}) + counts(Activity(), NOW, {})
    known = {f"wellkeeper_{_SERIES.sub('', name)}" for name in exported(text)}
    query = DASHBOARD["templating"]["list"][1]["query"]["query"]
    named = {_SERIES.sub("", one) for text in (*expressions(), query) for one in re.findall(r"\bwellkeeper_\w+", text)}
    assert len(named) > 15
    assert named <= known


def test_every_panel_uses_the_chosen_data_source_and_instances() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert [panel["datasource"], *(one["datasource"] for one in panel["targets"])].count(source) > 1
        assert panel["description"].endswith(".")
        # Required by @grafana/schema.
        assert panel["type"] != "timeseries" or panel["options"]["legend"]["calcs"] == []
        for one in panel["targets"]:
            metrics = re.findall(r"\bwellkeeper_\w+", one["expr"])
            assert one["expr"].count('{instance=~"$instance"}') == len(metrics)


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    every = DASHBOARD["panels"]
    assert len({one["id"] for one in every}) == len(every)
    cells = [cell for one in every for cell in _cells(one["gridPos"])]
    assert len(cells) == len(set(cells))


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    assert place["x"] + place["w"] <= 24
    for x in range(place["x"], place["x"] + place["w"]):
        yield from ((x, y) for y in range(place["y"], place["y"] + place["h"]))
