"""Drop-ins, and the lines named in error messages."""

from pathlib import Path

import pytest

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import read_settings
from wellkeeper_issuer.settings.files import Location, drop_in_folder, find_line, find_table_lines
from wellkeeper_node.nginx.absent import AbsentNginx
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.shared import SharedNginx

TEXT = """\
ca = "letsencrypt"

[nginx]
command = [
    "nginx",
]
hooks.x = 1
[[cas]]
name = "a"
[[cas.limits]]
count = 1
[[cas.limits]]
count = 2
[[cas]]
"name" = "b"
[[ cas . limits ]]
count = 3

[[certificates]] # the first
identifiers = ["a.example"]
[[certificates]]
identifiers = ["b.example"]
"""


def write(folder: Path, main: str, **drop_ins: str) -> Path:
    path = folder / "issuer.toml"
    path.write_text(main)
    (folder / "issuer.d").mkdir()
    for name, text in drop_ins.items():
        (folder / f"issuer.d/{name}.toml").write_text(text)
    return path


def one(identifier: str, more: str = "") -> str:
    return f"[[certificates]]\nidentifiers = ['{identifier}']\n{more}"


def complaint(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("ca",), 1),
        (("ca", 1), 1),
        (("nginx",), 3),
        (("nginx", "command", 0), 4),
        (("nginx", "hooks", "x"), 7),
        (("nginx", "reload"), 3),
        (("cas", 0, "name"), 9),
        (("cas", 0, "limits", 1, "count"), 13),
        (("cas", 1, "name"), 15),
        (("cas", 1, "limits", 0, "count"), 17),
        (("certificates", 0), 19),
        (("certificates", 1, "identifiers", 0), 22),
        (("state_dir",), None),
        ((), None),
    ],
)
def test_error_has_the_line_of_the_mistake(location: Location, line: int | None) -> None:
    assert find_line(TEXT, location) == line


@pytest.mark.parametrize(
    ("location", "lines"),
    [
        (("nginx",), (3, 7)),
        (("cas", 0, "limits", 1), (12, 13)),
        (("certificates", 0), (19, 20)),
        (("certificates", 1), (21, 22)),
        (("ca",), None),
        (("nodes", 0), None),
    ],
)
def test_lines_of_a_table_are_found(location: Location, lines: tuple[int, int] | None) -> None:
    assert find_table_lines(f"{TEXT}\n# the end\n", location) == lines


def test_lines_are_counted_as_in_editors() -> None:
    assert find_line('ca = "\u2028\x85"\ncontact = 1\n', ("contact",)) == 2
    assert find_table_lines('ca = "\u2028\x85"\n[[certificates]]\nname = "a"\n', ("certificates", 0)) == (2, 3)


def test_mistake_is_reported_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, f"{one('a.example')}\n\n{one('b.example', 'key_type = 5')}\n[nginx]\nreload = 'no'\n")
    first, second = complaint(path).splitlines()
    assert first == "issuer.toml:9: nginx.reload = 'no': must be 'signal' or 'command'"
    assert second.startswith("issuer.toml:7: certificates[1].key_type = 5: must be 'ecdsa-p256', ")


def test_drop_in_directory_is_next_to_the_file() -> None:
    assert drop_in_folder(Path("/etc/wellkeeper/issuer.toml")) == Path("/etc/wellkeeper/issuer.d")
    assert drop_in_folder(Path("/etc/test.toml")) == Path("/etc/test.d")


def test_certificates_of_drop_ins_follow_those_of_the_file_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, one("m.example"), b=one("b.example") + one("b2.example"), a=one("z.example"), empty="")
    names = [certificate.name for certificate in read_settings(path).certificates]
    assert names == ["m.example", "z.example", "b.example", "b2.example"]


def test_hidden_and_other_files_are_not_drop_ins(tmp_path: Path) -> None:
    path = write(tmp_path, "", a=one("a.example"))
    for name in (".b.toml", "c.toml.tmp", "d.toml~", "README"):
        (tmp_path / "issuer.d" / name).write_text("no TOML")
    assert [certificate.name for certificate in read_settings(path).certificates] == ["a.example"]


def test_drop_in_may_contain_neither_commands_nor_a_ca(tmp_path: Path) -> None:
    path = write(tmp_path, "", a=one("a.example"), b=f"ca = 'google'\n[nginx]\n{one('b.example')}")
    assert complaint(path).splitlines() == [
        f"issuer.d/b.toml: {key!r} does not belong here: drop-ins may contain only [[certificates]], [[nodes]], "
        "[[publishers]], account_thumbprints and [fleet]; move it to issuer.toml"
        for key in ("ca", "nginx")
    ]


def test_drop_in_with_single_brackets_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "", a="[certificates]\nidentifiers = ['a.example']")
    assert complaint(path) == "issuer.d/a.toml: certificates must be tables; write [[certificates]] with two brackets"


def test_mistake_in_a_drop_in_is_reported_with_its_own_index_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, one("m.example"), a=one("a.example"), b=one("b.example") + one("*.example"))
    found = complaint(path)
    assert found.startswith("issuer.d/b.toml:4: certificates[1].identifiers[0]: '*.example' is a wildcard")


