"""Ask systemd about units with systemctl(1): their state and their sandbox."""

from collections.abc import Mapping, Sequence
from typing import Final

from wellkeeper_node import process

_PROPERTIES: Final = (
    *("Id", "LoadState", "ActiveState", "UnitFileState", "Result", "User", "Environment"),
    *("ProtectSystem", "ProtectHome", "PrivateTmp", "NoNewPrivileges", "InaccessiblePaths", "ReadWritePaths"),
)
_SECONDS: Final = 20.0

Properties = Mapping[str, str]


async def read_units(names: Sequence[str], program: str = "systemctl") -> Mapping[str, Properties]:
    """Return the properties of the units that systemd has loaded, by name; none where systemd cannot be asked."""
    try:
        finished = await process.run([program, "show", f"--property={','.join(_PROPERTIES)}", *names], _SECONDS)
    except process.ProcessError:
        return {}
    found = {}
    # One block per unit, in this order; aliases have another Id.
    for name, block in zip(names, finished.output.split("\n\n"), strict=False):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if properties.get("LoadState") == "loaded":
            found[name] = properties
    return found
