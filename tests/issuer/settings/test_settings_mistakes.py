"""Messages for mistakes in the settings."""

import re
from pathlib import Path

import pytest

from tests.issuer.settings_texts import complaint
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import read_settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bogus = 1", "unknown key 'bogus'; known keys here: ca, ca_bundle, contact, "),
        ("[nginx]\npid = 1", "unknown key 'nginx.pid'. Did you mean 'pid_file'?"),
        ("[[nodes]]\nname = 'n'\nhttp = []", "unknown key 'nodes[0].http'. Did you mean 'http_addresses'?"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nprofil = 'x'",
            "unknown key 'certificates[0].profil'. Did you mean 'profile'?",
        ),
        (
            "ca = 'letsencrypt-prod'",
            "ca: unknown CA 'letsencrypt-prod'. Did you mean 'letsencrypt'?",
        ),
        (
            "ca = 'http://ca.example/'",
            "ca: unknown CA 'http://ca.example/'; write the https:// URL of its ACME directory",
        ),
        ("ca = 5", "ca: 5 must be a name, or a list of names in order of preference"),
        ("ca = []", "ca = []: must have at least one entry"),
        ("ca = ['letsencrypt', 7]", "ca[1] = 7: must be a string"),
        ("ca_bundle = 'ca.pem'", "ca_bundle: 'ca.pem' must be an absolute path"),
        ("ca_bundle = true", "ca_bundle: True must be a string"),
        ("contact = 'a@example.org'", 'contact must be a list: contact = ["a@example.org"]'),
        ("contact = ['example.org']", "contact[0]: 'example.org' is not an email address"),
        ("contact = ['a@example.org, b@example.org']", "is not an email address"),
        ("contact = [5]", "contact[0]: 5 must be a string"),
        ("terms_of_service_agreed = 'yes'", "terms_of_service_agreed = 'yes': must be true or false"),
        ("terms_of_service_agreed = 1", "terms_of_service_agreed = 1: must be true or false"),
        ("state_dir = 'issuer'", "state_dir: 'issuer' must be an absolute path"),
        ("state_dir = ['/x']", "state_dir: ['/x'] must be a string"),
        ("certificates_dir = ''", "certificates_dir: '' must be an absolute path"),
        ("certificates_group = 33", "certificates_group = 33: must be a string"),
        ("read_back = false", "read_back = false: must be 'required' or 'advisory'"),
        ("nginx = 'nginx'", "nginx = 'nginx': must be a table"),
        ("[nginx]\ncommand = 'nginx -c x'", 'nginx.command must be a list: command = ["nginx", "-c", "x"]'),
        ("[nginx]\ncommand = []", "nginx.command = []: must have at least one entry"),
        ("[nginx]\nreload_command = []", "nginx.reload_command = []: must have at least one entry"),
        ("[nginx]\nreload = 'restart'", "nginx.reload = 'restart': must be 'signal' or 'command'"),
        ("[nginx]\npid_file = 'nginx.pid'", "nginx.pid_file: 'nginx.pid' must be an absolute path"),
        ("[nginx]\ntest = 'never'", "nginx.test = 'never': must be 'command' or 'reload'"),
        ("[nginx]\nagent = 'x'", "nginx.agent: 'x' must be an absolute path"),
        ("[nginx]\nagent = '/x'\npid_file = 'auto'", "nginx: pid_file and agent cannot be combined"),
        ("[nginx]\ntest = 'reload'\ncommand = ['nginx']", 'nginx: command and test = "reload" cannot be combined'),
        ("[nginx]\nhttps_addresses = ['443']", "nginx.https_addresses[0]: '443' is not an address; write HOST:PORT"),
        (
            "[fleet]\nrelay = '127.0.0.1:8404'",
            "fleet.relay: '127.0.0.1:8404' is not the socket of a relay, as in unix:/",
        ),
        ("[fleet]\nrestore_wait_minutes = -1", "fleet.restore_wait_minutes must be at least 0, not -1"),
        ("[fleet]\nlisten = ['8404']", "fleet.listen[0]: '8404' is not an address; write HOST:PORT"),
        (
            "[fleet.engine]\naddress = 'unix:/run/valkey.sock'",
            "fleet.engine.address: unix:/run/valkey.sock: nodes cannot reach a unix socket of this host",
        ),
        (
            "[fleet.engine]\naddress = 'redis://10.0.0.1'",
            "fleet.engine.address: without [fleet] listen, no node can join",
        ),
        ("nodes = []", "nodes = []: must have at least one entry"),
        ("[[nodes]]\nresponder = 'unix:/x'", "[[nodes]] number 1 has no name; add name = "),
        ("[[nodes]]\nname = 'N 1'", "nodes[0].name: 'N 1' may contain only a-z, 0-9, '.', '_' and '-'"),
        (
            "[[nodes]]\nname = 'n'\nresponder = 'unix:x'",
            "nodes[0].responder: 'unix:x': a socket's path must be absolute",
        ),
        ("[[nodes]]\nname = 'n'\nresponder = '/x'", "nodes[0].responder: '/x' is not an address"),
        (
            "[[nodes]]\nname = 'n'\nhttp_addresses = ['::1:80']",
            "nodes[0].http_addresses[0]: '::1:80' is not an address",
        ),
        ("certificates = ['a.example']", "certificates[0] = 'a.example': must be a table"),
        ("[[certificates]]\nname = 'web'", "[[certificates]] number 1 ('web') has no identifiers; add identifiers = "),
        ("[[certificates]]\nidentifiers = []", "certificates[0].identifiers = []: must have at least one entry"),
        (
            "[[certificates]]\nidentifiers = 'a.example'",
            'certificates[0].identifiers must be a list: identifiers = ["a.example"]',
        ),
        ("[[certificates]]\nidentifiers = [5]", "certificates[0].identifiers[0]: 5 must be a string"),
        (
            "[[certificates]]\nidentifiers = ['*.a.example']",
            "'*.a.example' is a wildcard, which http-01 cannot validate",
        ),
        ("[[certificates]]\nidentifiers = ['☃.example']", "'☃.example' is not a valid internationalized name"),
        ("[[certificates]]\nidentifiers = ['localhost']", "'localhost' is neither a full DNS name nor an IP address"),
        ("[[certificates]]\nidentifiers = ['a..example']", "'a..example' is neither"),
        ("[[certificates]]\nidentifiers = ['-a.example']", "'-a.example' is neither"),
        ("[[certificates]]\nidentifiers = ['192.0.2.300']", "'192.0.2.300' is neither"),
        ("[[certificates]]\nidentifiers = ['2001:db8::g']", "'2001:db8::g' is neither"),
        ("[[certificates]]\nidentifiers = ['fe80::1%eth0']", "'fe80::1%eth0' has a zone"),
        ("[[certificates]]\nidentifiers = ['https://a.example/']", "'https://a.example/' is neither"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nname = '../x'",
            "'../x' may contain only a-z, 0-9, '.', '_' and '-', not '..', and must start with a letter, a digit",
        ),
        *(
            (
                f"[[certificates]]\nidentifiers = ['a.example']\nname = '{name}'",
                f"certificates[0].name: '{name}' may contain only",
            )
            for name in ("-rf", "--force", "-")
        ),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = '.x'", "certificates[0].name: '.x' may contain only"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nname = 'a..b'",
            "certificates[0].name: 'a..b' may contain only",
        ),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = 'a/b'", "certificates[0].name: 'a/b' may contain only"),
        (
            f"[[certificates]]\nidentifiers = ['a.example']\nname = '{'a' * 241}'",
            "aaa is too long: a name has at most 240 characters",
        ),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = 7", "certificates[0].name: 7 must be a string"),
        ("ca = ['google', 'gogle']", "ca: unknown CA 'gogle'. Did you mean 'google'?"),
        ("rehearsal.ca = 'x'", "rehearsal.ca: unknown CA 'x'; write the https:// URL"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nca = 'x'",
            "certificates[0].ca: unknown CA 'x'; write the https:// URL",
        ),
        ("renewals_at_once = 0", "renewals_at_once must be between 1 and 64, not 0"),
        ("renewals_at_once = 2.5", "renewals_at_once = 2.5: must be a whole number"),
        ("orders_per_second = 0", "orders_per_second must be greater than 0, not 0"),
        ("orders_per_second = true", "orders_per_second = true: must be a number"),
        ("orders_per_second = inf", "orders_per_second = inf: must be a number"),
        ("orders_per_second = '5'", "orders_per_second = '5': must be a number"),
        (
            "[nginx]\nreload_debounce_seconds = -1",
            "nginx.reload_debounce_seconds must be at least 0, not -1",
        ),
        ("[hooks]\ndeploy = 'reload'", 'hooks.deploy must be a list: deploy = ["reload"]'),
        (
            "[hooks]\nrenew = ['x']",
            "unknown key 'hooks.renew'; known keys here: pre, deploy, post, failed, timeout_seconds",
        ),
        ("[notifications]\nwebhook = 'mail'", "notifications.webhook: 'mail' is not an http:// or https:// URL"),
        ("[[cas]]\nname = 'own'", "[[cas]] number 1 ('own') has no directory; add directory = "),
        (
            "[[cas]]\nname = 'own'\ndirectory = 'http://ca.example/directory'",
            "cas[0]: 'http://ca.example/directory' is not an https:// URL; for a CA of your own, add allow_http = true",
        ),
        ("[[cas]]\nname = 'own'\ndirectory = 'ftp://ca.example/'", "cas[0].directory: 'ftp://ca.example/' is not the"),
        *(
            (text, f"{key}: 'https://{host}/d' is not the https:// URL of an ACME directory")
            for host in ("a.example:99999", "[::1", ":443", "")
            for text, key in (
                (f"ca = 'https://{host}/d'", "ca"),
                (f"[[cas]]\nname = 'own'\ndirectory = 'https://{host}/d'", "cas[0].directory"),
            )
        ),
        ("[[cas]]\nname = 'google'\neab_key_id = 'x'", "cas[0]: set both eab_key_id and eab_hmac_key_file, or neither"),
        (
            "[[cas]]\nname = 'google'\n[[cas.limits]]\nx=1\nspent = 'order'\nscope = 'account'\ncount = 1\nseconds=9",
            "unknown key 'cas[0].limits[0].x'; known keys here: spent, scope, count, seconds, exempts_renewals",
        ),
        (
            "[[cas]]\nname = 'google'\n[[cas.limits]]\nspent = 'orders'\nscope = 'account'\ncount = 1\nseconds = 60",
            "cas[0].limits[0].spent = 'orders': must be 'order', 'certificate' or 'failed validation'",
        ),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nmust_staple = true",
            "certificates[0].must_staple: must-staple is not supported: Let's Encrypt ended OCSP",
        ),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nkey_type = 'rsa-1024'",
            "certificates[0].key_type = 'rsa-1024': must be 'ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072' or",
        ),
    ],
)
def test_mistake_is_reported_with_key_value_and_allowed_values(tmp_path: Path, text: str, words: str) -> None:
    found = complaint(tmp_path, text)
    assert words in found
    assert "\n" not in found


