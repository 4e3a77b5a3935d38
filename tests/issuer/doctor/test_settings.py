"""The settings as findings, with file and line."""

import asyncio
from pathlib import Path

import pytest

from wellkeeper_issuer.doctor.settings import check_settings
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import check
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.findings import Finding, Verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "issuer.toml"


async def found(path: Path, text: str) -> list[Finding]:
    """Return what is found in these settings, as doctor reads them."""
    await asyncio.to_thread(path.write_text, text)
    sources = None
    try:
        sources = read_sources(path)
        return await check_settings(path, sources, check(sources), None)
    except SettingsError as error:
        return await check_settings(path, sources, None, error)


async def test_good_settings_are_ok_with_what_they_set(path: Path) -> None:
    one, files = await found(path, 'contact = ["a@example.org"]\n[[certificates]]\nidentifiers = ["a.example.org"]\n')
    assert (one.check, one.verdict) == ("settings", Verdict.OK)
    assert one.cause == (
        f"{path}: 1 certificate, 1 CA, 1 node; it sets contact, certificates, the rest has its default"
    )
    assert (files.check, files.verdict, files.cause) == ("settings-files", Verdict.OK, "the settings name no files")


async def test_each_mistake_is_a_failure_at_its_line(path: Path) -> None:
    *findings, files = await found(path, 'read_bak = "advisory"\nrenewals_at_once = 0\n')
    assert {(one.verdict, one.place) for one in findings} == {
        (Verdict.FAIL, f"{path}:1"),
        (Verdict.FAIL, f"{path}:2"),
    }
    assert (files.check, files.verdict) == ("settings-files", Verdict.SKIPPED)
    assert files.cause == "the settings cannot be used"
    assert any("renewals_at_once" in one.cause for one in findings)
    assert {one.fix for one in findings} == {"Correct that line, then run 'wellkeeper config check'."}


async def test_file_that_is_not_toml_is_one_failure(path: Path) -> None:
    one, _ = await found(path, "ca = letsencrypt\n")
    assert one.verdict is Verdict.FAIL
    assert str(path) in f"{one.place} {one.cause}"
    assert "\n" not in one.cause


async def test_missing_file_is_a_failure_with_the_remedy(path: Path) -> None:
    error = SettingsError(f"{path} does not exist", remedy="Run 'wellkeeper init'.")
    one, _ = await check_settings(path, None, None, error)
    assert (one.cause, one.fix) == (f"{path} does not exist", "Run 'wellkeeper init'.")
    assert await check_settings(path, None, None, None) == []


async def test_file_that_the_settings_name_and_that_cannot_be_read_is_a_failure_at_its_line(path: Path) -> None:
    none = path.with_name("none.pem")
    settings, one = await found(path, f'contact = []\nca_bundle = "{none}"\n')
    assert (settings.check, settings.verdict) == ("settings", Verdict.OK)
    assert (one.check, one.verdict, one.place) == ("settings-files", Verdict.FAIL, f"{path}:2")
    assert one.cause == f"ca_bundle: cannot read {none}: No such file or directory"


async def test_bundle_without_certificates_is_a_failure(path: Path) -> None:
    bundle = path.with_name("ca.pem")
    await asyncio.to_thread(bundle.write_text, "no certificate")
    _, one = await found(path, f'ca_bundle = "{bundle}"\n')
    assert (one.verdict, one.cause.startswith(f"ca_bundle: cannot read {bundle}: ")) == (Verdict.FAIL, True)


async def test_files_that_can_be_used_are_counted(path: Path) -> None:
    key = path.with_name("key")
    await asyncio.to_thread(key.write_text, "")
    ca = '[[cas]]\nname = "x"\ndirectory = "https://ca.example/d"\neab_key_id = "k"\n'
    _, one = await found(path, f'{ca}eab_hmac_key_file = "{key}"\n')
    assert (one.verdict, one.cause) == (Verdict.OK, "1 file that the settings name can be used")


async def test_files_of_notifications_are_checked(path: Path) -> None:
    none = path.with_name("none")
    _, *found_ = await found(
        path,
        f"""
heartbeat.ca_bundle = "{none}"
[[notifications.webhooks]]
name = "chat"
url = "https://chat.example/"
secret_file = "{none}"
ca_bundle = "{none}"
[[notifications.mail]]
name = "admin"
server = "mail.example:587"
sender = "w@example.org"
recipients = ["a@example.org"]
user = "w"
password_file = "{none}"
ca_bundle = "{none}"
""",
    )
    keys = [one.cause.partition(": ")[0] for one in found_]
    chat, mail = "notifications.webhooks[0].", "notifications.mail[0]."
    of_tables = [f"{chat}secret_file", f"{chat}ca_bundle", f"{mail}password_file", f"{mail}ca_bundle"]
    assert keys == [*of_tables, "heartbeat.ca_bundle"]
