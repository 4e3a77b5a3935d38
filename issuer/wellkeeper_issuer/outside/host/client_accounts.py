"""Find the account keys of other ACME clients where these usually keep them; changes nothing.

certbot     /etc/letsencrypt/accounts/HOST/PATH/ID/private_key.json
acme.sh     HOME/.acme.sh/ca/HOST/PATH/account.key, also below /etc/acme.sh
lego        HOME/.lego/accounts/HOST/EMAIL/keys/EMAIL.key
dehydrated  /var/lib/dehydrated/accounts/BASE64URL/account_key.pem, also below /etc/dehydrated
uacme       /etc/ssl/uacme/private/key.pem
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import foreign_keys


@dataclass(frozen=True, slots=True)
class ClientAccount:
    """An account key of another client; `ca` is "" if its place does not tell, and `fault` says why it is unusable."""

    client: str
    ca: str
    path: Path
    kind: str = ""
    thumbprint: str = ""
    fault: str = ""


def find_client_accounts(homes: Iterable[Path], root: Path = Path("/")) -> tuple[ClientAccount, ...]:
    """Return the accounts below the system's directories and these homes, in order. Never raises."""
    found = [
        ("certbot", root / "etc/letsencrypt/accounts", "**/private_key.json", _url_above_id),
        ("acme.sh", root / "etc/acme.sh/ca", "**/account.key", _url),
        ("dehydrated", root / "var/lib/dehydrated/accounts", "*/account_key.pem", _decoded),
        ("dehydrated", root / "etc/dehydrated/accounts", "*/account_key.pem", _decoded),
        ("uacme", root / "etc/ssl/uacme/private", "key.pem", _unknown),
    ]
    for home in homes:
        found.append(("acme.sh", home / ".acme.sh/ca", "**/account.key", _url))
        found.append(("lego", home / ".lego/accounts", "*/*/keys/*.key", _host))
    return tuple(account for place in found for account in _accounts(*place))


def read_account(client: str, ca: str, path: Path) -> ClientAccount:
    """Return the account of this file, with a `fault` if it is not an account key. Never raises."""
    try:
        kind, thumbprint = foreign_keys.read_thumbprint(path)
    except SettingsError as error:
        return ClientAccount(client, ca, path, fault=error.why)
    return ClientAccount(client, ca, path, kind, thumbprint)


def _accounts(client: str, folder: Path, pattern: str, ca_of: Callable[[Path], str]) -> Iterator[ClientAccount]:
    try:
        if folder.is_dir():
            next(folder.iterdir(), None)  # glob finds nothing in a directory that cannot be read
        paths = sorted(folder.glob(pattern))
    except OSError as error:
        yield ClientAccount(client, "", folder, fault=f"cannot read it: {error.strerror}")
        return
    for path in paths:
        yield read_account(client, ca_of(path.relative_to(folder)), path)


def _url(inside: Path) -> str:
    return f"https://{inside.parent}"


def _url_above_id(inside: Path) -> str:
    return f"https://{inside.parent.parent}"


def _host(inside: Path) -> str:
    return inside.parts[0].replace("_", ":")


def _decoded(inside: Path) -> str:
    """Return what dehydrated encoded as the name of the directory."""
    name = inside.parts[0]
    try:
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode().strip()
    except ValueError:
        return ""


def _unknown(_: Path) -> str:
    return ""
