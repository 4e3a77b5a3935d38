"""Reading certbot's directory in any state. The integration tests read a real one."""

import json
import os
import stat
import struct
from base64 import urlsafe_b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.keys import rsa_key
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.certbot import parse_renewal, read_certbot
from wellkeeper_issuer.takeover import Access
from wellkeeper_node import acls
from wellkeeper_node.model import Pair

NO_ID = 0xFFFFFFFF
A = dns("a.example")
CA = FakeCa()


def write_lineage(folder: Path, name: str, *pairs: Pair, parameters: str = "", live: int | None = None) -> None:
    """Write versions from 1 on; the last one is live unless `live` says otherwise."""
    archive = folder / "archive" / name
    archive.mkdir(parents=True)
    for number, pair in enumerate(pairs, 1):
        (archive / f"fullchain{number}.pem").write_bytes(pair.chain_pem)
        (archive / f"privkey{number}.pem").write_bytes(pair.certificate_key_pem)
        (archive / f"privkey{number}.pem").chmod(0o600)
    (folder / "live" / name).mkdir(parents=True)
    for kind in ("fullchain", "privkey"):
        (folder / "live" / name / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}{live or len(pairs)}.pem")
    (folder / "renewal").mkdir(exist_ok=True)
    (folder / "renewal" / f"{name}.conf").write_text(
        f"version = 5.8.0\narchive_dir = {archive}\nfullchain = {folder}/live/{name}/fullchain.pem\n"
        f"[renewalparams]\nauthenticator = webroot\nserver = https://ca.example/directory\n{parameters}"
    )


def write_account(folder: Path, name: str, key: rsa.RSAPrivateKey, server: str = "ca.example/directory") -> None:
    numbers, public = key.private_numbers(), key.public_key().public_numbers()
    members = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    members |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    jwk = {
        name: urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).decode().rstrip("=")
        for name, value in members.items()
    }
    place = folder / "accounts" / server / name
    place.mkdir(parents=True)
    (place / "private_key.json").write_text(json.dumps(jwk | {"kty": "RSA"}))
    (place / "regr.json").write_text(json.dumps({"body": {}, "uri": f"https://ca.example/account/{name}"}))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("key = plain value", "plain value"),
        ("key = 'single, quoted'", "single, quoted"),
        ('key = "double # quoted"', "double # quoted"),
        ("key = '''both \" and ' of them'''", "both \" and ' of them"),
        ("key = value # a comment", "value"),
        ("key = a=b", "a=b"),
        ("key = ", ""),
    ],
)
def test_values_are_read_as_configobj_writes_them(line: str, value: str) -> None:
    assert parse_renewal(f"[renewalparams]\n{line}\n") == {"key": value}


def test_inner_sections_and_comments_are_ignored() -> None:
    text = (
        "# x = 1\nversion = 1\n[renewalparams]\nserver = s\n[[webroot_map]]\nserver = other\n[else]\nserver = third\n"
    )
    assert parse_renewal(text) == {"version": "1", "server": "s"}


def test_newest_matching_pair_is_read(tmp_path: Path) -> None:
    pairs = [FakeCa(NOW + timedelta(days=day)).pair(A) for day in range(3)]
    spoilt = Pair(pairs[0].certificate_key_pem, pairs[2].chain_pem)
    write_lineage(tmp_path, "a.example", pairs[0], pairs[1], spoilt)
    (lineage,) = read_certbot(tmp_path).lineages
    assert (lineage.name, lineage.pair, lineage.trouble) == ("a.example", pairs[1], "")
    assert lineage.parameters["authenticator"] == "webroot"


def test_moved_directory_is_read_at_its_new_place(tmp_path: Path) -> None:
    pair = CA.pair(A)
    write_lineage(tmp_path / "before", "a.example", pair)
    (tmp_path / "before").rename(tmp_path / "after")
    assert read_certbot(tmp_path / "after").lineages[0].pair == pair


def test_lineage_without_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal/a.example.conf").write_text("[renewalparams]\nkey_type = rsa\n")
    (lineage,) = read_certbot(tmp_path).lineages
    assert lineage.pair is None
    assert "has a certificate with its key" in lineage.trouble


def test_files_without_a_lineage_are_named(tmp_path: Path) -> None:
    write_lineage(tmp_path, "a.example", CA.pair(A))
    (tmp_path / "renewal/a.example.conf").unlink()
    (tmp_path / "live/README").write_text("read me")
    (lineage,) = read_certbot(tmp_path).lineages
    assert (lineage.name, lineage.pair) == ("a.example", None)
    assert "certbot does not renew it either" in lineage.trouble


def test_accounts_are_read_with_their_keys(tmp_path: Path) -> None:
    key = rsa_key()
    (tmp_path / "renewal").mkdir()
    write_account(tmp_path, "7", key)
    write_account(tmp_path, "8", key, "broken.example")
    (tmp_path / "accounts/broken.example/8/private_key.json").write_text("{}")
    write_account(tmp_path, "9", key, "other.example/v2/DV90")
    found = read_certbot(tmp_path).accounts
    assert [(one.name, one.directory_url, one.account_url) for one in found] == [
        ("7", "https://ca.example/directory", "https://ca.example/account/7"),
        ("9", "https://other.example/v2/DV90", "https://ca.example/account/9"),
    ]
    read = load_pem_private_key(found[0].account_key_pem, None)
    assert read.private_numbers() == key.private_numbers()  # type: ignore[union-attr]


