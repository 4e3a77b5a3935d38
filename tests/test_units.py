"""The units of systemd as text: what booted machines cannot show, or only slowly. tests/systemd starts them."""

import pytest

from stand.processes import PROJECT

AS_ROOT = ("wellkeeper.service", "wellkeeper-renew.service")


@pytest.mark.parametrize("name", AS_ROOT)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("ReadOnlyPaths=-/etc/wellkeeper", id="settings and the trust file cannot be changed"),
        pytest.param("SystemCallErrorNumber=EPERM", id="a hook gets an error instead of a signal"),
    ],
)
def test_unit_of_root_restricts_its_hooks(name: str, line: str) -> None:
    assert line in (PROJECT / "systemd" / name).read_text().splitlines()


def test_both_units_of_root_have_the_same_restrictions() -> None:
    first, second = (_restrictions((PROJECT / "systemd" / name).read_text()) for name in AS_ROOT)
    assert first == second


def _restrictions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return lines[lines.index("ProtectSystem=yes") : lines.index("UMask=0022") + 1]