def test_too_many_identifiers_are_refused(tmp_path: Path) -> None:
    names = [f"n{number}.example" for number in range(101)]
    assert complaint(tmp_path, f"[[certificates]]\nidentifiers = {names}").endswith(
        ": must have at most 100 entries, not 101"
    )


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    lines = complaint(tmp_path, "ca = 5\nread_back = 'no'\nbogus = 1").splitlines()
    assert [re.split("[ :]", line)[0] for line in lines] == ["ca", "read_back", "unknown"]


def test_contradictions_are_reported_together_with_invalid_values(tmp_path: Path) -> None:
    text = "renewals_at_once = 100\n[[certificates]]\nidentifiers = ['*.a.example']\n"
    text += "[[certificates]]\nidentifiers = ['b.example']\nca = 'nobody'"
    lines = complaint(tmp_path, text).splitlines()
    assert lines[0] == "renewals_at_once must be between 1 and 64, not 100"
    assert lines[1].startswith("certificates[0].identifiers[0]: '*.a.example' is a wildcard")
    assert lines[2].startswith("certificates[1].ca: unknown CA 'nobody'")


def test_invalid_ca_is_not_reported_as_unknown(tmp_path: Path) -> None:
    assert len(complaint(tmp_path, "ca = 'own'\n[[cas]]\nname = 'own'").splitlines()) == 1


