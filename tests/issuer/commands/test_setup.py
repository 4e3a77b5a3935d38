"""setup without a terminal, with an nginx that only prints its configuration."""

import asyncio
import os
import subprocess
from pathlib import Path

import click
import pytest

from tests.issuer.commands.conftest import Finished, Program
from wellkeeper_issuer.assembly.nginx_plan import find_command, propose_changes, read_nginx
from wellkeeper_issuer.commands.setting_up.questions import Wanted, ask
from wellkeeper_issuer.commands.setting_up.report import Result
from wellkeeper_issuer.commands.setting_up.writing import write_host
from wellkeeper_issuer.commands.terminal.given import Options
from wellkeeper_issuer.commands.terminal.questions import Answers
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node import units
from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.sites import Ports, sites

SITE = "server {\n    listen 80;\n    server_name a.example *.b.example;\n    root /srv;\n}\n"


class Nginx:
    """A program `nginx` whose `-T` prints the files of a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "nginx"
        (self.folder / "sites").mkdir(parents=True)
        self.main = self.folder / "nginx.conf"
        self.main.write_text(
            f"pid {folder}/nginx.pid;\nhttp {{\n    include conf.d/*.conf;\n    include sites/*;\n}}\n"
        )
        self.site = self.folder / "sites/site"
        self.site.write_text(SITE)
        self.programs = folder / "bin"
        self.programs.mkdir()
        files = f"{self.main} $(find {self.folder} -mindepth 2 -type f | sort)"
        self.script("nginx", f'for file in {files}; do echo "# configuration file $file:"; cat $file; done')

    def script(self, name: str, line: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@pytest.fixture(autouse=True)
def nginx(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Nginx:
    found = Nginx(folder)
    monkeypatch.setenv("PATH", f"{found.programs}:{os.environ['PATH']}")
    return found


def setup(program: Program, *arguments: str) -> Finished:
    folders = ("--state-dir", str(program.state_dir), "--certificates-dir", str(program.certificates_dir))
    return program.run("setup", "--agree-to-terms-of-service", *folders, *arguments)


def test_new_host_gets_everything_but_the_changes_of_nginx(program: Program, nginx: Nginx) -> None:
    done = setup(program, "--certificate", "a.example", "--json").json()
    settings = read_settings(program.config)
    assert [one.name for one in settings.certificates] == ["a.example"]
    assert settings.nginx.pid_file == program.folder / "nginx.pid"
    assert settings.rehearsal.ca is None
    assert done["settings"] == {"path": str(program.config), "is_written": True, "unused_options": []}
    assert done["trust_file"]["is_written"]
    assert done["placeholders"] == ["a.example"]
    assert len(done["snippets_written"]) == 6
    assert [one["name"] for one in done["units"]] == ["wellkeeper-responder.service", "wellkeeper.service"]
    assert Path(done["patch"]["path"]).read_text() == done["patch"]["text"]
    assert f"+++ {str(nginx.site)[1:]}\n" in done["patch"]["text"]
    assert nginx.site.read_text() == SITE


def test_new_settings_have_the_staging_ca_for_the_test(program: Program) -> None:
    wanted = Wanted((("a.example",),), Answers("letsencrypt", (), True, ()), tries_staging=True)
    found = asyncio.run(read_nginx(Settings()))
    folders = {"state_dir": program.state_dir, "certificates_dir": program.certificates_dir}
    written = write_host(program.config, wanted, folders, {"pid_file": "/run/other.pid"}, found)
    assert written.settings.rehearsal.ca == "letsencrypt-staging"
    assert written.settings.nginx.pid_file == Path("/run/other.pid")
    assert len(written.keys) == 3


def test_missing_units_are_noted_with_the_commands_that_install_them(program: Program) -> None:
    wanted = Wanted((("a.example",),), Answers("letsencrypt", (), True, ()))
    found = asyncio.run(read_nginx(Settings()))
    folders = {"state_dir": program.state_dir, "certificates_dir": program.certificates_dir}
    written = write_host(program.config, wanted, folders, {}, found)
    plan = propose_changes(written.settings, (), found)
    lines = Result(written, {units.RESPONDER: units.NOT_INSTALLED}, plan, None).to_text().splitlines()
    assert f"note   {units.RESPONDER} was not started: it is not installed" in lines
    share = "/usr/local/share/wellkeeper"
    command = f"wellkeeper files {share} && cp {share}/systemd/* /etc/systemd/system/"
    assert f"note   to install the units, run '{command}' as root, then run 'wellkeeper setup' again" in lines


def test_missing_certificate_is_named_with_the_names_that_nginx_serves(program: Program) -> None:
    refused = setup(program)
    assert refused.exit_code == 2
    assert "Missing option '--certificate'. nginx serves: a.example." in refused.err
    assert not program.config.exists()


def test_second_run_adds_what_is_new_and_keeps_the_rest(program: Program, nginx: Nginx) -> None:
    setup(program, "--certificate", "a.example")
    snippet = nginx.folder / "snippets/wellkeeper/tls.conf"
    snippet.write_text("ssl_protocols TLSv1.3;\n")
    again = program.run("setup", "--certificate", "a.example", "--certificate", "c.example")
    assert again.exit_code == 0
    assert f"kept   {program.config}" in again.out
    assert f"wrote  {program.config.parent}/issuer.d/c.example.toml" in again.out
    assert "made   c.example: a placeholder, so that nginx can start" in again.out
    assert f"note   {snippet} differs from this version's; it was kept" in again.out
    assert "+++ " + str(nginx.folder / "conf.d/c.example.conf")[1:] in again.out
    assert snippet.read_text() == "ssl_protocols TLSv1.3;\n"


def test_certificate_elsewhere_is_a_note_and_an_earlier_patch_is_removed(program: Program, nginx: Nginx) -> None:
    setup(program, "--certificate", "a.example")
    patch = program.config.with_name("nginx.patch")
    assert patch.exists()
    pair = "ssl_certificate /c.pem;\nssl_certificate_key /c.key;\n"
    (nginx.folder / "shared").mkdir()
    (nginx.folder / "shared/tls").write_text(f"ssl_protocols TLSv1.3;\n{pair}")
    location = "location ^~ /.well-known/acme-challenge/ { proxy_pass http://wellkeeper_responder; }"
    (nginx.folder / "conf.d").mkdir()
    (nginx.folder / "conf.d/u.conf").write_text("upstream wellkeeper_responder { server unix:/s; }\n")
    nginx.site.write_text(
        "server { listen 80; listen [::]:80; listen 443 ssl; server_name a.example;"
        f" include shared/tls; {location} }}\n"
    )
    done = program.run("setup")
    assert f"note   {nginx.site}:1 takes its certificate from {nginx.folder}/shared/tls:2." in done.out
    assert "has everything" not in done.out
    assert not patch.exists()


def test_complete_configuration_needs_nothing(program: Program) -> None:
    done = setup(program, "--certificate", "a.example", "--json").json()
    subprocess.run(["/bin/sh", "-c", done["patch"]["command"]], check=True, capture_output=True)
    assert "nginx's configuration has everything that it needs." in program.run("setup").out


def test_configuration_that_cannot_be_parsed_is_reported(program: Program, nginx: Nginx) -> None:
    nginx.site.write_text("server {\n")
    failed = setup(program, "--certificate", "a.example")
    assert failed.exit_code == 1
    assert "cannot parse all of nginx's configuration" in failed.err
    assert not program.config.exists()


def test_host_without_nginx_is_reported() -> None:
    with pytest.raises(SettingsError, match="cannot find nginx: none of no-such-nginx exists"):
        find_command(("no-such-nginx",))


def test_interrupted_user_gets_the_answers_as_options(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options({})
    options.add("--certificate", "a.example,b.example")
    options.add("--contact", "a b@example.org")
    with pytest.raises(click.Abort), options.kept("wellkeeper setup"):
        raise click.Abort
    shown = "  wellkeeper setup --certificate a.example,b.example --contact 'a b@example.org'\n"
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--certificate", "a.example,*.example", "'*.example' is a wildcard"),
        ("--contact", "nobody", "'nobody' is not an email address"),
        ("--ca", "letsencrypt-prod", "unknown CA 'letsencrypt-prod'"),
    ],
)
def test_option_is_checked_before_anything_is_written(program: Program, option: str, value: str, words: str) -> None:
    refused = program.run("setup", "--certificate", "a.example", option, value)
    assert refused.exit_code == 2
    assert option in refused.err
    assert words in refused.err
    assert not program.config.exists()


@pytest.mark.parametrize(
    ("known", "expected"),
    [([], (("a.example",), ("c.example",))), ([frozenset({"a.example", "x.example"})], (("c.example",),))],
)
def test_certificates_that_the_settings_have_are_not_added(
    known: list[frozenset[str]], expected: tuple[tuple[str, ...], ...]
) -> None:
    found = sites(parse(f"# configuration file /n.conf:\nhttp {{\n{SITE}}}\n"), Ports())
    given = {"certificate": ("a.example", "c.example")}
    assert ask(given, found, known, is_new=False, asks=False).certificates == expected
