"""Read lineages, accounts and hooks from certbot's directory (`/etc/letsencrypt`); change nothing.

`renewal/NAME.conf` has the parameters of a lineage, `live/NAME/` the current version, `archive/NAME/` all versions, and
`accounts/SERVER/ID/` the account keys as JSON Web Keys.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.outside.host import found_pairs
from wellkeeper_issuer.takeover import Found, FoundAccount, FoundLineage
from wellkeeper_node import presence

_HOOKS: Final = {"pre_hook": "pre", "renew_hook": "deploy", "post_hook": "post"}
_SECTION: Final = re.compile(r"\s*(\[+)\s*([^\]]*?)\s*\]+")
_NUMBER: Final = re.compile(r"fullchain([0-9]+)\.pem")


def read_certbot(folder: Path) -> Found:
    """Return all that was found. Raises SettingsError when it is not certbot's directory or cannot be read."""
    return found_pairs.read_folder(folder, "certbot", "renewal", _read)


def _read(folder: Path) -> Found:
    _check_access(folder)
    confs = sorted((folder / "renewal").glob("*.conf"))
    lineages = tuple(_lineage(folder, conf) for conf in confs)
    known = {one.name for one in lineages}
    strays = sorted(path.name for path in (folder / "live").glob("*/") if path.name not in known)
    stray = tuple(
        FoundLineage(name, {}, None, "it has no renewal/NAME.conf, so certbot does not renew it either")
        for name in strays
    )
    return Found((*lineages, *stray), tuple(_accounts(folder)), tuple(_hooks(folder, lineages)), _notes(folder))


def _check_access(folder: Path) -> None:
    """Raise OSError for a directory that this user may not read: glob would find nothing there."""
    for name in ("renewal", "live", "archive", "accounts"):
        if presence.is_dir(folder / name):
            os.scandir(folder / name).close()


def parse_renewal(text: str) -> dict[str, str]:
    """Return the values in and before `[renewalparams]`, without inner sections, as configobj writes them."""
    found: dict[str, str] = {}
    depth, section = 0, ""
    for line in text.splitlines():
        header = _SECTION.match(line)
        if header:
            depth, section = len(header[1]), header[2]
        elif "=" in line and not line.lstrip().startswith("#") and (depth, section) in {(0, ""), (1, "renewalparams")}:
            key, _, value = line.partition("=")
            found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> str:
    for quote in ("'''", '"""', "'", '"'):
        if text.startswith(quote) and text.endswith(quote) and len(text) >= 2 * len(quote):
            return text[len(quote) : -len(quote)]
    return re.sub(r"\s#.*", "", text).strip()


def _lineage(folder: Path, conf: Path) -> FoundLineage:
    """Return the lineage; one that cannot be read says why, and must not keep the others from being read."""
    name = one_line(conf.stem)
    try:
        text = found_pairs.read_text(conf)
    except ValueError as error:
        return FoundLineage(name, {}, None, f"its renewal/{name}.conf {error}")
    parameters = parse_renewal(text)
    if not parameters:
        return FoundLineage(name, {}, None, f"its renewal/{name}.conf has no settings")
    try:
        return _read_lineage(folder, name, conf.stem, parameters)
    except PermissionError:
        raise
    except OSError as error:
        return FoundLineage(name, parameters, None, f"cannot read {error.filename}: {error.strerror}")


def _read_lineage(folder: Path, name: str, directory: str, parameters: Mapping[str, str]) -> FoundLineage:
    fullchain, archive_dir = parameters.get("fullchain"), parameters.get("archive_dir")
    # An empty path would be the current directory.
    live = Path(fullchain).parent if fullchain else folder / "live" / directory
    # If the directory was moved or mounted elsewhere, use the default place beside renewal/.
    live = live if presence.is_dir(live) else folder / "live" / directory
    archive = Path(archive_dir) if archive_dir else folder / "archive" / directory
    archive = archive if presence.is_dir(archive) else folder / "archive" / directory
    found = found_pairs.newest(_candidates(live, archive))
    if found is None:
        trouble = f"neither {live} nor {archive} has a certificate with its key"
        return FoundLineage(name, parameters, None, trouble)
    paths = ((f"{folder}/live/{directory}/", ""),)
    return FoundLineage(name, parameters, found[0], access=found[1], paths=paths)


def _candidates(live: Path, archive: Path) -> Iterable[tuple[Path, Path]]:
    yield live / "fullchain.pem", live / "privkey.pem"
    for path in archive.glob("fullchain*.pem"):
        number = _NUMBER.fullmatch(path.name)
        if number:
            yield path, path.with_name(f"privkey{number[1]}.pem")


def _accounts(folder: Path) -> Iterable[FoundAccount]:
    for path in sorted((folder / "accounts").rglob("regr.json")):
        server = path.parent.parent.relative_to(folder / "accounts")
        try:
            account_url = str(json.loads(path.read_bytes())["uri"])
            key_pem = _account_key(json.loads((path.parent / "private_key.json").read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue  # certbot cannot use this account either
        yield FoundAccount(path.parent.name, f"https://{server}", account_url, key_pem)


def _account_key(jwk: Mapping[str, Any]) -> bytes:
    """Return the key as PEM; certbot creates only RSA keys. Raises ValueError and KeyError."""
    if jwk["kty"] != "RSA":
        raise ValueError(f"an account key of type {jwk['kty']}")
    numbers = {name: int.from_bytes(_bytes(jwk[name])) for name in ("n", "e", "d", "p", "q", "dp", "dq", "qi")}
    public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"])
    private = rsa.RSAPrivateNumbers(
        numbers["p"], numbers["q"], numbers["d"], numbers["dp"], numbers["dq"], numbers["qi"], public
    )
    return private.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hooks(folder: Path, lineages: Iterable[FoundLineage]) -> Iterable[tuple[str, str]]:
    """Return (event, command) pairs, each once: hooks of single lineages, and executable files that run for all."""
    found = {}
    for lineage in lineages:
        for key, event in _HOOKS.items():
            if lineage.parameters.get(key):
                found[event, lineage.parameters[key]] = True
    for event in _HOOKS.values():
        for path in sorted((folder / "renewal-hooks" / event).glob("*")):
            if presence.is_file(path) and os.access(path, os.X_OK) and not path.name.endswith("~"):
                found[event, str(path)] = True
    return found


def _notes(folder: Path) -> tuple[str, ...]:
    settings = folder / "cli.ini"
    return (f"{settings} was ignored: it applies only to certbot",) if presence.exists(settings) else ()
