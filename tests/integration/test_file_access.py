"""A changed certificates_group is applied to what is installed: by the daemon when it starts, and by its renewals."""

import grp
from dataclasses import replace
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.host import running_host

pytestmark = [pytest.mark.integration, pytest.mark.root]


async def test_daemon_applies_the_group_of_the_settings_when_it_starts_and_when_it_renews(folder: Path) -> None:
    async with running_host(folder, {"web": ["www.example.org"]}) as host:
        assert (await host.issuer.run("renew")).exit_code == 0
        host.issuer.configure(replace(host.issuer_settings, more=('certificates_group = "www-data"',)))
        group, key = grp.getgrnam("www-data").gr_gid, host.issuer.live("web") / "privkey.pem"
        async with IssuerDaemon(host.issuer):
            assert access(key) == (group, 0o640)
            key.chmod(0o600)
            assert (await host.issuer.run("renew", "web")).exit_code == 0
            assert access(key) == (group, 0o640)


def access(key: Path) -> tuple[int, int]:
    status = key.stat()
    return status.st_gid, status.st_mode & 0o777
