"""A CA that offers chains to two roots: the preferred one is installed, or the default without such a root."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from stand.host import Host, running_host

pytestmark = pytest.mark.integration

NAME = "www.example.org"


def common_name(name: x509.Name) -> str:
    return str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def prefer(host: Host, root: str) -> None:
    table = ("[[cas]]", 'name = "pebble"', f"directory = '{host.ca.directory_url}'", f"preferred_chain = '{root}'")
    host.issuer.configure(replace(host.issuer_settings, more=table))


def installed_root(host: Host) -> str:
    chain = x509.load_pem_x509_certificates((host.issuer.live("web") / "fullchain.pem").read_bytes())
    return common_name(chain[-1].issuer)


async def test_preferred_chain_is_installed_or_the_default_without_one(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, environment={"PEBBLE_ALTERNATE_ROOTS": "2"}) as host:
        roots = [
            common_name(x509.load_pem_x509_certificate(await host.ca.issuing_root(number)).subject)
            for number in range(3)
        ]
        for wanted in (roots[2], roots[0], roots[1]):
            prefer(host, wanted)
            finished = await host.issuer.run("renew", "--force")
            assert finished.exit_code == 0, finished
            assert installed_root(host) == wanted
            assert "preferred_chain" not in finished.err
        prefer(host, "No Such Root")
        finished = await host.issuer.run("renew", "--force")
        assert finished.exit_code == 0, finished
        assert installed_root(host) == roots[0]
        assert "pebble has no chain with 'No Such Root'" in finished.err
        assert all(repr(root) in finished.err for root in roots)
