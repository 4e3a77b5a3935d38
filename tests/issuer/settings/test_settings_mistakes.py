"""What is said about every mistake in the settings."""

import re
from pathlib import Path

import pytest

from tests.issuer.settings_texts import complaint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bogus = 1", "unknown key 'bogus'; known here: ca, ca_bundle, contact, "),
        ("[nginx]\npid = 1", "unknown key 'nginx.pid'; known here: command, reload, reload_command, pid_file, "),
        ("[[nodes]]\nname = 'n'\nhttp = []", "unknown key 'nodes[0].http'; known here: name, responder, "),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nprofil = 'x'",
            "unknown key 'certificates[0].profil'; known here: name, identifiers, key_type, profile, ca, ",
        ),
        (
            "ca = 'letsencrypt-prod'",
            "ca: 'letsencrypt-prod' is neither one of letsencrypt, letsencrypt-staging, google, ",
        ),
        ("ca = 'http://ca.example/'", "ca: 'http://ca.example/' is neither one of"),
        ("ca = 5", "ca: 5 must be a name, or a list of names in order of preference"),
        ("ca = []", "ca = []: must have at least one entry"),
        ("ca = ['letsencrypt', 7]", "ca[1] = 7: must be a string"),
        ("ca_bundle = 'ca.pem'", "ca_bundle: 'ca.pem' must be an absolute path"),
        ("ca_bundle = true", "ca_bundle: True must be a string"),
        ("contact = 'a@example.org'", "contact = 'a@example.org': must be a list"),
        ("contact = ['example.org']", "contact[0]: 'example.org' is no mail address"),
        ("contact = ['a@example.org, b@example.org']", "is no mail address"),
        ("contact = [5]", "contact[0]: 5 must be a string"),
        ("terms_of_service_agreed = 'yes'", "terms_of_service_agreed = 'yes': must be true or false"),
        ("terms_of_service_agreed = 1", "terms_of_service_agreed = 1: must be true or false"),
        ("state_dir = 'issuer'", "state_dir: 'issuer' must be an absolute path"),
        ("state_dir = ['/x']", "state_dir: ['/x'] must be a string"),
        ("certificates_dir = ''", "certificates_dir: '' must be an absolute path"),
        ("certificates_group = 33", "certificates_group = 33: must be a string"),
        ("read_back = false", "read_back = false: must be 'required' or 'advisory'"),
        ("nginx = 'nginx'", "nginx = 'nginx': must be a table"),
        ("[nginx]\ncommand = 'nginx -c x'", "nginx.command = 'nginx -c x': must be a list"),
        ("[nginx]\ncommand = []", "nginx.command = []: must have at least one entry"),
        ("[nginx]\nreload_command = []", "nginx.reload_command = []: must have at least one entry"),
        ("[nginx]\nreload = 'restart'", "nginx.reload = 'restart': must be 'signal' or 'command'"),
        ("[nginx]\npid_file = 'nginx.pid'", "nginx.pid_file: 'nginx.pid' must be an absolute path"),
        ("[nginx]\nhttps_addresses = ['443']", "nginx.https_addresses[0]: '443' is no address; write HOST:PORT"),
        ("nodes = []", "nodes = []: must have at least one entry"),
        ("[[nodes]]\nresponder = 'unix:/x'", "nodes[0].name is missing"),
        ("[[nodes]]\nname = 'N 1'", "nodes[0].name: 'N 1' may have a-z, 0-9, '.', '_' and '-' only"),
        (
            "[[nodes]]\nname = 'n'\nresponder = 'unix:x'",
            "nodes[0].responder: 'unix:x': a socket's path must be absolute",
        ),
        ("[[nodes]]\nname = 'n'\nresponder = '/x'", "nodes[0].responder: '/x' is no address"),
        ("[[nodes]]\nname = 'n'\nhttp_addresses = ['::1:80']", "nodes[0].http_addresses[0]: '::1:80' is no address"),
        ("certificates = ['a.example']", "certificates[0] = 'a.example': must be a table"),
        ("[[certificates]]\nname = 'web'", "certificates[0].identifiers is missing"),
        ("[[certificates]]\nidentifiers = []", "certificates[0].identifiers = []: must have at least one entry"),
        ("[[certificates]]\nidentifiers = 'a.example'", "certificates[0].identifiers = 'a.example': must be a list"),
        ("[[certificates]]\nidentifiers = [5]", "certificates[0].identifiers[0]: 5 must be a string"),
        ("[[certificates]]\nidentifiers = ['*.a.example']", "'*.a.example' is a wildcard, which http-01 cannot prove"),
        ("[[certificates]]\nidentifiers = ['☃.example']", "'☃.example' is no valid internationalised name"),
        ("[[certificates]]\nidentifiers = ['localhost']", "'localhost' is neither a full DNS name nor an IP address"),
        ("[[certificates]]\nidentifiers = ['a..example']", "'a..example' is neither"),
        ("[[certificates]]\nidentifiers = ['-a.example']", "'-a.example' is neither"),
        ("[[certificates]]\nidentifiers = ['192.0.2.300']", "'192.0.2.300' is neither"),
        ("[[certificates]]\nidentifiers = ['2001:db8::g']", "'2001:db8::g' is neither"),
        ("[[certificates]]\nidentifiers = ['fe80::1%eth0']", "'fe80::1%eth0' has a scope"),
        ("[[certificates]]\nidentifiers = ['https://a.example/']", "'https://a.example/' is neither"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nname = '../x'",
            "certificates[0].name: '../x' may have a-z, 0-9, '.', '_' and '-' only, no '..' and no dot in front",
        ),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = '.x'", "certificates[0].name: '.x' may have"),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = 'a..b'", "certificates[0].name: 'a..b' may have"),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = 'a/b'", "certificates[0].name: 'a/b' may have"),
        ("[[certificates]]\nidentifiers = ['a.example']\nname = 7", "certificates[0].name: 7 must be a string"),
        ("ca = ['google', 'gogle']", "ca: 'gogle' is neither one of letsencrypt, "),
        ("rehearsal.ca = 'x'", "rehearsal.ca: 'x' is neither one of"),
        ("[[certificates]]\nidentifiers = ['a.example']\nca = 'x'", "certificates[0].ca: 'x' is neither one of"),
        ("renewals_at_once = 0", "renewals_at_once = 0: must be greater than or equal to 1"),
        ("renewals_at_once = 2.5", "renewals_at_once = 2.5: must be a whole number"),
        ("orders_per_second = 0", "orders_per_second = 0: must be greater than 0"),
        ("orders_per_second = true", "orders_per_second = true: must be a number"),
        ("orders_per_second = inf", "orders_per_second = inf: must be a number"),
        ("orders_per_second = '5'", "orders_per_second = '5': must be a number"),
        (
            "[nginx]\nreload_debounce_seconds = -1",
            "nginx.reload_debounce_seconds = -1: must be greater than or equal to",
        ),
        ("[hooks]\ndeploy = 'reload'", "hooks.deploy = 'reload': must be a list"),
        ("[hooks]\nrenew = ['x']", "unknown key 'hooks.renew'; known here: pre, deploy, post, failed, timeout_seconds"),
        ("[notifications]\nwebhook = 'mail'", "notifications.webhook: 'mail' is no http:// or https:// URL"),
        ("[[cas]]\nname = 'own'", "cas[0].directory is missing"),
        ("[[cas]]\nname = 'google'\neab_key_id = 'x'", "cas[0]: eab_key_id and eab_hmac_key_file belong together"),
        (
            "[[cas]]\nname = 'google'\n[[cas.limits]]\nx=1\nspent = 'order'\nscope = 'account'\ncount = 1\nseconds=9",
            "unknown key 'cas[0].limits[0].x'; known here: spent, scope, count, seconds, exempts_renewals",
        ),
        (
            "[[cas]]\nname = 'google'\n[[cas.limits]]\nspent = 'orders'\nscope = 'account'\ncount = 1\nseconds = 60",
            "cas[0].limits[0].spent = 'orders': must be 'order', 'certificate' or 'failed validation'",
        ),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nmust_staple = true",
            "certificates[0].must_staple: no CA can be asked for must-staple any more: Let's Encrypt ended OCSP",
        ),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nkey_type = 'rsa-1024'",
            "certificates[0].key_type = 'rsa-1024': must be 'ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072' or",
        ),
    ],
)
def test_mistake_is_named_by_key_value_and_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    found = complaint(tmp_path, text)
    assert words in found
    assert "\n" not in found


def test_too_many_names(tmp_path: Path) -> None:
    names = [f"n{number}.example" for number in range(101)]
    assert complaint(tmp_path, f"[[certificates]]\nidentifiers = {names}").endswith(
        ": must have at most 100 entries, not 101"
    )


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    lines = complaint(tmp_path, "ca = 5\nread_back = 'no'\nbogus = 1").splitlines()
    assert [re.split("[ :]", line)[0] for line in lines] == ["ca", "read_back", "unknown"]
