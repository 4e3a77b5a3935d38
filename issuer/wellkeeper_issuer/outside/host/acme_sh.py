"""Read certificates and accounts from the directory of acme.sh (`~/.acme.sh`); change nothing.

`NAME/` or `NAME_ecc/` has `NAME.conf`, `NAME.key` and `fullchain.cer`, `ca/HOST/…/` has the accounts. The files are
shell assignments with single quotes; commands are in base64 between two marks.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.known_cas import LETS_ENCRYPT
from wellkeeper_issuer.outside.host import found_pairs
from wellkeeper_issuer.takeover import Found, FoundAccount, FoundLineage
from wellkeeper_node import presence

CLIENT: Final = "acme.sh"
_ASSIGNMENT: Final = re.compile(r"^([A-Za-z_]+)='(.*)'$", re.MULTILINE)
_ENCODED: Final = re.compile(r"__ACME_BASE64__START_(.*)__ACME_BASE64__END_")
_HOOKS: Final = {"Le_PreHook": "pre", "Le_ReloadCmd": "deploy", "Le_RenewHook": "deploy", "Le_PostHook": "post"}
# Where acme.sh copied the files with --install-cert, by the name of ours.
_INSTALLED: Final = {"Le_RealFullChainPath": "fullchain.pem", "Le_RealKeyPath": "privkey.pem"}
_STANDALONE: Final = "no"


def read_acme_sh(folder: Path) -> Found:
    """Return all that was found. Raises SettingsError when it is not acme.sh's directory or cannot be read."""
    return found_pairs.read_folder(folder, CLIENT, "ca", _read)


def _read(folder: Path) -> Found:
    confs = [path for path in sorted(folder.glob("*/*.conf")) if path.parent.name in {path.stem, f"{path.stem}_ecc"}]
    values = {conf: _values(conf) for conf in confs}
    accounts = tuple(_accounts(folder / "ca", [_server(found) for found in values.values()]))
    lineages = tuple(_lineage(conf, found, accounts) for conf, found in values.items() if found.get("Le_Domain"))
    return Found(lineages, accounts, tuple(_hooks(values.values())), client=CLIENT)


def _values(path: Path) -> dict[str, str]:
    """Return the assignments; none when it is not a text."""
    try:
        return dict(_ASSIGNMENT.findall(found_pairs.read_text(path)))
    except ValueError:
        return {}


def _lineage(conf: Path, values: Mapping[str, str], accounts: tuple[FoundAccount, ...]) -> FoundLineage:
    server = _server(values)
    account = next((one.name for one in accounts if one.directory_url == server), "")
    proof = values.get("Le_Webroot", "").split(",")[0]
    authenticator = "standalone" if proof == _STANDALONE else "webroot" if proof.startswith("/") else proof
    parameters = {"server": server, "account": account, "authenticator": authenticator}
    found = found_pairs.newest([(conf.with_name("fullchain.cer"), conf.with_suffix(".key"))])
    has_twin = presence.is_dir(conf.parent.with_name(conf.stem)) and conf.parent.name != conf.stem
    name = one_line(conf.parent.name if has_twin else conf.stem)
    if found is None:
        return FoundLineage(name, parameters, None, f"{conf.parent} has no certificate with its key")
    own = {"Le_RealFullChainPath": conf.with_name("fullchain.cer"), "Le_RealKeyPath": conf.with_suffix(".key")}
    paths = tuple((values.get(key) or str(own[key]), ours) for key, ours in _INSTALLED.items())
    return FoundLineage(name, parameters, found[0], access=found[1], paths=paths)


def _server(values: Mapping[str, str]) -> str:
    return values.get("Le_API") or LETS_ENCRYPT


def _accounts(folder: Path, servers: Sequence[str]) -> Iterator[FoundAccount]:
    """Yield the accounts, in folders with host and path of the CA's directory, but without its port."""
    places = {_place(server): server for server in servers}
    for path in sorted(folder.rglob("account.key")):
        url, place = _values(path.with_name("ca.conf")).get("ACCOUNT_URL"), str(path.parent.relative_to(folder))
        server = places.get(place, f"https://{place}")
        if url and _place(server) and presence.is_file(path):
            yield FoundAccount(server, server, url, path.read_bytes())


def _place(server: str) -> str:
    """Return the folder, "" for what is not a URL."""
    try:
        found = urlsplit(server)
    except ValueError:
        return ""
    return f"{found.hostname}{found.path}"


def _hooks(values: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    seen = set[tuple[str, str]]()
    for found in values:
        for key, event in _HOOKS.items():
            hook = event, _decoded(found.get(key, ""))
            if hook[1] and hook not in seen:
                seen.add(hook)
                yield hook


def _decoded(value: str) -> str:
    """Return the command, which newer versions keep in base64."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        return base64.b64decode(encoded[1]).decode(errors="replace").strip()
    except binascii.Error:
        return ""
