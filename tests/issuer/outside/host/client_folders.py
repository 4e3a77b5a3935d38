"""The directories of acme.sh, lego and dehydrated, as these clients write them for one certificate."""

import base64
import json
from pathlib import Path

from wellkeeper_node.model import Pair


def write_acme_sh(home: Path, name: str, pair: Pair, server: str, **values: str) -> Path:
    """Write what acme.sh 3.1 writes, and return the folder of the certificate."""
    folder = home / f"{name}_ecc"
    folder.mkdir(parents=True)
    found = {"Le_Domain": name, "Le_Alt": "no", "Le_Webroot": "/var/www", "Le_API": server, "Le_ReloadCmd": ""}
    lines = [f"{key}='{value}'\n" for key, value in (found | values).items()]
    (folder / f"{name}.conf").write_text("".join(lines))
    (folder / "fullchain.cer").write_bytes(pair.chain_pem)
    (folder / f"{name}.key").write_bytes(pair.certificate_key_pem)
    (folder / f"{name}.key").chmod(0o600)
    (folder / "backup").mkdir()
    return folder


def write_acme_sh_account(home: Path, place: str, url: str, key_pem: bytes) -> None:
    folder = home / "ca" / place
    folder.mkdir(parents=True)
    (folder / "ca.conf").write_text(f"ACCOUNT_URL='{url}'\nCA_KEY_HASH='x'\n")
    (folder / "account.key").write_bytes(key_pem)


def write_lego(home: Path, name: str, pair: Pair, host: str) -> None:
    """Write what lego 4 writes."""
    folder = home / "certificates"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.crt").write_bytes(pair.chain_pem)
    (folder / f"{name}.issuer.crt").write_bytes(pair.chain_pem)
    (folder / f"{name}.key").write_bytes(pair.certificate_key_pem)
    (folder / f"{name}.json").write_text(json.dumps({"domain": name, "certUrl": f"https://{host}/certZ/1"}))


def write_lego_account(home: Path, host: str, key_pem: bytes, mail: str = "a@example.org") -> None:
    folder = home / "accounts" / host.replace(":", "_") / mail
    (folder / "keys").mkdir(parents=True)
    (folder / "account.json").write_text(json.dumps({"registration": {"uri": f"https://{host}/account/1"}}))
    (folder / f"keys/{mail}.key").write_bytes(key_pem)


def write_dehydrated(home: Path, name: str, pair: Pair) -> None:
    """Write what dehydrated 0.7 writes."""
    folder = home / "certs" / name
    folder.mkdir(parents=True)
    for kind, content in (("fullchain", pair.chain_pem), ("privkey", pair.certificate_key_pem)):
        (folder / f"{kind}-1796042643.pem").write_bytes(content)
        (folder / f"{kind}.pem").symlink_to(f"{kind}-1796042643.pem")


def write_dehydrated_account(home: Path, server: str, key_pem: bytes) -> Path:
    folder = home / "accounts" / base64.urlsafe_b64encode(f"{server}\n".encode()).decode().rstrip("=")
    folder.mkdir(parents=True)
    (folder / "account_id.json").write_text(json.dumps({"url": f"{server}/account/1"}))
    (folder / "account_key.pem").write_bytes(key_pem)
    return folder
