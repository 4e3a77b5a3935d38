"""Certificates on disk: the patch keeps those of a CA until ours is obtained."""

from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from wellkeeper_issuer.assembly.nginx_plan import NginxFound, propose_changes
from wellkeeper_issuer.commands.placeholder import make_placeholders
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.nginx.configuration import parse


def found(folder: Path, *values: str) -> NginxFound:
    """Return an nginx with one server block per value of ssl_certificate."""
    text = "".join(
        f"server {{\n    listen 443 ssl;\n    listen 80;\n    server_name a.example;\n    ssl_certificate {one};\n"
        f"    ssl_certificate_key {folder}/key;\n}}\n"
        for one in values
    )
    files = {f"{folder}/nginx.conf": "http {\n    include site;\n}\n", f"{folder}/site": text}
    dump = "".join(f"# configuration file {path}:\n{one}\n" for path, one in files.items())
    return NginxFound(parse(dump), files)


@pytest.fixture
def settings(folder: Path) -> Settings:
    path = folder / "issuer.toml"
    path.write_text(
        f"ca = 'https://ca.example/directory'\nstate_dir = '{folder}/state'\n"
        f"certificates_dir = '{folder}/certificates'\n[[certificates]]\nidentifiers = ['a.example']\n"
    )
    read = read_settings(path)
    make_placeholders(read, ())
    return read


def test_names_of_working_certificates_are_read(folder: Path, settings: Settings) -> None:
    made = make_server_certificate(folder / "theirs", ("a.example", "*.B.example"))
    (folder / "garbage.pem").write_text("garbage")
    live = next(iter(settings.certificates)).name
    self_signed = f"{folder}/certificates/live/{live}/fullchain.pem"
    values = (self_signed, "theirs/fullchain.pem", "missing.pem", "$ssl_server_name.pem", "garbage.pem")
    assert made.certificate.exists()
    assert Path(self_signed).exists()
    assert found(folder, *values).working_certificates() == {
        "theirs/fullchain.pem": frozenset({"a.example", "*.b.example"}),
        "$ssl_server_name.pem": None,
        "garbage.pem": None,
    }


def test_working_certificate_is_replaced_once_ours_is_obtained(folder: Path, settings: Settings) -> None:
    make_server_certificate(folder / "theirs", ("a.example",))
    nginx = found(folder, "theirs/fullchain.pem")
    live = folder / "certificates/live/a.example/fullchain.pem"
    plan = propose_changes(settings, settings.certificates, nginx)
    assert str(live) not in plan.patch
    assert "run 'wellkeeper setup' again once it is obtained." in plan.notes[0]
    live.write_bytes(make_server_certificate(folder / "obtained", ("a.example",)).certificate.read_bytes())
    plan = propose_changes(settings, settings.certificates, nginx)
    assert (f"+    ssl_certificate {live};" in plan.patch, plan.notes) == (True, ())
