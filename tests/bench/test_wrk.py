"""Parsing of wrk's output; missing figures are an error."""

import pytest

from bench.wrk import parse
from stand.processes import StandError

_LINE = '{"requests": 200, "seconds": 2.000000, "errors": 1, "p99_ms": 1.5}'


def test_json_line_is_found_in_the_output() -> None:
    run = parse(f"Running 2s test\n  200 requests in 2.00s\n\n{_LINE}\n")
    assert (run.requests_per_second, run.errors, run.p99_ms) == (100, 1, 1.5)


@pytest.mark.parametrize("out", ["unable to connect\n", _LINE.replace("200", "0")], ids=["no line", "no request"])
def test_run_without_responses_is_an_error(out: str) -> None:
    with pytest.raises(StandError, match="got no answer"):
        parse(out)
