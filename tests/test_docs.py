"""The documentation names what the programs have."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from issuer.settings import CertificateSettings, NginxSettings, NodeSettings, Settings

PROJECT = Path(__file__).parent.parent
ALL_SETTINGS = (Settings, NginxSettings, NodeSettings, CertificateSettings)


@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda settings: settings.__name__)
def test_every_setting_is_documented(settings: type[BaseModel]) -> None:
    text = (PROJECT / "docs/settings.md").read_text()
    sections = {"nginx", "nodes", "certificates"}
    missing = [name for name in settings.model_fields if name not in sections and f"`{name}`" not in text]
    assert missing == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("nginx/*.md")]
    broken = [f"{page.name}: {target}" for page in pages for target in _targets(page) if not _exists(page, target)]
    assert broken == []


def _targets(page: Path) -> list[str]:
    parts = page.read_text().split("](")[1:]
    return [part.partition(")")[0].partition("#")[0] for part in parts]


def _exists(page: Path, target: str) -> bool:
    return not target or target.startswith("https://") or (page.parent / target).exists()
