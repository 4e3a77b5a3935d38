"""The settings: every default, and what is said about every mistake."""

import re
from pathlib import Path

import pytest

from issuer.errors import SettingsError
from issuer.model import Identifier, IdentifierType, KeyType, Lineage, Node
from issuer.settings import (
    DEFAULT_PATH,
    PATH_VARIABLE,
    Settings,
    read_settings,
    settings_path,
)
from issuer.settings_values import CA_DIRECTORIES, parse_address, parse_identifier
from tests.fakes_deliver import dns


def ip(text: str) -> Identifier:
    return Identifier(IdentifierType.IP, text)


def read(folder: Path, text: str) -> Settings:
    path = folder / "issuer.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def complaint(folder: Path, text: str) -> str:
    """Without the file's name in front of each line, which is there."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{folder}/issuer.toml") for line in lines)
    return "\n".join(line.removeprefix(f"{folder}/issuer.toml").removeprefix(": ") for line in lines)


def test_every_default(tmp_path: Path) -> None:
    settings = read(tmp_path, '[[certificates]]\nidentifiers = ["a.example"]')
    assert [one.directory for one in settings.all_cas()] == ["https://acme-v02.api.letsencrypt.org/directory"]
    assert settings.state_dir == Path("/var/lib/wellkeeper/issuer")
    assert settings.certificates_dir == Path("/var/lib/wellkeeper/certificates")
    assert settings.read_back == "required"
    assert not settings.terms_of_service_agreed
    assert (settings.ca_bundle, settings.contact) == (None, ())
    assert (settings.certificates_owner, settings.certificates_group) == (None, None)
    nginx = settings.nginx
    assert (nginx.command, nginx.reload, nginx.reload_command) == (("nginx",), "signal", None)
    assert (nginx.pid_file, nginx.https_addresses) == (Path("/run/nginx.pid"), (("127.0.0.1", 443),))
    assert [node.to_node() for node in settings.nodes] == [
        Node("local", "unix:/run/wellkeeper/control.sock", (("127.0.0.1", 80),), (("127.0.0.1", 443),))
    ]
    lineages = [certificate.to_lineage() for certificate in settings.certificates]
    assert lineages == [Lineage("a.example", (dns("a.example"),), KeyType.ECDSA_P256, None)]


def test_empty_file_is_enough(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Settings()


def test_everything_set(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        ca = "https://ca.example/directory"
        ca_bundle = "/etc/ca.pem"
        contact = ["a@example.org", "mailto:b@example.org"]
        terms_of_service_agreed = true
        read_back = "advisory"
        [nginx]
        command = ["/usr/sbin/nginx", "-c", "/etc/nginx.conf"]
        reload = "command"
        reload_command = ["systemctl", "reload", "nginx"]
        https_addresses = ["[::1]:8443"]
        [[nodes]]
        name = "n1"
        responder = "10.0.0.1:9000"
        http_addresses = ["10.0.0.1:80", "[2001:db8::1]:80"]
        https_addresses = []
        [[certificates]]
        name = "web"
        identifiers = ["A.example.", "a.example", "192.0.2.7"]
        key_type = "rsa-2048"
        profile = "shortlived"
        """,
    )
    assert settings.contact == ("mailto:a@example.org", "mailto:b@example.org")
    assert settings.nginx.https_addresses == (("::1", 8443),)
    assert settings.nodes[0].to_node() == Node("n1", "10.0.0.1:9000", (("10.0.0.1", 80), ("2001:db8::1", 80)), ())
    lineage = settings.certificates[0].to_lineage()
    assert lineage == Lineage("web", (dns("a.example"), ip("192.0.2.7")), KeyType.RSA_2048, "shortlived")


