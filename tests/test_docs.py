"""The documentation names what the programs have."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from issuer.settings import Settings
from issuer.settings_tables import (
    CaSettings,
    CertificateSettings,
    HooksSettings,
    LimitSettings,
    NginxSettings,
    NodeSettings,
    NotificationsSettings,
    RehearsalSettings,
)

PROJECT = Path(__file__).parent.parent
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": Settings,
    "`[nginx]`": NginxSettings,
    "`[[nodes]]`": NodeSettings,
    "`[hooks]`": HooksSettings,
    "`[notifications]`": NotificationsSettings,
    "`[rehearsal]`": RehearsalSettings,
    "`[[cas]]`": CaSettings,
    "`[[cas.limits]]`": LimitSettings,
    "`[[certificates]]`": CertificateSettings,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_documented_settings_are_those_that_exist(section: str) -> None:
    text = (PROJECT / "docs/settings.md").read_text().partition(f"\n## {section}")[2].partition("\n## ")[0]
    first_columns = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {key for column in first_columns for key in re.findall("`([a-z_]+)`", column)}
    names = {"nginx", "hooks", "notifications", "rehearsal", "cas", "nodes", "certificates"}
    tables = names if section == "Top level" else set()
    assert documented == SECTIONS[section].model_fields.keys() - tables


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("nginx/*.md")]
    broken = [f"{page.name}: {target}" for page in pages for target in _targets(page) if not _exists(page, target)]
    assert broken == []


def _targets(page: Path) -> list[str]:
    parts = page.read_text().split("](")[1:]
    return [part.partition(")")[0].partition("#")[0] for part in parts]


def _exists(page: Path, target: str) -> bool:
    return not target or target.startswith("https://") or (page.parent / target).exists()
