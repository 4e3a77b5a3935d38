"""trust: public values and nginx lines."""

from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint


def test_trust_prints_public_values_and_lines(program: Program) -> None:
    program.configure("a.example", "b.example")
    keys = program.make_keys()
    finished = program.run("trust")
    assert finished.exit_code == 0
    for line in (
        f"  WELLKEEPER_RESPONDER_PUBLISHING_KEY={encode_public_key(keys.publishing_key.public_key())}",
        f"  WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT={account_thumbprint(keys.account_key(UNREACHABLE_CA))}",
        "  include snippets/wellkeeper/upstream.conf;",
        "  include snippets/wellkeeper/challenge.conf;",
        f"  ssl_certificate     {program.certificates_dir}/live/a.example/fullchain.pem;",
        f"  ssl_certificate_key {program.certificates_dir}/live/b.example/privkey.pem;",
    ):
        assert line in finished.out.splitlines()
    assert "PRIVATE" not in finished.out


def test_json_has_the_public_values_and_live_paths(program: Program) -> None:
    program.configure("a.example")
    keys = program.make_keys()
    assert program.run("trust", "--json").json() == {
        "schema_version": 1,
        "responder": {
            "WELLKEEPER_RESPONDER_PUBLISHING_KEY": encode_public_key(keys.publishing_key.public_key()),
            "WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT": account_thumbprint(keys.account_key(UNREACHABLE_CA)),
        },
        "live": {"a.example": f"{program.certificates_dir}/live/a.example"},
    }


def test_missing_keys_are_reported(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("trust")
    assert (finished.exit_code, finished.out) == (2, "")
    assert finished.err == (
        f"wellkeeper: cannot read key {program.state_dir}/publishing_key.pem\n"
        "  the file does not exist\n  Run 'wellkeeper init' to create it.\n"
    )


def test_missing_settings_are_reported(program: Program) -> None:
    finished = program.run("trust")
    assert finished.exit_code == 2
    assert f"{program.config} does not exist\n  Run 'wellkeeper init'" in finished.err
