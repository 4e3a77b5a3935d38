"""An engine behind Sentinels, all with TLS and passwords: each mistake has one cause and one remedy."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from stand.certificates import ServerCertificate, make_server_certificate
from stand.key_value import KeyValueServer, Sentinel, as_options, tls_lines, watching
from stand.ports import free_port
from tests.integration.test_engine_rights import ISSUER, NODE, lines
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.findings import Verdict
from wellkeeper_node.records.engine import parse_engine

pytestmark = pytest.mark.integration

HOST: Final = "127.0.0.1"
SENTINELS_PASSWORD: Final = "s" * 20
READERS_PASSWORD: Final = "q" * 20
# What a Sentinel needs in each server.
OF_SENTINELS: Final = (
    f"user sentinel on >{SENTINELS_PASSWORD} allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role"
    " +publish +info +client|setname +client|kill +script|kill"
)


@dataclass(frozen=True)
class Watched:
    """A primary and the Sentinel that watches it as `fleet`."""

    folder: Path
    certificate: ServerCertificate
    sentinel: int

    def url(self, *, service: str = "fleet", ca: Path | None = None, port: int = 0) -> str:
        file = ca or self.certificate.ca_bundle
        return f"rediss+sentinel://{HOST}:{port or self.sentinel}/{service}?ca={file}"

    def settings(self, sentinel_user: str = "", **passwords: str) -> Settings:
        """Return settings with the right passwords, or these; "" for no file."""
        right = {"password": ISSUER.password, "node_password": NODE.password, "sentinel_password": SENTINELS_PASSWORD}
        given = {name: text for name, text in (right | passwords).items() if text}
        for name, text in given.items():
            path = self.folder / f"{name}.txt"
            path.touch(0o600)
            path.write_text(text)
        files = f"sentinel_user = '{sentinel_user}'\n" if sentinel_user else ""
        files += "".join(f"{name}_file = '{self.folder}/{name}.txt'\n" for name in given)
        config = self.folder / "issuer.toml"
        config.write_text(
            f"state_dir = '{self.folder}/state'\ncertificates_dir = '{self.folder}/certificates'\n"
            f"[fleet.engine]\n{files}"
        )
        return read_settings(config)


async def failures(settings: Settings, url: str) -> dict[str, tuple[str, str]]:
    """Return causes and remedies of what fails."""
    found = await check_engine(settings, parse_engine(url))
    return {f"{one.check} {one.subject}": (one.cause, one.fix) for one in found if one.verdict is Verdict.FAIL}


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    certificate = make_server_certificate(tmp_path / "tls", (HOST,))
    acl, port = tmp_path / "users.acl", free_port()
    acl.write_text("".join(f"{line}\n" for line in (*lines(), OF_SENTINELS, "user default off")))
    options = ("--aclfile", str(acl), "--maxmemory-policy", "noeviction", *as_options(tls_lines(certificate, port)))
    of_sentinel = (
        "sentinel auth-user fleet sentinel",
        f"sentinel auth-pass fleet {SENTINELS_PASSWORD}",
        f"requirepass {SENTINELS_PASSWORD}",
        f"user reader on >{READERS_PASSWORD} resetkeys resetchannels -@all +auth +sentinel|get-master-addr-by-name",
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(KeyValueServer("redis", tmp_path / "engine", *options, has_port=False))
        asked = free_port()
        configuration = watching(port, *tls_lines(certificate, asked), *of_sentinel)
        await stack.enter_async_context(Sentinel(tmp_path / "sentinel", asked, configuration))
        yield Watched(tmp_path, certificate, asked)


async def test_engine_behind_sentinels_with_tls_and_passwords_passes(watched: Watched) -> None:
    assert await failures(watched.settings(), watched.url()) == {}
    of_reader = watched.settings("reader", sentinel_password=READERS_PASSWORD)
    assert await failures(of_reader, watched.url()) == {}


async def test_each_mistake_is_named_with_its_remedy(watched: Watched, tmp_path: Path) -> None:
    other = make_server_certificate(tmp_path / "other", (HOST,)).ca_bundle
    asked = f"no Sentinel names the primary of 'fleet': {HOST}:{watched.sentinel}: "
    unknown = f"'flet': {HOST}:{watched.sentinel}: it does not monitor this service"
    for password, url, cause, fix in (
        (
            SENTINELS_PASSWORD,
            watched.url(ca=other),
            f"{asked}Error 1 connecting",
            "Add its CA to the address ('?ca=FILE'",
        ),
        (SENTINELS_PASSWORD, watched.url(port=1), "127.0.0.1:1: Error 111", "are the addresses of Sentinels that run"),
        (SENTINELS_PASSWORD, watched.url(service="flet"), unknown, "in the line 'sentinel monitor NAME …'"),
        ("x" * 20, watched.url(), f"{asked}invalid username-password pair", "--sentinel-password-file"),
        ("", watched.url(), f"{asked}Authentication required.", "--sentinel-password-file"),
    ):
        found = await failures(watched.settings(sentinel_password=password), url)
        assert list(found) == ["connection issuer", "connection nodes"]
        for one in found.values():
            assert (cause in one[0], fix in one[1]) == (True, True), one
    wrong = await failures(watched.settings(password="x" * 20), watched.url())
    assert list(wrong) == ["connection issuer"]
    assert "Check the user and the password of the engine" in wrong["connection issuer"][1]


async def test_password_of_the_sentinels_that_is_missing_is_named(watched: Watched) -> None:
    settings = watched.settings()
    (watched.folder / "sentinel_password.txt").unlink()
    with pytest.raises(SettingsError, match="Write the password of the Sentinels there"):
        await failures(settings, watched.url())
