"""scripts/bench: what Wellkeeper costs, beside yardsticks measured in the same run; not part of the wheel."""
