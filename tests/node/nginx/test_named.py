"""Directories that a configuration names, by whatever path."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.named import named_folders


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a version of the certificate `shop`, which is live; beside it is one of `mail`."""
    for name in ("shop", "mail"):
        version = tmp_path / "certs/archive" / name / "v1"
        version.mkdir(parents=True)
        for file in ("fullchain.pem", "privkey.pem"):
            (version / file).touch()
        (tmp_path / "certs/live").mkdir(exist_ok=True)
        (tmp_path / "certs/live" / name).symlink_to(f"../archive/{name}/v1")
    (tmp_path / "etc").mkdir()
    return tmp_path / "certs/archive/shop/v1"


def link(root: Path, target: str) -> str:
    path = root / "etc/link"
    path.symlink_to(root / target)
    return str(path)


def hard_link(root: Path, target: str) -> str:
    path = root / "etc/hard"
    path.hardlink_to((root / target).resolve())
    return str(path)


FORMS: Final[dict[str, Callable[[Path], str]]] = {
    "live path": lambda root: f"ssl_certificate {root}/certs/live/shop/fullchain.pem;",
    "key alone": lambda root: f"ssl_certificate_key {root}/certs/live/shop/privkey.pem;",
    "archive path": lambda root: f"ssl_certificate {root}/certs/archive/shop/v1/fullchain.pem;",
    "quoted": lambda root: f'ssl_certificate "{root}/certs/live/shop/fullchain.pem";',
    "other spelling": lambda root: f"ssl_certificate {root}/certs/../certs//live/./shop/fullchain.pem;",
    "relative to the main file": lambda _: "ssl_certificate ../certs/live/shop/fullchain.pem;",
    "link to the file": lambda root: f"ssl_certificate {link(root, 'certs/live/shop/fullchain.pem')};",
    "link to the directory": lambda root: f"ssl_certificate {link(root, 'certs/live/shop')}/fullchain.pem;",
    "link to everything": lambda root: f"ssl_certificate {link(root, 'certs')}/live/shop/fullchain.pem;",
    "hard link": lambda root: f"ssl_certificate {hard_link(root, 'certs/live/shop/fullchain.pem')};",
    "relative link": lambda root: f"ssl_certificate {Path(link(root, 'certs/live/shop/fullchain.pem')).name};",
    "variable": lambda root: f"ssl_certificate {root}/certs/live/$ssl_server_name/fullchain.pem;",
    "variable in braces": lambda root: f"ssl_certificate {root}/certs/live/s${{rest}}/fullchain.pem;",
    "directory in a map": lambda root: f"map $host $folder {{ default {root}/certs/live/shop; }}",
    "of a proxy": lambda root: f"proxy_ssl_certificate {root}/certs/live/shop/fullchain.pem;",
}


def named(shop: Path, line: str) -> bool:
    root = shop.parents[3]
    dump = f"# configuration file {root}/etc/nginx.conf:\nhttp {{ server {{ {line} }} }}\n"
    found = named_folders(parse(dump), [str(shop), str(root / "nowhere")])
    assert found in ({}, {str(shop): f"{root}/etc/nginx.conf:1"})
    return bool(found)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_version_is_named_by_any_path_that_leads_to_a_file_of_it(shop: Path, form: Callable[[Path], str]) -> None:
    assert named(shop, form(shop.parents[3]))


OTHERS: Final[dict[str, Callable[[Path], str]]] = {
    "another certificate": lambda root: f"ssl_certificate {root}/certs/live/mail/fullchain.pem;",
    "comment": lambda root: f"# ssl_certificate {root}/certs/live/shop/fullchain.pem;\n",
    "directory above": lambda root: f"root {root}/certs;",
    "missing file": lambda root: f"ssl_certificate {root}/certs/live/shops/fullchain.pem;",
    "another variable path": lambda root: f"ssl_certificate {root}/certs/live/m$rest/fullchain.pem;",
    "variable alone": lambda _: "return 301 https://$host$request_uri;",
    "text": lambda _: "return 200 'a long text with spaces/and slashes';",
}


@pytest.mark.parametrize("form", OTHERS.values(), ids=OTHERS)
def test_version_is_not_named_by_anything_else(shop: Path, form: Callable[[Path], str]) -> None:
    assert not named(shop, form(shop.parents[3]))
