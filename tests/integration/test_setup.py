"""setup on a real host: from a site without TLS to a served certificate."""

from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.pebble import Pebble
from tests.integration.observed import asked
from tests.integration.setups import NAME, bare_host
from tests.json_docs import assert_documented

pytestmark = pytest.mark.integration


async def test_site_on_port_80_gets_a_certificate_by_its_patch(folder: Path, pebble: Pebble, http_port: int) -> None:
    in_server = r"    location ~ /\. { deny all; }" + "\n"
    async with bare_host(folder, pebble, http_port, in_server=in_server) as host:
        done = (await host.issuer.run_well("setup", "--certificate", NAME, "--json")).json()
        assert_documented("setup", done)
        assert [one["line"] for one in done["patch"]["includes"]] == [
            "include snippets/wellkeeper/challenge.conf;",
            "include snippets/wellkeeper/tls.conf;",
        ]
        assert done["patch"]["includes"][0]["place"] == f"{host.site}:5"
        async with host.responder:
            applied = await host.apply(done["patch"]["command"])
            assert applied.exit_code == 0, applied.output
            renewed = (await host.issuer.run_well("renew", "--json")).json()
            assert renewed["certificates"][0]["outcome"] == "served"
            again = (await host.issuer.run_well("setup", "--json")).json()
    assert again["patch"] is None
    assert [again[key] for key in ("keys_made", "drop_ins", "snippets_written", "placeholders")] == [[]] * 4
    assert not again["trust_file"]["is_written"]


async def test_text_shows_what_was_written_and_the_line_that_applies_the_patch(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        out = (await host.issuer.run_well("setup", "--certificate", NAME)).out
    etc = host.issuer.config_path.parent
    for line in (f"kept   {host.issuer.config_path}", f"wrote  {etc / 'trust.toml'}", f"+++ {str(host.site)[1:]}"):
        assert line in out.splitlines()
    assert f"\n  patch -N -d / -p0 --dry-run -s -i {etc / 'nginx.patch'} && " in out
    assert f"{host.site}:" in out


async def test_nothing_is_written_without_a_certificate(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port, NAME, "*.example.net") as host:
        refused = await host.issuer.run("setup")
        assert refused.exit_code == 2
        assert f"Missing option '--certificate'. nginx serves: {NAME}." in refused.err
        assert not host.issuer.state_dir.exists()


async def test_options_that_the_settings_file_overrides_are_noted(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        out = (await host.issuer.run_well("setup", "--certificate", NAME, "--ca", "letsencrypt")).out
    assert f"kept   {host.issuer.config_path}; --ca ignored: edit the file" in out.splitlines()


async def test_configuration_that_nginx_refuses_is_reported(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        host.site.write_text("nonsense;\n")
        failed = await host.issuer.run("setup", "--certificate", NAME)
    assert failed.exit_code == 1
    assert 'unknown directive "nonsense"' in failed.err


async def test_certificate_waits_with_a_hint_and_without_an_order_until_the_patch_is_applied(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        await host.issuer.make_keys()
        async with host.responder, IssuerDaemon(host.issuer) as daemon:
            done = (await host.issuer.run_well("setup", "--certificate", NAME, "--json")).json()
            await daemon.until(event="log", level="info", logger="reach")
            waiting = await host.issuer.run("renew", NAME)
            assert waiting.exit_code == 1
            assert f"{NAME}: waiting" in waiting.out
            assert "nginx does not answer challenges yet: " in waiting.out
            assert "gave HTTP 404 at " in waiting.out
            assert "Add 'include snippets/wellkeeper/challenge.conf;' after " in waiting.out
            assert asked(pebble, "/order-plz") == 0
            assert (await host.apply(done["patch"]["command"])).exit_code == 0
            served = await host.issuer.run_well("renew", NAME, "--json")
            assert served.json()["certificates"][0]["outcome"] == "served"
        assert daemon.log.count(f"certificate {NAME}: waiting: nginx does not answer challenges yet") == 1


async def test_added_certificate_waits_and_all_lines_are_shown(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        await host.issuer.make_keys()
        async with host.responder:
            added = await host.issuer.run_well("certificate", "add", NAME)
    for line in ("include snippets/wellkeeper/challenge.conf;", "listen 443 ssl;", "ssl_certificate_key "):
        assert f"\n  {line}" in added.out
    assert f"{NAME}: waiting" in added.out
    assert f"The daemon, or 'wellkeeper renew {NAME}', obtains it once nginx answers challenges." in added.out
    assert asked(pebble, "/order-plz") == 0


async def test_new_certificate_waits_while_an_application_fails_at_its_challenges(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    in_server = "    location / { proxy_pass http://127.0.0.1:1; }\n"
    async with bare_host(folder, pebble, http_port, in_server=in_server) as host:
        await host.issuer.make_keys()
        async with host.responder:
            added = await host.issuer.run_well("certificate", "add", NAME)
    assert f"{NAME}: waiting" in added.out
    assert "gave HTTP 502" in added.out
    assert "does not include challenge.conf" in added.out
    assert asked(pebble, "/order-plz") == 0
