"""The trust file of this host's responder: what it should be, how it differs, and writing it.

Only commands that a person runs import this module (tests/test_layers.py): pins never change over the channel that
they protect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import trust_file
from wellkeeper_client.publishers import Publisher, find_conflict
from wellkeeper_client.signing import decode_public_key, encode_public_key, key_id
from wellkeeper_client.trust_file import Trust, TrustError
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.pins import id_of_publishers
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.settings import Settings
from wellkeeper_node import durable
from wellkeeper_node.happened import Happened, History, What

WRITE: Final = "Run 'wellkeeper trust --write'"


@dataclass(frozen=True, slots=True)
class HostTrust:
    """The values that the responder must trust, and those of its file: None if it is missing or, with `fault`, bad."""

    path: Path
    wanted: Trust
    notes: Mapping[str, str]
    found: Trust | None
    fault: str = ""

    @property
    def is_current(self) -> bool:
        return self.found is not None and not self.added and not self.removed

    @property
    def is_missing(self) -> bool:
        """Return whether there is no file. Only then may `init` and `setup` write it: an existing one is the user's."""
        return self.found is None and not self.fault

    @property
    def added(self) -> Trust:
        return self.wanted - (self.found or Trust())

    @property
    def removed(self) -> Trust:
        return (self.found or Trust()) - self.wanted

    @property
    def pinned(self) -> frozenset[str]:
        """The thumbprints of the accounts in the file."""
        found = self.found or Trust()
        of_publishers = (one for publisher in found.publishers for one in publisher.account_thumbprints)
        return frozenset((*found.account_thumbprints, *of_publishers))

    @property
    def ids(self) -> frozenset[str]:
        """The wanted values as a responder reports them."""
        keys = map(decode_public_key, self.wanted.publishing_keys)
        publishers = id_of_publishers([one.to_json() for one in self.wanted.publishers])
        return frozenset((*self.wanted.account_thumbprints, *map(key_id, keys), publishers))

    @property
    def content(self) -> str:
        return trust_file.to_toml(self.wanted, self.notes)

    @property
    def state(self) -> str:
        """Name the file and its state."""
        if self.fault:
            return f"{self.path} is invalid ({self.fault})"
        if self.found is None:
            return f"{self.path} does not exist"
        return f"{self.path} {'is up to date' if self.is_current else 'differs'}"

    @property
    def note(self) -> str:
        """Return the state with the remedy, for a command that keeps the file."""
        return f"{self.state}: run 'wellkeeper trust --write'"

    def differences(self) -> str:
        """Return one line per value that the file lacks or has too many."""
        lines = [
            f"  {sign} {line}\n" for sign, part in (("+", self.added), ("-", self.removed)) for line in _lines(part)
        ]
        return "".join(lines)

    def to_json(self, *, is_written: bool) -> dict[str, Any]:
        """Return the state before the writing."""
        return {
            "path": str(self.path),
            "is_current": self.is_current,
            "is_written": is_written,
            "fault": self.fault or None,
            "added": members(self.added),
            "removed": members(self.removed),
        }


def find(settings: Settings, settings_path: Path, given: Path | None = None) -> HostTrust:
    """Compare the keys with the trust file: the given one, that of the settings, or the one beside them.

    Raises SettingsError when a key is missing.
    """
    path = given or settings.trust_file or settings_path.with_name(trust_file.NAME)
    wanted, notes = wanted_trust(settings)
    try:
        return HostTrust(path, wanted, notes, trust_file.read(path))
    except FileNotFoundError:
        return HostTrust(path, wanted, notes, None)
    except TrustError as error:
        return HostTrust(path, wanted, notes, None, error.what)


def wanted_trust(settings: Settings) -> tuple[Trust, Mapping[str, str]]:
    """Return the public values of all keys, the next ones included, with a note for each. Raises SettingsError."""
    folder = build.accounts(settings)
    signing = folder.publishing, FleetKeys(settings.state_dir)
    publishing, fleet = ([encode_public_key(key) for key in one.trusted] for one in signing)
    accounts: dict[str, str] = {}
    for url, account_key in folder.account_keys():
        accounts.setdefault(account_thumbprint(account_key), url)
    for thumbprint in settings.account_thumbprints:
        accounts.setdefault(thumbprint, "another client's account")
    following = [encode_public_key(key) for key in (one.following for one in signing) if key is not None]
    former = [encode_public_key(key) for key in (folder.publishing.former,) if key is not None]
    notes = accounts | dict.fromkeys(following, "the next key") | dict.fromkeys(former, "the former key")
    return Trust(tuple(accounts), tuple(publishing), tuple(fleet), _publishers(settings, publishing)), notes


def _publishers(settings: Settings, publishing_keys: list[str]) -> tuple[Publisher, ...]:
    """Return those of the settings. Raises SettingsError if two of them, or the issuer and one, have the same key."""
    found = tuple(
        Publisher(one.name, one.account_thumbprints, one.publishing_keys, one.identifiers)
        for one in settings.publishers
    )
    if conflict := find_conflict(found, publishing_keys):
        raise SettingsError(
            "the [[publishers]] of the settings cannot be trusted", conflict, "Give each publisher a key of its own."
        )
    return found


def write(host: HostTrust, history: History) -> None:
    """Replace the file by one rename, and read it as a responder does. Raises SettingsError."""
    try:
        durable.make_folder(host.path.parent, 0o755, durable.Owner())
        durable.replace_whole(host.path, host.content.encode(), 0o644)
    except OSError as error:
        raise SettingsError(f"cannot write {host.path}", str(error.strerror), "Run the command with sudo.") from error
    try:
        trust_file.read(host.path)
    except TrustError as error:
        raise SettingsError("a responder refuses the new trust file", error.what, error.remedy) from error
    details = {"added": ", ".join(_lines(host.added)), "removed": ", ".join(_lines(host.removed))}
    history.add(Happened(What.TRUST_WRITTEN, str(host.path), details))


def _lines(trust: Trust) -> list[str]:
    named = members(trust) | {"publishers": list(map(str, trust.publishers))}
    return [f"{name}: {value}" for name, values in named.items() for value in values]


def members(trust: Trust) -> dict[str, list[Any]]:
    """Return the values as JSON has them."""
    return {
        "account_thumbprints": list(trust.account_thumbprints),
        "publishing_keys": list(trust.publishing_keys),
        "fleet_keys": list(trust.fleet_keys),
        "publishers": [one.to_json() for one in trust.publishers],
    }
