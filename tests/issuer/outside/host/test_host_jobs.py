"""Units, jobs of cron, and other ACME clients on this host."""

from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.cron import read_cron
from wellkeeper_issuer.outside.host.other_clients import OtherLineage, read_other_lineages
from wellkeeper_issuer.outside.host.unit_states import read_units

SHOWN = """\
Id=wellkeeper.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
Environment=PATH=/bin LANG=C

Id=certbot.timer
LoadState=not-found
ActiveState=inactive
"""


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


async def test_properties_are_those_of_loaded_units(tmp_path: Path) -> None:
    program = write(tmp_path / "systemctl", f"#!/bin/sh\ncat <<'END'\n{SHOWN}END\n", 0o755)
    units = await read_units(["wellkeeper.service", "certbot.timer"], str(program))
    assert list(units) == ["wellkeeper.service"]
    assert units["wellkeeper.service"]["ActiveState"] == "active"
    assert units["wellkeeper.service"]["Environment"] == "PATH=/bin LANG=C"


async def test_units_are_unknown_without_systemctl(tmp_path: Path) -> None:
    assert await read_units(["wellkeeper.service"], f"{tmp_path}/none") == {}


def test_lines_of_cron_are_read_from_all_its_files(tmp_path: Path) -> None:
    write(tmp_path / "etc/crontab", "# a comment\n\n17 * * * * root a\n")
    write(tmp_path / "etc/cron.d/certbot", "SHELL=/bin/sh\n0 0 * * * root b\n")
    write(tmp_path / "etc/cron.daily/backup", "#!/bin/sh\nc\n", 0o755)
    write(tmp_path / "etc/cron.daily/off", "d\n")
    write(tmp_path / "var/spool/cron/crontabs/root", "1 1 * * * e\n", 0o600)
    found = {line.place.removeprefix(f"{tmp_path}/"): line.text for line in read_cron(tmp_path)}
    assert found == {
        "etc/crontab:3": "17 * * * * root a",
        "etc/cron.d/certbot:1": "SHELL=/bin/sh",
        "etc/cron.d/certbot:2": "0 0 * * * root b",
        "etc/cron.daily/backup:2": "c",
        "var/spool/cron/crontabs/root:1": "1 1 * * * e",
    }


@pytest.mark.root
def test_jobs_that_this_user_may_not_read_are_left_out_and_other_clients_are_an_error() -> None:
    with shared_folder() as folder:
        write(folder / "etc/crontab", "17 * * * * root a\n", 0o600)
        write(folder / "acme/web_ecc/web.conf", "Le_Domain='a.example'\n", 0o600)
        (folder / "letsencrypt").mkdir(mode=0o700)
        with as_unprivileged_user():
            assert read_cron(folder) == ()
            for certbot, acme_sh in ((folder / "none", folder / "acme"), (folder / "letsencrypt", folder / "none")):
                with pytest.raises(PermissionError):
                    read_other_lineages(certbot, acme_sh)


def test_certificates_of_certbot_and_acme_sh_are_found_with_their_names(tmp_path: Path) -> None:
    certbot, acme_sh = tmp_path / "letsencrypt", tmp_path / ".acme.sh"
    pair = FakeCa().pair(dns("www.example.org"), dns("example.org"))
    write(certbot / "renewal/web.conf", "version = 2.1\n[renewalparams]\nserver = https://ca.test\n")
    write(certbot / "archive/web/fullchain1.pem", pair.chain_pem.decode())
    write(certbot / "archive/web/privkey1.pem", pair.certificate_key_pem.decode(), 0o600)
    for name in ("fullchain", "privkey"):
        (certbot / "live/web").mkdir(parents=True, exist_ok=True)
        (certbot / f"live/web/{name}.pem").symlink_to(f"../../archive/web/{name}1.pem")
    write(acme_sh / "a.example_ecc/a.example.conf", "Le_Domain='a.example'\nLe_Alt='b.example,c.example'\n")
    write(acme_sh / "d.example/d.example.conf", "Le_Domain='d.example'\nLe_Alt='no'\n")
    write(acme_sh / "ca/account.conf", "ACCOUNT_KEY='x'\n")
    assert read_other_lineages(certbot, acme_sh) == (
        OtherLineage("certbot", "web", frozenset({"www.example.org", "example.org"})),
        OtherLineage("acme.sh", "a.example", frozenset({"a.example", "b.example", "c.example"})),
        OtherLineage("acme.sh", "d.example", frozenset({"d.example"})),
    )


def test_nothing_is_found_where_no_other_client_was(tmp_path: Path) -> None:
    assert read_other_lineages(tmp_path / "a", tmp_path / "b") == ()


def test_directory_of_certbot_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "renewal").symlink_to("renewal")
    with pytest.raises(SettingsError, match="symbolic links"):
        read_other_lineages(tmp_path, tmp_path / "none")