@pytest.mark.parametrize(("name", "url"), CA_DIRECTORIES.items())
def test_known_cas_go_by_name(tmp_path: Path, name: str, url: str) -> None:
    assert read(tmp_path, f'ca = "{name}"').ca == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bogus = 1", "unknown key 'bogus'; known here: ca, ca_bundle, contact, "),
        ("[nginx]\npid = 1", "unknown key 'nginx.pid'; known here: command, reload, reload_command, pid_file, "),
        ("[[nodes]]\nname = 'n'\nhttp = []", "unknown key 'nodes[0].http'; known here: name, responder, "),
        (
            "[[certificates]]\nidentifiers = ['a.example']\nprofil = 'x'",
            "unknown key 'certificates[0].profil'; known here: name, identifiers, key_type, profile (docs/settings.md)",
        ),
        ("ca = 'letsencrypt-prod'", "ca: 'letsencrypt-prod' is neither one of letsencrypt, letsencrypt-staging nor"),
        ("ca = 'http://ca.example/'", "ca: 'http://ca.example/' is neither one of"),
        ("ca = 5", "ca: 5 must be a string"),
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
        ("read_back = false", "read_back = False: must be 'required' or 'advisory'"),
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


@pytest.mark.parametrize(
    ("state", "certificates"),
    [("/a/state", "/a/state/live"), ("/a/certs/state", "/a/certs"), ("/a", "/a"), ("/a/state", "/b/../a/state/x")],
)
def test_what_nginx_reads_and_what_nobody_reads_lie_apart(tmp_path: Path, state: str, certificates: str) -> None:
    found = complaint(tmp_path, f"state_dir = '{state}'\ncertificates_dir = '{certificates}'")
    assert re.match(r"certificates_dir \(/a.*\) and state_dir \(/a.*\) must not lie in one another", found)


def test_neighbours_with_like_names_lie_apart(tmp_path: Path) -> None:
    read(tmp_path, "state_dir = '/a/state'\ncertificates_dir = '/a/state-certificates'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[nodes]]\nname = 'n'\n[[nodes]]\nname = 'n'", "two nodes have the name 'n'; give each its own"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\n[[certificates]]\nidentifiers = ['A.example', 'b.example']",
            "two certificates have the name 'a.example'; give each its own",
        ),
    ],
)
def test_same_name_twice(tmp_path: Path, text: str, words: str) -> None:
    assert complaint(tmp_path, text) == words


@pytest.mark.parametrize(
    ("identifier", "name"),
    [("A.Example.", "a.example"), ("2001:DB8::7", "2001-db8--7"), ("[2001:db8::7]", "2001-db8--7"), ("::1", "--1")],
)
def test_name_comes_from_the_first_identifier(tmp_path: Path, identifier: str, name: str) -> None:
    settings = read(tmp_path, f"[[certificates]]\nidentifiers = ['{identifier}', 'z.example']")
    assert settings.certificates[0].name == name


def test_no_toml(tmp_path: Path) -> None:
    assert complaint(tmp_path, "ca = ").startswith(" is no TOML: Invalid value (at")


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "issuer.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"issuer\.toml is no TOML: "):
        read_settings(tmp_path / "issuer.toml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"issuer\.toml does not exist; run 'wellkeeper-issuer init', or name a file"
    ):
        read_settings(tmp_path / "issuer.toml")


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*: Is a directory; run as a user who may"):
        read_settings(tmp_path)


def test_flag_beats_environment_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/from/environment.toml")
    assert settings_path(Path("/given.toml")) == Path("/given.toml")
    assert settings_path(None) == Path("/from/environment.toml")
    monkeypatch.setenv(PATH_VARIABLE, "")
    assert settings_path(None) == DEFAULT_PATH == Path("/etc/wellkeeper/issuer.toml")


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("A.Example.", dns("a.example")),
        ("xn--mnchen-3ya.example", dns("xn--mnchen-3ya.example")),
        ("_a.b.example", dns("_a.b.example")),
        ("192.0.2.7", ip("192.0.2.7")),
        ("2001:0DB8:0:0::7", ip("2001:db8::7")),
        ("[2001:db8::7]", ip("2001:db8::7")),
    ],
)
def test_identifiers(text: str, identifier: Identifier) -> None:
    assert parse_identifier(text) == identifier


@pytest.mark.parametrize(
    ("text", "address"),
    [("a.example:80", ("a.example", 80)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":80", "a", "a:", "a:0", "a:65536", "a:x", "::1:80", "[::1:80", "[x]:80", "a:٨٠"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address; write HOST:PORT or \[IPV6\]:PORT"):
        parse_address(text)
