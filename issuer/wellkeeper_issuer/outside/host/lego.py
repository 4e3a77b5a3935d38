"""Read certificates and accounts from the directory of lego (`.lego`); change nothing.

`certificates/NAME.crt` is the chain, `NAME.key` its key, `NAME.json` has the certificate's URL;
`accounts/HOST/EMAIL/account.json` and `keys/EMAIL.key` are the account at the CA with that host.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.outside.host import found_pairs
from wellkeeper_issuer.takeover import Found, FoundAccount, FoundLineage
from wellkeeper_node import presence
from wellkeeper_node.model import Pair

CLIENT: Final = "lego"
_ISSUER: Final = ".issuer.crt"


def read_lego(folder: Path, find_directory: Callable[[str], str]) -> Found:
    """Return all that was found; `find_directory` returns the directory URL of the CA at a host, or raises ValueError.

    Raises SettingsError when it is not lego's directory or cannot be read.
    """

    def read(folder: Path) -> Found:
        accounts, notes = _accounts(folder / "accounts", find_directory)
        chains = [path for path in sorted((folder / "certificates").glob("*.crt")) if not path.name.endswith(_ISSUER)]
        lineages = tuple(_lineage(path, accounts, find_directory) for path in chains)
        return Found(lineages, tuple(accounts), notes=tuple(notes), client=CLIENT)

    return found_pairs.read_folder(folder, CLIENT, "certificates", read)


def _lineage(path: Path, accounts: Sequence[FoundAccount], find_directory: Callable[[str], str]) -> FoundLineage:
    name, key = one_line(path.stem), path.with_suffix(".key")
    host = ""
    try:
        host = urlsplit(str(_json(path.with_suffix(".json")).get("certUrl", ""))).netloc
        server = find_directory(host)
    except ValueError:
        where = f"its CA, at {host}, is not in the settings" if host else f"{name}.json does not name its CA"
        return FoundLineage(name, {}, None, f"{where}; add it under [[cas]]" if host else where)
    account = next((one.name for one in accounts if one.directory_url == server), "")
    parameters = {"server": server, "account": account}
    found = found_pairs.newest([(path, key)])
    if found is None:
        return FoundLineage(name, parameters, None, f"{path} is not a certificate, or {key} is not its key")
    pair = _with_issuer(found[0], path.with_name(f"{path.stem}{_ISSUER}"))
    paths = ((str(path), "fullchain.pem"), (str(key), "privkey.pem"))
    return FoundLineage(name, parameters, pair, access=found[1], paths=paths)


def _with_issuer(pair: Pair, issuer: Path) -> Pair:
    """Return the pair with its whole chain: with --no-bundle, the rest of it is in a file of its own."""
    if pair.chain_pem.count(b"-----BEGIN") > 1 or not presence.is_file(issuer):
        return pair
    return replace(pair, chain_pem=pair.chain_pem + issuer.read_bytes())


def _accounts(folder: Path, find_directory: Callable[[str], str]) -> tuple[list[FoundAccount], list[str]]:
    found, notes = list[FoundAccount](), list[str]()
    for path in sorted(folder.glob("*/*/account.json")):
        url = str((_json(path).get("registration") or {}).get("uri", ""))
        key = path.parent / "keys" / f"{path.parent.name}.key"
        if not url or not presence.is_file(key):
            continue  # lego cannot use this account either
        try:
            server = find_directory(urlsplit(url).netloc)
        except ValueError:
            notes.append(f"the account {one_line(url)} was not imported: its CA is not in the settings")
            continue
        found.append(FoundAccount(str(path.parent), server, url, key.read_bytes()))
    return found, notes


def _json(path: Path) -> dict[str, Any]:
    """Return the object in the file; an empty one when there is none."""
    try:
        found = json.loads(found_pairs.read_text(path))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
