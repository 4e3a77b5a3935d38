"""Verification at every listener of nginx that names a certificate, and of what no handshake can show."""

import json
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.ports import free_port
from tests.integration.observed import error_of, installed, outcomes, served, version

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

WWW: Final = "www.example.org"
ADMIN: Final = "admin.example.org"
MODULES: Final = Path("/usr/lib/nginx/modules")


def add(host: Host, http: str = "", top: str = "", modules: tuple[str, ...] = ()) -> None:
    """Add to the http block and to the top level of nginx's configuration, without reloading."""
    path = host.nginx.config_path
    loads = "".join(f"load_module {MODULES}/ngx_{module}_module.so;\n" for module in modules)
    head, separator, tail = path.read_text().rpartition("}")
    path.write_text(f"{loads}{head}{http}\n{separator}{tail}\n{top}\n")


def pair_of(host: Host, name: str) -> str:
    live = host.issuer.live(name)
    return f"ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem;"


def set_addresses(host: Host, addresses: list[str]) -> None:
    """Set `https_addresses` of the last certificate in the settings."""
    config = host.issuer.config_path
    config.write_text(f"{config.read_text()}https_addresses = {json.dumps(addresses)}\n")


def deploy_hook(folder: Path) -> str:
    script = f'echo "$WELLKEEPER_CERTIFICATE" >> {folder}/deployed'
    return f"hooks.deploy = {json.dumps(['sh', '-c', script])}"


def deployed(folder: Path) -> list[str]:
    path = folder / "deployed"
    return path.read_text().split() if path.exists() else []


async def leaf_at(address: tuple[str, int] | str, name: str) -> str:
    """Return the serial that is served there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as plain:
        plain.connect(address)
        with context.wrap_socket(plain, server_hostname=name) as secured:
            der = secured.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der)


def leaf_of(host: Host, name: str) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert((host.issuer.live(name) / "cert.pem").read_text()))


async def test_certificate_on_another_port_is_verified_there_beside_sites_on_the_usual_one(folder: Path) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        port = free_port()
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        add(host, f"server {{ listen 127.0.0.1:{port} ssl; server_name {ADMIN}; {pair_of(host, 'admin')} }}")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "admin": "served"}), finished
        assert await served(host, WWW) == installed(host.issuer, "www")
        assert await leaf_at(("127.0.0.1", port), ADMIN) == leaf_of(host, "admin")
        await host.issuer.run_well("status", "--check")


async def test_wrong_certificate_on_another_port_is_an_error_and_its_hook_runs(folder: Path) -> None:
    """nginx has loaded the certificate, and other programs on the host need it."""
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        port = free_port()
        host.issuer.configure(replace(host.issuer_settings, more=(deploy_hook(folder),)))
        shadow = f"server {{ listen 127.0.0.1:{port} ssl; server_name {ADMIN}; {pair_of(host, 'www')} }}"
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        add(host, f"{shadow} server {{ listen 127.0.0.1:{port} ssl; server_name {ADMIN}; {pair_of(host, 'admin')} }}")
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"www": "served", "admin": "failed"}, finished
        assert f"127.0.0.1:{port} serves serial" in error_of(finished, "admin")
        assert sorted(deployed(folder)) == ["admin", "www"]


@pytest.mark.parametrize("flags", ["ssl", "ssl proxy_protocol"])
async def test_certificate_on_a_unix_socket_is_verified_there(folder: Path, flags: str) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        path = f"{folder}/tls.sock"
        add(host, f"server {{ listen unix:{path} {flags}; server_name {ADMIN}; {pair_of(host, 'admin')} }}")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "admin": "served"}), finished
        if flags == "ssl":
            assert await leaf_at(path, ADMIN) == leaf_of(host, "admin")


@pytest.mark.nginx_versions((1,), (1, 23))  # Debian's modules fit its own nginx only
@pytest.mark.parametrize("module", ["stream", "mail"])
async def test_certificate_of_another_kind_of_server_is_verified_there(folder: Path, module: str) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        port, tls = free_port(), pair_of(host, "admin")
        blocks = {
            "stream": f"stream {{ server {{ listen 127.0.0.1:{port} ssl; {tls} return hello; }} }}",
            "mail": f"mail {{ server_name {ADMIN}; auth_http 127.0.0.1:1/; {tls} "
            f"server {{ listen 127.0.0.1:{port} ssl; protocol imap; }} }}",
        }
        add(host, top=blocks[module], modules=(module,))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "admin": "served"}), finished
        assert await leaf_at(("127.0.0.1", port), ADMIN) == leaf_of(host, "admin")


async def test_certificate_that_is_named_through_links_is_verified_where_its_block_listens(folder: Path) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        port, link = free_port(), folder / "ssl"
        link.symlink_to(host.issuer.live("admin"))
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        files = f"ssl_certificate {link}/fullchain.pem; ssl_certificate_key {link}/privkey.pem;"
        add(host, f"server {{ listen 127.0.0.1:{port} ssl; server_name {ADMIN}; {files} }}")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "admin": "served"}), finished


async def test_addresses_in_the_settings_of_a_certificate_win(folder: Path) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        unused_port = free_port()
        set_addresses(host, [f"127.0.0.1:{unused_port}"])
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"www": "served", "admin": "failed"}, finished
        assert f"127.0.0.1:{unused_port}" in error_of(finished, "admin")


async def test_certificate_that_nothing_on_this_host_serves_is_installed_and_its_hook_runs(folder: Path) -> None:
    async with running_host(folder, {"www": [WWW], "mail": ["mail.example.org"]}) as host:
        host.issuer.configure(replace(host.issuer_settings, more=(deploy_hook(folder),)))
        set_addresses(host, [])
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "mail": "installed"}), finished
        assert sorted(deployed(folder)) == ["mail", "www"]
        await host.issuer.run_well("status", "--check")
        before = version(host.issuer, "mail")
        assert outcomes(await host.issuer.run_well("renew", "--json"))["mail"] == "unchanged"
        assert version(host.issuer, "mail") == before


@pytest.mark.nginx_versions((1, 25), (2,))  # which have QUIC
async def test_certificate_of_quic_alone_is_installed_and_its_hook_runs(folder: Path) -> None:
    async with running_host(folder, {"www": [WWW], "admin": [ADMIN]}) as host:
        host.issuer.configure(replace(host.issuer_settings, more=(deploy_hook(folder),)))
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1]))
        add(host, f"server {{ listen 127.0.0.1:{free_port()} quic; server_name {ADMIN}; {pair_of(host, 'admin')} }}")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"www": "served", "admin": "installed"}), finished
        assert sorted(deployed(folder)) == ["admin", "www"]
        await host.issuer.run_well("status", "--check")
