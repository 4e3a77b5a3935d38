"""Read certificates and accounts from the directory of dehydrated (`/var/lib/dehydrated`); change nothing.

`certs/NAME/` has the links `fullchain.pem` and `privkey.pem`; `accounts/CA/` has the account at the CA whose directory
URL, with a newline, is the folder's name in base64url.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.known_cas import LETS_ENCRYPT
from wellkeeper_issuer.outside.host import found_pairs
from wellkeeper_issuer.takeover import Found, FoundAccount, FoundLineage
from wellkeeper_node import presence

CLIENT: Final = "dehydrated"
_SEVERAL: Final = (
    "dehydrated has accounts at several CAs, and does not record which certificate is from which: {} is assumed"
)
_HOOK: Final = "dehydrated's HOOK was not imported: Wellkeeper reloads nginx itself"


def read_dehydrated(folder: Path) -> Found:
    """Return all that was found. Raises SettingsError when it is not dehydrated's directory or cannot be read."""
    return found_pairs.read_folder(folder, CLIENT, "certs", _read)


def _read(folder: Path) -> Found:
    accounts = tuple(_accounts(folder / "accounts"))
    servers = list(dict.fromkeys(one.directory_url for one in accounts))
    server = servers[0] if servers and LETS_ENCRYPT not in servers else LETS_ENCRYPT
    several = (_SEVERAL.format(server),) if len(servers) > 1 else ()
    folders = sorted(path for path in (folder / "certs").glob("*/") if presence.is_dir(path))
    lineages = tuple(_lineage(path, server, accounts) for path in folders)
    return Found(lineages, accounts, notes=(*several, _HOOK), client=CLIENT)


def _lineage(folder: Path, server: str, accounts: Sequence[FoundAccount]) -> FoundLineage:
    account = next((one.name for one in accounts if one.directory_url == server), "")
    parameters, name = {"server": server, "account": account}, one_line(folder.name)
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    found = found_pairs.newest([(chain, key)])
    if found is None:
        return FoundLineage(name, parameters, None, f"{folder} has no certificate with its key")
    paths = ((str(chain), "fullchain.pem"), (str(key), "privkey.pem"))
    return FoundLineage(name, parameters, found[0], access=found[1], paths=paths)


def _accounts(folder: Path) -> Iterator[FoundAccount]:
    for path in sorted(folder.glob("*/account_key.pem")):
        try:
            encoded = path.parent.name
            server = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode().strip()
            is_usable = urlsplit(server).scheme == "https"
            url = str(json.loads(found_pairs.read_text(path.with_name("account_id.json")))["url"])
        except (ValueError, KeyError, TypeError):
            continue  # dehydrated registers again
        if is_usable:
            yield FoundAccount(encoded, server, url, path.read_bytes())
