"""`state_dir`: one account key per CA, the publishing key, and which account we have at which CA.

Each CA has a key of its own (RFC 8555 section 11.1), named after its directory; keys are made once, durably, and never
overwritten. Blocking, and quick.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ed25519

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.key_files import AccountKey
from wellkeeper_node import durable


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """Our account at a CA; `is_deactivated`: by us, for good."""

    directory_url: str
    account_url: str
    is_deactivated: bool = False


class AccountFolder:
    """`state_dir` and what the settings say about accounts; `directory_urls` are all CAs, in order of preference."""

    def __init__(
        self,
        state_dir: Path,
        directory_urls: Sequence[str],
        *,
        contact: tuple[str, ...] = (),
        terms_of_service_agreed: bool = False,
    ) -> None:
        self._state_dir = state_dir
        self._accounts = state_dir / "accounts"
        self._publishing_key = state_dir / "publishing_key.pem"
        self._next_publishing_key = state_dir / "publishing_key.next.pem"
        self.directory_urls = tuple(directory_urls)
        self.contact = contact
        self.terms_of_service_agreed = terms_of_service_agreed

    def make_keys(self, *, is_publishing_key_rotated: bool = False) -> tuple[Path, ...]:
        """Makes the keys that are missing and returns their paths; raises SettingsError.

        A publishing key is rotated by making the next one, which responders are told before it takes its place.
        """
        with key_files.translated(self._state_dir):
            durable.make_folder(self._state_dir, 0o700, key_files.OURS)
            durable.make_folder(self._accounts, 0o700, key_files.OURS)
            accounts = [self.key_path(url) for url in self.directory_urls]
            publishing = [self._publishing_key]
            publishing += [self._next_publishing_key] if is_publishing_key_rotated else []
            wanted = [(path, key_files.make_account_key) for path in accounts]
            wanted += [(path, key_files.make_publishing_key) for path in publishing]
            made = [(path, make) for path, make in wanted if not path.exists()]
            for path, make in made:
                make(path)
            return tuple(path for path, _ in made)

    def key_path(self, directory_url: str) -> Path:
        """Where the account key of this CA belongs."""
        return self._accounts / f"{_file_name(directory_url)}.pem"

    def next_key_path(self, directory_url: str) -> Path:
        """Where the account key waits that is to follow the present one."""
        return self._accounts / f"{_file_name(directory_url)}.next.pem"

    def account_key(self, directory_url: str) -> AccountKey:
        """Raises SettingsError when it is missing or something else."""
        return key_files.read_account_key(self._present(directory_url))

    def key_stamp(self, directory_url: str) -> tuple[int, int]:
        """Changes when another process replaced the key."""
        path = self._present(directory_url)
        with key_files.translated(path):
            found = path.stat()
            return found.st_ino, found.st_mtime_ns

    def next_account_key(self, directory_url: str) -> AccountKey | None:
        """What is to follow the present one; None when nothing is under way."""
        path = self.next_key_path(directory_url)
        with key_files.translated(path):
            return key_files.read_account_key(path) if path.exists() else None

    def make_next_account_key(self, directory_url: str) -> AccountKey:
        """Durable when this returns; the one that is there already, if a rollover was begun."""
        path = self.next_key_path(directory_url)
        with key_files.translated(path):
            self._present(directory_url)
            if not path.exists():
                key_files.make_account_key(path)
        return key_files.read_account_key(path)

    def take_next_account_key(self, directory_url: str) -> None:
        """The next key becomes the present one, by one rename; the present one is gone then. Idempotent."""
        path, following = self.key_path(directory_url), self.next_key_path(directory_url)
        with key_files.translated(path):
            if following.exists():
                os.replace(following, path)  # noqa: PTH105 - says what it does
                durable.sync(path.parent)

    def account_keys(self) -> Iterator[tuple[str, AccountKey]]:
        """By directory, in order of preference, each followed by its next one: what responders are pinned to."""
        for url in self.directory_urls:
            yield url, self.account_key(url)
            following = self.next_account_key(url)
            if following:
                yield url, following

    @property
    def publishing_key(self) -> ed25519.Ed25519PrivateKey:
        """Ed25519. Raises SettingsError when it is missing or something else."""
        return key_files.read_publishing_key(self._publishing_key)

    @property
    def publishing_keys(self) -> tuple[ed25519.Ed25519PrivateKey, ...]:
        """The one in use, and the next one when there is one: what responders have to believe."""
        with key_files.translated(self._state_dir):
            has_next = self._next_publishing_key.exists()
        following = (key_files.read_publishing_key(self._next_publishing_key),) if has_next else ()
        return (self.publishing_key, *following)

    def record_path(self, directory_url: str) -> Path:
        """Where our account at this CA is written down."""
        return self._accounts / f"{_file_name(directory_url)}.json"

    def read(self, directory_url: str) -> AccountRecord | None:
        """Our account at this CA, if we have one."""
        path = self.record_path(directory_url)
        with key_files.translated(path):
            try:
                record = json.loads(path.read_bytes())
                is_deactivated = bool(record.get("is_deactivated", False))
                return AccountRecord(directory_url, str(record["account_url"]), is_deactivated)
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SettingsError(
                    f"{path} is damaged ({error}); remove it: the CA will tell the account's URL again"
                ) from error

    def record(self, account: AccountRecord) -> None:
        """Replaces what was there for the CA."""
        path = self.record_path(account.directory_url)
        text = {"directory_url": account.directory_url, "account_url": account.account_url}
        members = text | ({"is_deactivated": True} if account.is_deactivated else {})
        with key_files.translated(path):
            key_files.replace_whole(path, json.dumps(members, indent=2).encode())

    def take_over(self, account: AccountRecord, account_key: AccountKey) -> bool:
        """An account that another client made becomes ours, unless we have one at this CA already: False.

        A key of ours that no account was registered with is set aside as `….unused.pem`. Idempotent.
        """
        url = account.directory_url
        known, path = self.read(url), self.key_path(url)
        if known is not None:
            return known.account_url == account.account_url
        with key_files.translated(path):
            durable.make_folder(self._accounts, 0o700, key_files.OURS)
            if path.exists() and not _is_same(key_files.read_account_key(path), account_key):
                os.replace(path, path.with_suffix(".unused.pem"))  # noqa: PTH105 - says what it does
            if not path.exists():
                key_files.write_account_key(path, account_key)
        self.record(account)
        return True

    def _present(self, directory_url: str) -> Path:
        """The file with the account key of this CA; raises SettingsError when there is none."""
        path = self.key_path(directory_url)
        with key_files.translated(path):
            if path.is_symlink() or path.exists():
                return path
        raise SettingsError(
            f"there is no account key for the CA {directory_url} ({path} does not exist); run 'wellkeeper init'"
            " to make it, then tell every responder its thumbprint: 'wellkeeper trust' prints the line"
        )


def _is_same(one: AccountKey, other: AccountKey) -> bool:
    return key_files.account_thumbprint(one) == key_files.account_thumbprint(other)


def _file_name(directory_url: str) -> str:
    """Two directories of one host (production, a test profile) must not share a file."""
    digest = hashlib.sha256(directory_url.encode()).hexdigest()[:8]
    return f"{urlsplit(directory_url).hostname or 'ca'}-{digest}"
