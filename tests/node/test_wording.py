"""Wording shared by many messages."""

from datetime import UTC, datetime

from wellkeeper_node.wording import counted, format_exact_time, format_time, times_in_a_row, with_reload

AT = datetime(2026, 3, 1, 4, 5, 59, 999_999, tzinfo=UTC)


def test_times_are_truncated_and_not_rounded() -> None:
    assert (format_time(AT), format_exact_time(AT)) == ("2026-03-01 04:05 UTC", "2026-03-01 04:05:59 UTC")


def test_one_is_singular_and_zero_is_plural() -> None:
    assert [counted(count, "token") for count in (0, 1, 2_000_000)] == ["0 tokens", "1 token", "2000000 tokens"]
    assert [counted(count, "address", "addresses") for count in (1, 2)] == ["1 address", "2 addresses"]
    assert [times_in_a_row(count) for count in (1, 2)] == ["once", "2 times in a row"]


def test_reload_is_named_once_and_last() -> None:
    remedy = with_reload("Set ca = 'x'.")
    assert remedy == "Set ca = 'x', then run 'wellkeeper reload' if a daemon runs."
    assert with_reload(f"{remedy} Or set ca = 'y'.") == (
        "Set ca = 'x'. Or set ca = 'y', then run 'wellkeeper reload' if a daemon runs."
    )
