"""account: tests that need no reachable CA; the others are in tests/integration."""

from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from tests.fakes import FakeClock
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from wellkeeper_issuer.assembly.authorities import AllAuthorities
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.ca.options import ExternalAccount
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.published_limits import LETS_ENCRYPT
from wellkeeper_issuer.settings import read_settings
from wellkeeper_issuer.settings.cas import directory_urls

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
OWN = """
[[cas]]
name = "own"
directory = "https://own.example/directory"
bundle = "{bundle}"
eab_key_id = "kid"
eab_hmac_key_file = "/etc/wellkeeper/own.hmac"
eab_algorithm = "HS384"
profile = "short"
preferred_chain = "Own Root"
limits = [{{ spent = "order", scope = "account", count = 7, seconds = 60 }}]
"""


@pytest.fixture
def bundle(folder: Path) -> str:
    return str(make_server_certificate(folder, ("own.example",)).ca_bundle)


def with_cas(program: Program, cas: str, more: str = "") -> None:
    program.configure("a.example", more=more)
    text = program.config.read_text().split("\n", 1)[1]
    program.config.write_text(f"ca = {cas}\n{text}")


@pytest.mark.parametrize("command", ["register", "update", "rollover", "deactivate"])
def test_choice_is_required_among_several_cas(program: Program, command: str) -> None:
    with_cas(program, f"['letsencrypt', '{UNREACHABLE_CA}']")
    finished = program.run("account", command)
    assert finished.exit_code == 2
    assert finished.err == (
        "wellkeeper: several CAs are configured\n  letsencrypt, 127.0.0.1\n  Choose one with --ca NAME.\n"
    )


def test_unknown_ca_is_reported(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("account", "register", "--ca", "lets")
    assert finished.exit_code == 2
    assert "cannot use --ca\n  unknown CA 'lets'" in finished.err


def test_config_option_may_precede_the_command(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("--config", "/nowhere/issuer.toml", "account", "show")
    assert "/nowhere/issuer.toml does not exist" in finished.err


def test_unreachable_ca_is_shown_with_its_recorded_account(program: Program) -> None:
    program.configure("a.example")
    program.run("init")
    program.make_keys().record(AccountRecord(UNREACHABLE_CA, "https://127.0.0.1:1/account/1"))
    finished = program.run("account", "show")
    assert finished.exit_code == 1
    assert "  account           https://127.0.0.1:1/account/1\n" in finished.out
    assert (
        "no answer from the CA 127.0.0.1 to the request for its directory https://127.0.0.1:1/directory" in finished.out
    )
    (one,) = program.run("account", "show", "--json").json()["cas"]
    assert (one["status"], one["profiles"], one["next_thumbprint"]) == ("on record", None, None)


@pytest.mark.parametrize("command", [("update",), ("rollover",), ("deactivate", "--yes")], ids=" ".join)
def test_missing_account_is_reported(program: Program, command: tuple[str, ...]) -> None:
    program.configure("a.example")
    program.run("init")
    finished = program.run("account", *command)
    assert finished.exit_code == 1
    assert finished.err.startswith(("wellkeeper: no account is registered", "wellkeeper: no answer from the CA"))


def test_trust_includes_the_next_key(program: Program) -> None:
    program.configure("a.example")
    accounts = program.make_keys()
    accounts.make_next_account_key(UNREACHABLE_CA)
    assert len(program.run("trust", "--json").json()["trust"]["account_thumbprints"]) == 2


def test_staging_ca_has_its_own_key(program: Program) -> None:
    with_cas(program, "['letsencrypt', 'google']")
    urls = directory_urls(read_settings(program.config))
    assert (urls[0], urls[-1]) == (LETSENCRYPT, STAGING)
    program.run("init")
    assert len(list((program.state_dir / "accounts").glob("*.pem"))) == 3


async def test_settings_of_a_ca_take_effect(program: Program, bundle: str) -> None:
    with_cas(program, "['own', 'letsencrypt']", OWN.format(bundle=bundle))
    settings = read_settings(program.config)
    async with AllAuthorities(settings, program.make_keys(), FakeClock(), version="1") as authorities:
        found = authorities.options("https://own.example/directory")
        assert (found.name, found.bundle, found.profile, found.preferred_chain) == ("own", bundle, "short", "Own Root")
        assert isinstance(found.external_account, ExternalAccount)
        assert (found.external_account.key_id, found.external_account.algorithm) == ("kid", "HS384")
        (limit,) = authorities.limits("https://own.example/directory")
        assert limit.count == 7
        assert authorities.limits(LETSENCRYPT) == LETS_ENCRYPT
        assert authorities.limits(UNREACHABLE_CA) == ()
        assert authorities.options(LETSENCRYPT).bundle is None
        first = authorities.open(UNREACHABLE_CA)
        assert authorities.open(UNREACHABLE_CA) is first
        with pytest.raises(SettingsError, match=f"no account key for the CA {LETSENCRYPT}"):
            authorities.open(LETSENCRYPT)


def test_unusable_bundle_of_a_ca_is_named(program: Program) -> None:
    with_cas(program, "['own']", OWN.format(bundle="/nowhere/ca.pem"))
    with pytest.raises(SettingsError, match=r"cannot use bundle of the CA own = '/nowhere/ca\.pem'"):
        AllAuthorities(read_settings(program.config), program.make_keys(), FakeClock(), version="1")
