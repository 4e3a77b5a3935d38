"""The values in the systemd units, for tests that run their programs."""

from stand.processes import PROJECT


def environment_of(unit: str) -> dict[str, str]:
    """Return the variables that the unit sets for its program."""
    lines = (PROJECT / f"systemd/{unit}.service").read_text().splitlines()
    return dict(line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment="))
