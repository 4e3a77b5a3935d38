"""node.toml: what `join` writes is read back, and each mistake names its line."""

from dataclasses import replace
from pathlib import Path

import pytest

from wellkeeper_node import settings
from wellkeeper_node.errors import FleetError
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.settings import NodeSettings

PATH = Path("/etc/wellkeeper/node.toml")
MADE = NodeSettings("web2", ("10.0.0.1:8404", "https://relay.example.org"))
BASE = "name = 'web2'\nrelays = ['10.0.0.1:8404']\n"


def parse(text: str) -> NodeSettings:
    return settings.parse(text.encode(), PATH)


@pytest.mark.parametrize(
    "made",
    [
        MADE,
        replace(MADE, certificates_group="nginx", answers=False, http_addresses=(("::1", 80), ("127.0.0.1", 8080))),
        replace(MADE, state_dir=Path('/var/"x\\y"'), http_addresses=()),
    ],
    ids=["defaults", "others", "quotes"],
)
def test_written_settings_are_read_back(made: NodeSettings) -> None:
    assert parse(settings.to_toml(made)) == made


def test_tables_are_read() -> None:
    found = parse(
        f"{BASE}[nginx]\ncommand = ['nginx', '-p', '/x']\npid_file = '/x.pid'\nreload_command = ['reload']\n"
        "error_log = '/x.log'\n[hooks]\ndeploy = ['deploy']\n"
    )
    assert found.nginx == Control(("nginx", "-p", "/x"), Path("/x.pid"), ("reload",), Path("/x.log"))
    assert found.deploy == ("deploy",)


def test_nginx_may_be_reached_through_its_processes_or_an_agent() -> None:
    shared = parse(f"{BASE}[nginx]\npid_file = 'auto'\ntest = 'reload'").nginx
    assert shared == Control(pid_file=None, test="reload")
    assert parse(f"{BASE}[nginx]\nagent = '/run/x'").nginx == Control(agent=Path("/run/x"))


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("name = ", "node.toml: not valid TOML", "Invalid value"),
        ("name = 5x\n", "node.toml:1: not valid TOML", ""),
        ("relays = ['10.0.0.1:8404']", "node.toml: name is missing", ""),
        (f"{BASE}nginx = 5", "nginx must be a table", ""),
        (f"{BASE}more = 5", "node.toml:3: more = 5", "there is no such key"),
        (f"{BASE}[hooks]\npre = ['x']", "node.toml:4: hooks.pre = ['x']", "there is no such key"),
        ("relays = ['x:1']\nname = '../x'", "node.toml:2: name = '../x'", "letters, digits"),
        ("relays = 'x'", "relays = 'x'", "a list of addresses of relays"),
        ("relays = []", "relays = []", "a list of addresses of relays"),
        ("relays = ['8.8.8.8:1']", "relays = ['8.8.8.8:1']", "only to private addresses"),
        (f"{BASE}state_dir = 'x'", "node.toml:3", "an absolute path"),
        (f"{BASE}state_dir = ''", "node.toml:3", "a text in quotes"),
        (f"{BASE}answers = 1", "node.toml:3", "true or false"),
        (f"{BASE}responder = '10.0.0.2:1'", "node.toml:3", "unix:/PATH"),
        (f"{BASE}http_addresses = '127.0.0.1:80'", "node.toml:3", "a list of addresses"),
        (f"{BASE}http_addresses = ['127.0.0.1']", "node.toml:3", "HOST:PORT"),
        (f"{BASE}http_addresses = ['127.0.0.1:70000']", "node.toml:3", "HOST:PORT"),
        (f"{BASE}[nginx]\ncommand = 'nginx'", "node.toml:4: nginx.command", "a command as a list"),
        (f"{BASE}[nginx]\npid_file = 'run'", "node.toml:4: nginx.pid_file", "an absolute path"),
        (f"{BASE}[nginx]\ntest = 'no'", "node.toml:4: nginx.test", "'command' or 'reload'"),
        (
            f"{BASE}[nginx]\nagent = '/x'\npid_file = 'auto'",
            "node.toml: [nginx]",
            "pid_file and agent cannot be combined",
        ),
    ],
)
def test_mistakes_are_named(text: str, where: str, why: str) -> None:
    with pytest.raises(FleetError) as caught:
        parse(text)
    assert where in caught.value.what
    assert why in caught.value.why


def test_other_bytes_are_refused() -> None:
    with pytest.raises(FleetError, match=r"is not UTF-8: .*0xff.*\. Save the file in UTF-8"):
        settings.parse(b"\xff", PATH)
    with pytest.raises(FleetError, match="longer than 65536 bytes"):
        settings.parse(b" " * 70_000, PATH)


def test_file_is_read_if_only_its_owner_may_change_it(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    with pytest.raises(FleetError, match=r"does not exist\. Run 'wellkeeper-node join' first"):
        settings.read(path)
    path.write_text(settings.to_toml(MADE))
    assert settings.read(path) == MADE
    path.chmod(0o666)
    with pytest.raises(FleetError, match="cannot trust"):
        settings.read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(FleetError, match="cannot read"):
        settings.read(path)
