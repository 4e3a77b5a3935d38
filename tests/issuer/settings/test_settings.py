"""The settings: every default, and checks across keys."""

import re
from pathlib import Path

import pytest

from tests.fakes_deliver import dns
from tests.issuer.settings_texts import complaint, read
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.location import DEFAULT_PATH, PATH_VARIABLE, settings_path
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Limit, Scope, Spent
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.tables import HooksSettings
from wellkeeper_node.model import Identifier, IdentifierType, KeyType, Node


def ip(text: str) -> Identifier:
    return Identifier(IdentifierType.IP, text)


def test_defaults_of_every_key(tmp_path: Path) -> None:
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
    assert (nginx.reload_debounce_seconds, nginx.reload_interval_seconds, nginx.finishing_workers) == (2, 10, 64)
    assert (settings.renewals_at_once, settings.orders_per_second) == (8, 20)
    assert (settings.hooks, settings.cas) == (HooksSettings(timeout_seconds=60), ())
    assert (settings.notifications.webhook, settings.rehearsal.ca, settings.rehearsal.every_days) == (None, None, None)
    assert settings.lineages() == (
        Lineage("a.example", (dns("a.example"),), KeyType.ECDSA_P256, None, (CA_DIRECTORIES["letsencrypt"],)),
    )


def test_empty_file_is_enough(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Settings()


def test_every_key_can_be_set(tmp_path: Path) -> None:
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


def test_cas_are_found_by_name_and_by_directory(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        ca = ["own", "letsencrypt", "https://other.example/directory"]
        rehearsal = { ca = "letsencrypt-staging" }
        [[cas]]
        name = "own"
        directory = "https://ca.example/directory"
        bundle = "/etc/own.pem"
        [[cas]]
        name = "google"
        eab_key_id = "id"
        eab_hmac_key_file = "/etc/eab"
        [[cas.limits]]
        spent = "order"
        scope = "account"
        count = 100
        seconds = 3600
        [[certificates]]
        identifiers = ["a.example"]
        [[certificates]]
        identifiers = ["b.example"]
        ca = "google"
        reuse_key = true
        """,
    )
    assert [one.name for one in settings.all_cas()] == [
        "own",
        "letsencrypt",
        "other.example",
        "google",
        "letsencrypt-staging",
    ]
    google = settings.find_ca(CA_DIRECTORIES["google"])
    assert google.limits is not None
    assert [one.to_limit() for one in google.limits] == [Limit(Spent.ORDER, Scope.ACCOUNT, 100, 3600)]
    first, second = settings.lineages()
    assert first.directory_urls == (
        "https://ca.example/directory",
        CA_DIRECTORIES["letsencrypt"],
        "https://other.example/directory",
    )
    assert (second.directory_urls, second.reuses_key) == ((CA_DIRECTORIES["google"],), True)


def test_relative_csr_path_is_kept(tmp_path: Path) -> None:
    settings = read(tmp_path, "[[certificates]]\nidentifiers = ['a.example']\ncsr = '/etc/a.csr'")
    assert settings.lineages()[0].csr_path == "/etc/a.csr"


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("", None),
        ("https_addresses = []", ()),
        ("https_addresses = ['127.0.0.1:8443', '[::1]:8443']", (("127.0.0.1", 8443), ("::1", 8443))),
    ],
)
def test_certificate_says_where_it_must_be_served(
    tmp_path: Path, line: str, addresses: tuple[tuple[str, int], ...] | None
) -> None:
    settings = read(tmp_path, f"[[certificates]]\nidentifiers = ['a.example']\n{line}")
    assert settings.lineages()[0].https_addresses == addresses


@pytest.mark.parametrize("line", ["key_type = 'rsa-2048'", "reuse_key = true"])
def test_csr_excludes_key_options(tmp_path: Path, line: str) -> None:
    text = f"[[certificates]]\nidentifiers = ['a.example']\ncsr = '/etc/a.csr'\n{line}"
    assert "cannot be combined with csr: the CSR determines the key" in complaint(tmp_path, text)


def test_csr_excludes_dropping_names(tmp_path: Path) -> None:
    text = "[[certificates]]\nidentifiers = ['a.example']\ncsr = '/etc/a.csr'\ndrop_failing_names = true"
    assert "drop_failing_names cannot be combined with csr: the CSR determines the identifiers" in complaint(
        tmp_path, text
    )


def test_failing_names_are_dropped_only_where_the_settings_say_so(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "[[certificates]]\nidentifiers = ['a.example']\n"
        "[[certificates]]\nidentifiers = ['b.example']\ndrop_failing_names = true",
    )
    assert [one.drops_failing_names for one in settings.lineages()] == [False, True]


@pytest.mark.parametrize(("name", "url"), CA_DIRECTORIES.items())
def test_known_cas_are_accepted_by_name(tmp_path: Path, name: str, url: str) -> None:
    assert [one.directory for one in read(tmp_path, f'ca = "{name}"').all_cas()] == [url]


@pytest.mark.parametrize(
    ("state", "certificates"),
    [("/a/state", "/a/state/live"), ("/a/certs/state", "/a/certs"), ("/a", "/a"), ("/a/state", "/b/../a/state/x")],
)
def test_state_and_certificates_must_not_contain_each_other(tmp_path: Path, state: str, certificates: str) -> None:
    found = complaint(tmp_path, f"state_dir = '{state}'\ncertificates_dir = '{certificates}'")
    assert re.match(
        r"certificates_dir: this directory \(/a.*\) and state_dir \(/a.*\) must not contain each other", found
    )


def test_directories_with_a_common_name_prefix_are_accepted(tmp_path: Path) -> None:
    read(tmp_path, "state_dir = '/a/state'\ncertificates_dir = '/a/state-certificates'")


@pytest.mark.parametrize(
    ("text", "what", "name"),
    [
        ("[[nodes]]\nname = 'n'\n\n[[nodes]]\nname = 'n'", "nodes", "n"),
        ("[[cas]]\nname = 'google'\n\n[[cas]]\nname = 'google'", "cas", "google"),
        (
            "[[certificates]]\nidentifiers = ['a.example']\n\n[[certificates]]\nidentifiers = ['A.example']",
            "certificates",
            "a.example",
        ),
    ],
)
def test_duplicate_certificate_name_is_refused(tmp_path: Path, text: str, what: str, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    path = tmp_path / "issuer.toml"
    assert str(caught.value) == (f"{path}:4: two {what} are named {name!r} (the other at {path}:1); rename one")


@pytest.mark.parametrize(
    ("identifier", "name"),
    [("A.Example.", "a.example"), ("2001:DB8::7", "2001-db8--7"), ("[2001:db8::7]", "2001-db8--7"), ("::1", "0--1")],
)
def test_default_name_is_the_first_identifier(tmp_path: Path, identifier: str, name: str) -> None:
    settings = read(tmp_path, f"[[certificates]]\nidentifiers = ['{identifier}', 'z.example']")
    assert settings.certificates[0].name == name


def test_name_of_a_long_identifier_is_shortened_and_ends_in_a_digest(tmp_path: Path) -> None:
    labels = ".".join(["a" * 63] * 3)
    identifiers = [f"{labels}.{'b' * length}.example" for length in (40, 53, 52)]
    assert [len(one) for one in identifiers] == [240, 253, 252]
    tables = [f"[[certificates]]\nidentifiers = ['{one}']" for one in identifiers]
    whole, *short = [one.name for one in read(tmp_path, "\n".join(tables)).certificates]
    assert whole == identifiers[0]
    assert len({*short}) == 2
    for name in short:
        assert len(name) == 240
        assert re.fullmatch(rf"{labels}\.b{{31}}-[0-9a-f]{{16}}", name)


def test_invalid_toml_is_reported(tmp_path: Path) -> None:
    (tmp_path / "issuer.toml").write_text("ca = ")
    with pytest.raises(SettingsError, match=r"issuer\.toml:1:6: not valid TOML: Invalid value"):
        read_settings(tmp_path / "issuer.toml")


def test_file_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "issuer.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"issuer\.toml is not UTF-8: "):
        read_settings(tmp_path / "issuer.toml")


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"issuer\.toml does not exist. Run 'wellkeeper init', or name a file"):
        read_settings(tmp_path / "issuer.toml")


def test_unreadable_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*: Is a directory. Name a file"):
        read_settings(tmp_path)


def test_option_overrides_environment_which_overrides_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/from/environment.toml")
    assert settings_path(Path("/given.toml")) == Path("/given.toml")
    assert settings_path(None) == Path("/from/environment.toml")
    monkeypatch.setenv(PATH_VARIABLE, "")
    assert settings_path(None) == DEFAULT_PATH == Path("/etc/wellkeeper/issuer.toml")


def test_ca_is_accepted_by_the_host_name_shown_in_messages(tmp_path: Path) -> None:
    settings = read(tmp_path, 'ca = "https://ca.example/directory"')
    assert settings.find_ca("ca.example").directory == "https://ca.example/directory"


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("", "acme-v02.api.letsencrypt.org", "letsencrypt"),
        ("", "acme-staging-v02.api.letsencrypt.org", "letsencrypt-staging"),
        ("", "acme.zerossl.com", "zerossl"),
        ('ca = "sslcom-ecc"', "acme.ssl.com", "sslcom-ecc"),
        ("[[cas]]\nname = 'own'\ndirectory = 'https://ca.example/directory'", "ca.example", "own"),
    ],
)
def test_named_ca_is_accepted_by_its_host(tmp_path: Path, text: str, host: str, name: str) -> None:
    assert read(tmp_path, text).find_ca(host).name == name


def test_host_name_of_several_cas_is_refused_with_their_urls(tmp_path: Path) -> None:
    settings = read(tmp_path, 'ca = ["https://ca.example/a", "https://ca.example/b"]')
    with pytest.raises(ValueError, match=r"'ca\.example' matches 2 CAs: https://ca\.example/a, https://ca"):
        settings.find_ca("ca.example")


def test_deeply_nested_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "issuer.toml"
    path.write_text(f"x = {'[' * 20_000}")
    with pytest.raises(SettingsError, match=r"cannot read .*issuer\.toml: it is nested too deeply"):
        read_settings(path)
