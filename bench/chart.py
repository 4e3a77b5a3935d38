"""Draw the chart: horizontal bars, one panel per group, SVG written as text."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.figures import Result, Series, shown

# Panels in this order; a panel of which nothing was measured is left out.
_PANELS: Final = (
    "until proven served",
    "until proven served, CA 100 ms away",
    "until the chain is on disk",
    "requests, keep-alive",
    "requests, close",
    "publish to 3 nodes",
    "publish to 20 nodes",
    "publish to 100 nodes",
    "put until the last of 20 nodes has it",
    "tokens served",
    "TLS handshakes",
)
_OURS: Final = (
    "wellkeeper",
    "wellkeeper, by the daemon",
    "responder",
    "nginx → responder",
    "nginx → responder, challenge.conf",
    "relay",
    "relay and engine",
    "engine alone",
    "engine frozen",
    "engine gone",
)
_UNITS: Final = {"s": "seconds; less is better", "ms": "milliseconds; less is better", "/s": "a second; more is better"}

_WIDTH: Final = 760
_LABEL: Final = 250
_BAR: Final = 400
_LINE: Final = 24
_TITLE: Final = 34
_MARGIN: Final = 16


def chart(results: Sequence[Result]) -> str:
    """Return an SVG document with its own background, readable on light and dark pages."""
    series = [one for result in results for one in result.series]
    panels = [[one for one in series if one.group == group] for group in _PANELS]
    parts, y = [], _MARGIN
    for panel in filter(None, panels):
        parts.append(_panel(panel, y))
        y += _TITLE + _LINE * len(panel)
    height = y + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1c2430">\n'
        "<title>Wellkeeper beside its yardsticks</title>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{"".join(parts)}</svg>\n'
    )


def _panel(series: Sequence[Series], y: int) -> str:
    first = series[0]
    heading = escape(f"{first.group[0].upper()}{first.group[1:]} ({_UNITS[first.unit]})")
    largest = max(one.median for one in series)
    bars = [_bar(one, largest, y + _TITLE + _LINE * number) for number, one in enumerate(series)]
    return f'<text x="{_MARGIN}" y="{y + 20}" font-weight="600">{heading}</text>\n{"".join(bars)}'


def _bar(series: Series, largest: float, y: int) -> str:
    width = max(1.0, series.median / largest * _BAR)
    colour = "#2f6fde" if series.name in _OURS else "#aab4c2"
    return (
        f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(series.name)}</text>'
        f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="{_LINE - 8}" rx="2" fill="{colour}"/>'
        f'<text x="{_LABEL + width + 6:.1f}" y="{y + 14}">{shown(series.median)}</text>\n'
    )
