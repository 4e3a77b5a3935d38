"""The documentation as a site and as man pages: no warning, nothing missing, nothing loaded from other sites."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from stand import processes
from tests.layers import PROJECT
from wellkeeper_issuer.__main__ import cli
from wellkeeper_node.__main__ import cli as node
from wellkeeper_relay.__main__ import command as relay
from wellkeeper_responder.__main__ import command as responder

pytestmark = pytest.mark.any_python

# What a browser fetches by itself, in HTML and CSS.
LOADED: Final = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^>]*>|@import|url\((?:https?:)?//"
)
PROGRAMS: Final = {
    "wellkeeper": cli,
    "wellkeeper-node": node,
    "wellkeeper-relay": relay,
    "wellkeeper-responder": responder,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site. A broken link, a missing anchor and a page without a place fail the build."""
    made = tmp_path_factory.mktemp("site")
    finished = subprocess.run(
        [PROJECT / "scripts/package", "--docs", made], check=False, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    return made


@pytest.fixture(scope="module")
def man_pages(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man")
    options = ("--quiet", "--fail-on-warning", "--builder", "man", "--conf-dir", "docs", "--doctree-dir")
    subprocess.run([sys.executable, "-m", "sphinx", *options, site / ".doctrees", ".", made], cwd=PROJECT, check=True)
    return made


def test_first_page_leads_to_the_contents(site: Path) -> None:
    target = re.search(r"url=([^\"]+)", (site / "index.html").read_text())
    assert target is not None
    assert "<h1>Documentation" in (site / target[1]).read_text()


def test_browser_loads_nothing_from_another_site(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 60
    assert [f"{file.name}: {found[0]}" for file in files if (found := LOADED.search(file.read_text()))] == []


def test_search_has_an_index_of_its_own(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex({")
    for word in ("rehears", "lineag", "wellkeeper", "certbot"):
        assert f'"{word}":' in index


def test_search_shows_decisions_after_pages_for_users(site: Path) -> None:
    assert (PROJECT / "docs/search.js").read_text() in (site / "_static/language_data.js").read_text()


def test_pages_have_styles_for_narrow_screens(site: Path) -> None:
    style = (PROJECT / "docs/static/narrow.css").read_text()
    assert (site / "_static/narrow.css").read_text() == style
    assert "_static/narrow.css" in (site / "docs/troubleshooting.html").read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_reference_has_every_command_and_option(site: Path, man_pages: Path, program: str) -> None:
    page = re.sub(r"<[^>]+>", "", (site / f"docs/commands/{program}.html").read_text())
    manual = (man_pages / f"{program}.1").read_text().replace(r"\-", "-")
    for path, command in _commands(program, PROGRAMS[program]):
        missing = [one for one in (path, *_options(command)) if one not in page or one not in manual]
        assert missing == [], path


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from _commands(f"{path} {name}", inner)


def _options(command: click.Command) -> list[str]:
    return [one.opts[0] for one in command.params if isinstance(one, click.Option) and not one.hidden]


@pytest.mark.parametrize("name", [*(f"{program}.1" for program in (*PROGRAMS, "wellkeeper-publish")), "issuer.toml.5"])
def test_man_page_is_found_and_reads_without_a_warning(man_pages: Path, name: str) -> None:
    title = name.rpartition(".")[0]
    assert f"{title} - " in _output("lexgrog", man_pages / name)
    shown = _output("man", "--warnings", "--local-file", man_pages / name)
    assert f"{title.upper()}({name[-1]})" in shown
    assert "<>" not in shown


def test_every_program_has_a_man_page(man_pages: Path) -> None:
    """Otherwise, lintian would report it for the Debian package."""
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {page.stem for page in man_pages.glob("*.1")} == set(scripts)


def test_man_page_of_the_publisher_has_every_option(man_pages: Path) -> None:
    manual = (man_pages / "wellkeeper-publish.1").read_text().replace(r"\-", "-")
    offered = _output(processes.PROGRAMS / "wellkeeper-publish", "--help")
    assert [one for one in set(re.findall(r"--[a-z]+", offered)) if one not in manual and one != "--help"] == []


def test_man_page_of_the_settings_has_every_key(man_pages: Path) -> None:
    shown = _output("man", "--local-file", man_pages / "issuer.toml.5")
    keys = re.findall(r"^\| `([a-z_]+)` ", (PROJECT / "docs/settings.md").read_text(), re.MULTILINE)
    assert len(keys) > 50
    assert [key for key in keys if not re.search(rf"^ +{key}( |$)", shown, re.MULTILINE)] == []


def _output(*command: str | Path) -> str:
    """Return the output of a program that must not complain."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "100"}
    finished = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (finished.returncode, finished.stderr) == (0, ""), finished
    return finished.stdout
