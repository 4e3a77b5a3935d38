"""scripts/bench: measure Wellkeeper and yardsticks in the same run; not part of the wheel."""
