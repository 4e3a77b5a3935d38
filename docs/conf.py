"""Settings of Sphinx, which makes the site and the man pages of the whole checkout, so that links work as on GitHub."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

ROOT: Final = Path(__file__).parent.parent
REPOSITORY: Final = "https://github.com/wellkeeper/wellkeeper"
COMMANDS: Final = "docs/commands/"
_LOG: Final = logging.getLogger(__name__)

project = "Wellkeeper"
author = "The Wellkeeper authors"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
extensions = ["myst_parser", "sphinx_click"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "nginx/README.md", "*.md"]
exclude_patterns = [one.name for one in ROOT.iterdir() if one.is_dir() and one.name not in {"docs", "nginx"}]
myst_heading_anchors = 4
smartquotes = False
suppress_warnings = ["toc.not_included"]  # check_contents says what to do

html_theme = "furo"
html_title = f"Wellkeeper {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
templates_path = ["templates"]
html_additional_pages = {"index": "start.html"}
html_static_path = ["static"]
html_css_files = ["narrow.css"]
html_search_scorer = str(ROOT / "docs/search.js")

man_show_urls = True
man_pages = [
    (f"{COMMANDS}wellkeeper", "wellkeeper", "keep nginx's certificates renewed", "", 1),
    (f"{COMMANDS}wellkeeper-node", "wellkeeper-node", "get certificates from an issuer on another host", "", 1),
    (f"{COMMANDS}wellkeeper-responder", "wellkeeper-responder", "answer ACME http-01 challenges behind nginx", "", 1),
    (f"{COMMANDS}wellkeeper-relay", "wellkeeper-relay", "pass records from an issuer to its nodes", "", 1),
    (f"{COMMANDS}wellkeeper-publish", "wellkeeper-publish", "publish tokens of another ACME client", "", 1),
    ("docs/settings", "issuer.toml", "settings of wellkeeper", "", 5),
]


def read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to directories lead to the repository, and add the sidebar to the first page."""
    folder = Path(app.srcdir, docname).parent
    source[0] = re.sub(r"\]\(((?!https?:)[^)#]+)\)", lambda link: _link(folder, link[1]), source[0])
    if docname == root_doc:
        source[0] += "".join(_sidebar(source[0]))
    elif docname == "docs/design/README":
        source[0] += _toctree([":glob:"], ["0*"])


def _link(folder: Path, target: str) -> str:
    path = (folder / target).resolve()
    return f"]({REPOSITORY}/tree/v{release}/{path.relative_to(ROOT)})" if path.is_dir() else f"]({target})"


def _sidebar(text: str) -> Iterator[str]:
    """Yield a part for each section, with the pages that its list names and their titles there."""
    for section in text.split("\n## ")[1:]:
        pages = re.findall(r"\[([^]]+)\]\(([^:)#]+\.md)\)", section)
        caption = section.partition("\n")[0]
        yield _toctree([f":caption: {caption}"], [f"{title} <{page}>" for title, page in pages])


def _toctree(options: list[str], pages: list[str]) -> str:
    return "\n".join(["\n```{toctree}", ":hidden:", *options, "", *pages, "```\n"])


def read_command(app: Sphinx, context: click.Context, lines: list[str]) -> None:  # noqa: ARG001 - sphinx-click's signature
    """Take help texts as plain text, list the commands of a group, and name the values of options as --help does."""
    lines[:] = map(_plain, lines)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            lines += [name, f"   {_plain(command.get_short_help_str(200) if command else '')}", ""]
    for one in context.command.params:
        if isinstance(one, click.Option):
            one.help = _plain(one.help or "")
            one.metavar = one.make_metavar(context)


def _plain(text: str) -> str:
    return re.sub(r"([*`\\]|(?<=\w)_(?!\w))", r"\\\1", text)


def name_commands(app: Sphinx, tree: nodes.document) -> None:
    """Give the section of a command its whole name: `wellkeeper account show`, not `show`."""
    if app.env.docname.startswith(COMMANDS):
        for section in tree.findall(nodes.section):
            name = section["names"][0]
            if name.startswith("wellkeeper"):
                section.replace(section[0], nodes.title(name, name))


def fit_man_page(app: Sphinx, tree: nodes.document, docname: str) -> None:  # noqa: ARG001 - Sphinx's signature
    """In a man page, write a table as a list, since a terminal is too narrow for four columns; drop links to pages."""
    if app.builder.name == "man":
        for link in list(tree.findall(nodes.reference)):
            if not link.get("refuri"):
                link.replace_self(link.children)
        for table in list(tree.findall(nodes.table)):
            head, *rows = (list(row) for row in table.findall(nodes.row))
            table.replace_self(nodes.definition_list("", *(_item(head, row) for row in rows)))


def _item(head: list[nodes.Node], row: list[nodes.Node]) -> nodes.definition_list_item:
    """Return a row as an item: its first cell, then the last one, then the others with their headings."""
    term = nodes.term("", "", *(child for part in row[0].children for child in part.children))
    *others, last = row[1:]
    text = nodes.definition("", *last.children)
    for title, cell in zip(head[1:], others, strict=False):
        if cell.astext():
            text += nodes.paragraph("", "", nodes.Text(f"{title.astext().capitalize()}: "), *cell.children[0].children)
    return nodes.definition_list_item("", term, text)


def check_contents(app: Sphinx, environment: BuildEnvironment) -> None:  # noqa: ARG001 - Sphinx's signature
    listed = {page for pages in environment.toctree_includes.values() for page in pages}
    for page in sorted(environment.found_docs - listed - {root_doc}):
        _LOG.warning(
            "the page is not in the contents: add it to the list of its section in docs/index.md", location=page
        )


def setup(app: Sphinx) -> None:
    app.connect("source-read", read_page)
    app.connect("sphinx-click-process-description", read_command)
    app.connect("env-check-consistency", check_contents)
    app.connect("doctree-read", name_commands)
    app.connect("doctree-resolved", fit_man_page)
