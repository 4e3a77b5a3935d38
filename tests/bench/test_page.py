"""Benchmark results in docs/: the hand-written text stays, the chart is an image."""

from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from bench import page
from bench.chart import chart
from bench.figures import Result, Series, ratio_at_most
from stand.processes import PROJECT

_OURS: Final = Series("until proven served", "wellkeeper", "s", (1.0, 2.0, 1.5))
_THEIRS: Final = Series("until proven served", "certbot", "s", (3.0, 4.0, 3.0))
_RESULT: Final = Result("x", "Time", (_OURS, _THEIRS), (ratio_at_most(_OURS, _THEIRS, 0.1),), ("A <note>.",))
_MACHINE: Final = {
    "at": "2026-03-01T12:00:00+00:00",
    "processor": "a processor",
    "cores": 2,
    "memory_gib": 4.0,
    "system": "Linux 6",
    "load_before": 0.1,
    "versions": {"nginx": "1.22.1"},
}
_SVG: Final = "{http://www.w3.org/2000/svg}"


def test_results_replace_the_text_between_the_markers(tmp_path: Path) -> None:
    file = tmp_path / page.PAGE
    other = f"{page.FLEET.begin}\nolder\n{page.FLEET.end}\n"
    file.write_text(f"by hand\n{page.HOST.begin}\nold\n{page.HOST.end}\nby hand too\n{other}")
    page.write(tmp_path, page.HOST, [_RESULT], _MACHINE)
    text = file.read_text()
    assert text.startswith(f"by hand\n{page.HOST.begin}\n")
    assert text.endswith(f"{page.HOST.end}\nby hand too\n{other}")
    assert "old\n" not in text
    assert "| until proven served | wellkeeper | 1.5 s | 1 – 2 |" in text
    assert "| until proven served: wellkeeper | ≤ 0.1 × certbot | 0.5 | **missed** |" in text
    assert "a processor, 2 cores, 4.0 GiB" in text


def test_page_without_markers_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / page.PAGE).write_text("by hand\n")
    with pytest.raises(ValueError, match="has no place for results"):
        page.write(tmp_path, page.HOST, [_RESULT], _MACHINE)
    assert (tmp_path / page.PAGE).read_text() == "by hand\n"


def test_benchmarks_page_has_the_markers() -> None:
    text = (PROJECT / "docs" / page.PAGE).read_text()
    parts = (page.HOST, page.FLEET, page.ENGINE, page.STATUS_PAGE)
    assert all(text.count(mark) == 1 for part in parts for mark in (part.begin, part.end))


def test_part_without_a_chart_writes_none(tmp_path: Path) -> None:
    (tmp_path / page.PAGE).write_text(f"{page.STATUS_PAGE.begin}\n{page.STATUS_PAGE.end}\n")
    page.write(tmp_path, page.STATUS_PAGE, [_RESULT], _MACHINE)
    assert [file.name for file in tmp_path.iterdir()] == [page.PAGE]
    text = (tmp_path / page.PAGE).read_text()
    assert "### Goals" in text
    assert "![" not in text


def test_bar_length_follows_the_median_and_our_bars_are_highlighted() -> None:
    _, *bars = ElementTree.fromstring(chart([_RESULT])).findall(f"{_SVG}rect")  # noqa: S314 - we wrote it
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] / widths[1] == pytest.approx(0.5)
    assert bars[0].attrib["fill"] != bars[1].attrib["fill"]


@pytest.mark.parametrize("unit", ["s", "ms", "/s"])
def test_chart_names_every_unit(unit: str) -> None:
    panel = chart([Result("x", "t", (Series("publish to 3 nodes", "relay", unit, (1.0,)),), ())])
    assert ("more is better" if unit == "/s" else "less is better") in panel


def test_names_are_escaped_in_the_chart() -> None:
    series = Series("requests, close", "a < b & c", "/s", (1.0,))
    root = ElementTree.fromstring(chart([Result("x", "t", (series,), ())]))  # noqa: S314 - we wrote it
    assert "a < b & c" in [text.text for text in root.findall(f"{_SVG}text")]
