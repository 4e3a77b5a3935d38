"""Turn an error into the finding of a check, with the error's own words."""

from typing import Final

from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict

NEEDS_ROOT: Final = "only root may do this; run it with sudo"
_FIX: Final = "Fix what it reports."


def of_error(check: str, error: WellkeeperError, subject: str = "", place: str = "") -> Finding:
    """Return the failure of the check."""
    cause = f"{error.what}: {error.why}" if error.why else error.what
    return Finding(check, Verdict.FAIL, subject, cause.rstrip("."), error.remedy or _FIX, place)
