"""The accounts of other ACME clients in their usual places."""

import os
import re
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stand.processes import PROJECT
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_issuer.outside.host.client_accounts import find_client_accounts
from wellkeeper_node import public_keys

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
CA = "https://ca.example/directory"


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PEM)
    return path


def test_usual_places_of_each_client_are_found(folder: Path) -> None:
    home, encoded = folder / "home/me", urlsafe_b64encode(f"{CA}\n".encode()).decode().rstrip("=")
    places = [
        ("certbot", CA, "etc/letsencrypt/accounts/ca.example/directory/0123/private_key.json"),
        ("acme.sh", CA, "etc/acme.sh/ca/ca.example/directory/account.key"),
        ("dehydrated", CA, f"var/lib/dehydrated/accounts/{encoded}/account_key.pem"),
        ("dehydrated", "", "etc/dehydrated/accounts/_w/account_key.pem"),
        ("uacme", "", "etc/ssl/uacme/private/key.pem"),
        ("acme.sh", CA, "home/me/.acme.sh/ca/ca.example/directory/account.key"),
        ("lego", "localhost:14000", "home/me/.lego/accounts/localhost_14000/a@b.example/keys/a@b.example.key"),
    ]
    paths = [write(folder / path) for _, _, path in places]
    found = find_client_accounts((home,), folder)
    assert [(one.client, one.ca, one.path) for one in found] == [
        (client, ca, path) for (client, ca, _), path in zip(places, paths, strict=True)
    ]
    assert {one.thumbprint for one in found} == {public_keys.thumbprint(KEY.public_key())}


def test_documented_command_finds_accounts_of_acme_sh_at_its_default_ca_too(folder: Path) -> None:
    authorities = ("acme.zerossl.com/v2/DV90", "ca.example/directory")
    keys = {write(folder / f".acme.sh/ca/{path}/account.key") for path in authorities}
    page = (PROJECT / "docs/publishing.md").read_text()
    (files,) = re.findall(r"--account-key ([^`]*/\.acme\.sh[^`]*) --write", page)
    home = {**os.environ, "HOME": str(folder)}
    found = subprocess.check_output(["/bin/sh", "-c", f"printf '%s\n' {files}"], env=home, text=True)
    assert set(map(Path, found.split())) == keys


def test_file_that_is_not_a_key_has_a_fault_and_hides_no_other(folder: Path) -> None:
    write(folder / "etc/ssl/uacme/private/key.pem")
    write(folder / "etc/acme.sh/ca/ca.example/account.key").write_text("")
    first, second = find_client_accounts((), folder)
    assert (first.client, first.fault, first.thumbprint) == ("acme.sh", "it is empty", "")
    assert (second.client, second.fault) == ("uacme", "")


def test_directory_that_cannot_be_read_is_a_fault() -> None:
    with shared_folder() as folder:
        write(folder / "etc/ssl/uacme/private/key.pem").parent.chmod(0o700)
        with as_unprivileged_user():
            found = find_client_accounts((), folder)
    assert [(one.client, one.fault) for one in found] == [("uacme", "cannot read it: Permission denied")]


def test_nothing_is_found_without_clients(folder: Path) -> None:
    assert find_client_accounts((folder,), folder) == ()