def test_duplicate_name_in_two_files_names_both(tmp_path: Path) -> None:
    path = write(
        tmp_path, one("m.example"), a=one("a.example"), b=one("b.example") + one("x.example", "name = 'a.example'")
    )
    assert complaint(path) == (
        "issuer.d/b.toml:3: two certificates are named 'a.example' (the other at issuer.d/a.toml:1); rename one"
    )


def test_unknown_ca_in_a_drop_in_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, one("m.example"), a=one("a.example", "ca = 'nobody'"))
    assert complaint(path).startswith(
        "issuer.d/a.toml:3: certificates[0].ca: unknown CA 'nobody'; write the https:// URL"
    )


def test_drop_in_with_invalid_toml_is_reported(tmp_path: Path) -> None:
    assert complaint(write(tmp_path, "", a="[[")).startswith("issuer.d/a.toml:1:3: not valid TOML: ")


def test_drop_in_that_is_a_broken_link_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    (tmp_path / "issuer.d/a.toml").symlink_to("nowhere")
    assert complaint(path) == "issuer.d/a.toml is a broken symbolic link. Remove it, or restore its target."


def test_unreadable_drop_in_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    (tmp_path / "issuer.d/a.toml").mkdir()
    assert complaint(path) == "cannot read issuer.d/a.toml: Is a directory. Name a file, not a directory."


def test_mistakes_in_main_file_and_drop_ins_are_reported_together(tmp_path: Path) -> None:
    path = write(tmp_path, "certificates = 5", a=one("a.example"))
    assert complaint(path) == "issuer.toml:1: certificates must be a list: certificates = [5]"


def test_nodes_of_drop_ins_are_added_to_the_one_of_this_host(tmp_path: Path) -> None:
    path = write(tmp_path, "", a="[[nodes]]\nname = 'web2'\nresponder = '10.0.0.2:1'", b="[[nodes]]\nname = 'web3'")
    assert [node.name for node in read_settings(path).nodes] == ["local", "web2", "web3"]


def test_nodes_of_drop_ins_follow_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[[nodes]]\nname = 'web1'", a="[[nodes]]\nname = 'web2'")
    assert [node.name for node in read_settings(path).nodes] == ["web1", "web2"]


@pytest.mark.parametrize("main", ["", "[[nodes]]\nname = 'web1'\n"])
def test_mistake_in_a_node_of_a_drop_in_has_its_line(tmp_path: Path, main: str) -> None:
    path = write(tmp_path, main, a="[[nodes]]\nname = 'web2'", b="[[nodes]]\nname = 'web3'\nresponder = 'x'")
    assert complaint(path).startswith("issuer.d/b.toml:3: nodes[0].responder: ")


def test_node_named_like_the_one_of_this_host_is_a_duplicate(tmp_path: Path) -> None:
    path = write(tmp_path, "", a="[[nodes]]\nname = 'local'")
    assert complaint(path) == ("issuer.d/a.toml:1: two nodes are named 'local' (the other at issuer.toml); rename one")


def test_fleet_may_be_in_a_drop_in_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "", fleet="[fleet]\nlisten = ['10.0.0.1:8404']")
    assert read_settings(path).fleet.listen == (("10.0.0.1", 8404),)
    (tmp_path / "issuer.d/fleet.toml").write_text("[fleet]\nlisten = ['x']")
    assert complaint(path).startswith("issuer.d/fleet.toml:2: fleet.listen[0]: ")


def test_fleet_is_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[fleet]\nlisten = []", a="[fleet]\nlisten = []")
    assert complaint(path) == "issuer.d/a.toml: [fleet] is in issuer.toml, too; keep one of them"


def test_host_without_nginx_has_no_implicit_node(tmp_path: Path) -> None:
    text = "local_node = false\nfleet = { listen = ['10.0.0.1:8404'] }\n[[certificates]]\nidentifiers = ['a.example']"
    path = write(tmp_path, text)
    assert build.nodes(read_settings(path)) == ()
    assert read_settings(path).lineages()[0].https_addresses == ()
    assert isinstance(build.nginx(read_settings(path)), AbsentNginx)
    (tmp_path / "issuer.d/a.toml").write_text("[[nodes]]\nname = 'web2'")
    assert [node.name for node in build.nodes(read_settings(path))] == ["web2"]


def test_host_without_nginx_needs_nodes_that_join(tmp_path: Path) -> None:
    assert complaint(write(tmp_path, "local_node = false")) == (
        "issuer.toml:1: local_node: without [fleet] listen, nothing would use the certificates"
    )


def test_nginx_in_a_shared_pid_namespace_is_found_by_its_processes(tmp_path: Path) -> None:
    path = tmp_path / "issuer.toml"
    path.write_text("[nginx]\npid_file = 'auto'\ntest = 'reload'\n")
    settings = read_settings(path)
    assert build.nginx_control(settings) == Control(pid_file=None, test="reload")
    assert isinstance(build.nginx(settings), SharedNginx)