def test_hooks_are_read_once_each(tmp_path: Path) -> None:
    for name in ("a.example", "b.example"):
        write_lineage(tmp_path, name, CA.pair(dns(name)), parameters="renew_hook = systemctl reload nginx\n")
    hooks = tmp_path / "renewal-hooks/deploy"
    hooks.mkdir(parents=True)
    for name, mode in (("copy", 0o755), ("readme", 0o644), ("copy~", 0o755)):
        (hooks / name).touch(mode)
    (tmp_path / "cli.ini").touch()
    found = read_certbot(tmp_path)
    assert list(found.hooks) == [("deploy", "systemctl reload nginx"), ("deploy", str(hooks / "copy"))]
    assert found.notes == (f"{tmp_path}/cli.ini was ignored: it applies only to certbot",)


def test_other_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not certbot's directory: it has no renewal/"):
        read_certbot(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("# Schlüssel\n[renewalparams]\nserver = x\n".encode("latin-1"), "is not UTF-8 text: byte 0xfc in line 1"),
        (b"[renewalparams]\nserver = \xe4\n", "is not UTF-8 text: byte 0xe4 in line 2"),
        ("[renewalparams]\nserver = x\n".encode("utf-16"), "is not UTF-8 text: byte 0xff in line 1"),
        (b"[renewalparams]\nfullchain = /a\0b/fullchain.pem\n", "contains a NUL byte in line 2"),
        (b"[renewalparams]\nfullchain = /" + b"x" * 300 + b"/fullchain.pem\n", "File name too long"),
    ],
    ids=["ISO-8859-1 comment", "ISO-8859-1 value", "UTF-16", "NUL", "endless path"],
)
def test_renewal_file_that_cannot_be_read_is_named_and_the_others_are_read(
    tmp_path: Path, content: bytes, words: str
) -> None:
    for name in ("a.example", "b.example"):
        write_lineage(tmp_path, name, CA.pair(dns(name)))
    (tmp_path / "renewal/a.example.conf").write_bytes(content)
    left_out, read = read_certbot(tmp_path).lineages
    assert (left_out.name, left_out.pair) == ("a.example", None)
    assert words in left_out.trouble
    assert "renewal/a.example.conf" in left_out.trouble or "x" * 300 in left_out.trouble
    assert (read.name, read.trouble) == ("b.example", "")


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """As by an editor on Windows; certbot reads such a file, too."""
    write_lineage(tmp_path, "a.example", CA.pair(A))
    conf = tmp_path / "renewal/a.example.conf"
    conf.write_bytes(b"\xef\xbb\xbf" + conf.read_bytes())
    (lineage,) = read_certbot(tmp_path).lineages
    assert (lineage.trouble, lineage.parameters["version"]) == ("", "5.8.0")


def test_what_is_not_a_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_lineage(tmp_path, "z.example", CA.pair(A))
    (tmp_path / "renewal/a.conf").mkdir()
    (tmp_path / "renewal/b.conf").symlink_to("nowhere")
    os.mkfifo(tmp_path / "renewal/c.conf")
    *left_out, read = read_certbot(tmp_path).lineages
    assert [one.trouble for one in left_out] == [f"its renewal/{name}.conf is not a file" for name in "abc"]
    assert read.trouble == ""


def test_directory_in_place_of_a_chain_is_skipped(tmp_path: Path) -> None:
    pair = CA.pair(A)
    write_lineage(tmp_path, "a.example", pair)
    (tmp_path / "archive/a.example/fullchain2.pem").mkdir()
    (lineage,) = read_certbot(tmp_path).lineages
    assert lineage.pair == pair


async def test_what_may_not_be_read_is_an_error() -> None:
    with shared_folder() as folder:
        write_lineage(folder, "a.example", CA.pair(A))
        (folder / "renewal/a.example.conf").chmod(0o000)
        with (
            as_unprivileged_user(),
            pytest.raises(SettingsError, match=r"cannot read .*Permission denied\. Run the command with sudo"),
        ):
            read_certbot(folder)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_owner_group_and_mode_of_the_key_are_read(tmp_path: Path, mode: int) -> None:
    write_lineage(tmp_path, "a.example", CA.pair(A))
    key = tmp_path / "archive/a.example/privkey1.pem"
    key.chmod(mode)
    if os.geteuid() == 0:
        os.chown(key, 65534, 12)
    status = key.stat()
    (lineage,) = read_certbot(tmp_path).lineages
    assert lineage.access == Access(status.st_uid, status.st_gid, mode)


def test_mask_of_an_access_control_list_is_not_a_right_of_the_group(tmp_path: Path) -> None:
    write_lineage(tmp_path, "a.example", CA.pair(A))
    key = tmp_path / "archive/a.example/privkey1.pem"
    entries = ((1, 6, NO_ID), (2, 4, 65534), (4, 0, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID))
    os.setxattr(key, acls.ATTRIBUTE, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries))
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    (lineage,) = read_certbot(tmp_path).lineages
    assert lineage.access is not None
    assert lineage.access.mode == 0o600


def test_empty_renewal_file_is_reported_by_name(folder: Path) -> None:
    (folder / "renewal").mkdir()
    (folder / "renewal/x.conf").write_text("garbage\n")
    (folder / "renewal/y.conf").write_text("fullchain =\narchive_dir =\n")
    garbage, empty = read_certbot(folder).lineages
    assert garbage.trouble == "its renewal/x.conf has no settings"
    assert empty.trouble.startswith(f"neither {folder}/live/y nor {folder}/archive/y has a certificate")