def test_syntax_error_shows_position_line_and_caret(tmp_path: Path) -> None:
    error = syntax_error(tmp_path, "# settings\nca = letsencrypt")
    assert error.what == f"{tmp_path}/issuer.toml:2:6: not valid TOML: Invalid value"
    assert error.why == "ca = letsencrypt\n       ^"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ca = letsencrypt", 'Put text in quotes: ca = "letsencrypt".'),
        ("ca = 'a'\nca = 'b'", "The key appears twice; keep one of them."),
        ("ca = 'a", "Close the string with the quote that opened it."),
        ('ca = "a', "Close the string with the quote that opened it."),
        ("contact = ['a'", "Separate entries with commas, and close the list with ']'."),
        ("[nginx]\n[nginx]", "The table appears twice; merge them, or write [[NAME]] for a list of tables."),
        ("nginx", 'Write each setting as KEY = VALUE, with text in quotes: ca = "letsencrypt".'),
    ],
    ids=["bare text", "key twice", "open string", "open double quote", "open list", "table twice", "no value"],
)
def test_syntax_error_has_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    assert syntax_error(tmp_path, text).remedy == hint


def syntax_error(folder: Path, text: str) -> SettingsError:
    (folder / "issuer.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(folder / "issuer.toml")
    return caught.value
