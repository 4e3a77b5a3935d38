"""The measurements of an engine, as small as they can be: they end, and each figure has a value."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.engine import contents, news
from bench.figures import QUICK

pytestmark = [pytest.mark.integration, pytest.mark.any_python]


async def test_news_reach_all_followers_in_both_ways(folder: Path) -> None:
    result = await news.measure(replace(QUICK, rounds=1), folder, _ignore)
    assert {one.name for one in result.series} == {"wellkeeper", "redis-py"}
    assert all(one.median > 0 for one in result.series)


async def test_new_node_receives_everything(folder: Path) -> None:
    result = await contents.measure(replace(QUICK, rounds=1, lineage_count=1, token_count=1000), folder, _ignore)
    assert [one.unit for one in result.series] == ["MiB", "s", "s"]
    assert all(one.median > 0 for one in result.series)


def _ignore(_text: str) -> None:
    return
