"""Keep in `state_dir` one account key per CA, our account at each CA, and the publishing key.

Each CA has its own key (RFC 8555 section 11.1), in a file named after the CA's directory URL. Keys are created once,
durably, and never overwritten. Blocking, but fast.
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
from wellkeeper_issuer.outside.keys.signing_keys import SigningKey
from wellkeeper_node import durable, presence
from wellkeeper_node.happened import NO_HISTORY, Happened, History, What


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """Our account at a CA; `is_deactivated` means that we deactivated it, which is permanent.

    `agreed_terms` is the URL of the terms of service that we agreed to, "" if unknown.
    """

    directory_url: str
    account_url: str
    is_deactivated: bool = False
    agreed_terms: str = ""


class AccountFolder:
    """Keys and accounts in `state_dir`; `directory_urls` are those of all CAs, in order of preference."""

    def __init__(
        self,
        state_dir: Path,
        directory_urls: Sequence[str],
        *,
        contact: tuple[str, ...] = (),
        terms_of_service_agreed: bool = False,
        history: History = NO_HISTORY,
    ) -> None:
        self._state_dir = state_dir
        self._accounts = state_dir / "accounts"
        self.publishing = SigningKey(state_dir, "publishing_key", "publishing", key_files.CREATE)
        self.directory_urls = tuple(directory_urls)
        self.contact = contact
        self.terms_of_service_agreed = terms_of_service_agreed
        self._history = history

    def make_keys(self, *, is_publishing_key_rotated: bool = False) -> tuple[Path, ...]:
        """Create the missing keys and return their paths. Raises SettingsError.

        To rotate the publishing key, create the next one, which responders must trust before it replaces the first.
        """
        with key_files.translated(self._state_dir):
            durable.make_folder(self._state_dir, 0o700, key_files.OURS)
            durable.make_folder(self._accounts, 0o700, key_files.OURS)
            accounts = [self.key_path(url) for url in self.directory_urls]
            publishing = [self.publishing.path]
            publishing += [self.publishing.next_path] if is_publishing_key_rotated else []
            wanted = [(path, key_files.make_account_key) for path in accounts]
            wanted += [(path, key_files.make_ed25519_key) for path in publishing]
            made = [(path, make) for path, make in wanted if not presence.exists(path)]
            for path, make in made:
                make(path)
            for path, _ in made:
                self._tell(What.KEY_MADE, "account" if path.parent == self._accounts else "publishing", file=path.name)
            return tuple(path for path, _ in made)

    def key_path(self, directory_url: str) -> Path:
        """Return the path of this CA's account key."""
        return self._accounts / f"{_file_name(directory_url)}.pem"

    def next_key_path(self, directory_url: str) -> Path:
        """Return the path of the account key that will replace the current one."""
        return self._accounts / f"{_file_name(directory_url)}.next.pem"

    def account_key(self, directory_url: str) -> AccountKey:
        """Return the account key. Raises SettingsError when it is missing or of another kind."""
        return key_files.read_account_key(self._existing(directory_url))

    def key_stamp(self, directory_url: str) -> tuple[int, int]:
        """Return a value that changes when another process replaces the key."""
        path = self._existing(directory_url)
        with key_files.translated(path):
            found = path.stat()
            return found.st_ino, found.st_mtime_ns

    def next_account_key(self, directory_url: str) -> AccountKey | None:
        """Return the key that will replace the current one; None without a rollover under way."""
        path = self.next_key_path(directory_url)
        with key_files.translated(path):
            return key_files.read_account_key(path) if presence.exists(path) else None

    def make_next_account_key(self, directory_url: str) -> AccountKey:
        """Create the next key, durably, or return the existing one of an unfinished rollover."""
        path = self.next_key_path(directory_url)
        with key_files.translated(path):
            self._existing(directory_url)
            if not presence.exists(path):
                key_files.make_account_key(path)
                self._tell(What.KEY_MADE, "account", ca=directory_url, file=path.name)
        return key_files.read_account_key(path)

    def take_next_account_key(self, directory_url: str) -> None:
        """Replace the current key with the next one, by one rename. Idempotent."""
        path, following = self.key_path(directory_url), self.next_key_path(directory_url)
        with key_files.translated(path):
            if presence.exists(following):
                os.replace(following, path)  # noqa: PTH105 - names the operation
                durable.sync(path.parent)
                thumbprint = key_files.account_thumbprint(self.account_key(directory_url))
                self._tell(What.KEY_SWITCHED, "account", ca=directory_url, thumbprint=thumbprint)

    def forget_next_account_key(self, directory_url: str) -> None:
        """Delete the next key; the caller knows that no account has it. Idempotent."""
        path = self.next_key_path(directory_url)
        with key_files.translated(path):
            path.unlink(missing_ok=True)
            durable.sync(path.parent)

    def account_keys(self) -> Iterator[tuple[str, AccountKey]]:
        """Yield each CA's directory URL with its key, then with its next key: those that responders must trust."""
        for url in self.directory_urls:
            yield url, self.account_key(url)
            following = self.next_account_key(url)
            if following:
                yield url, following

    @property
    def publishing_key(self) -> ed25519.Ed25519PrivateKey:
        """The Ed25519 key. Raises SettingsError when it is missing or of another kind."""
        return self.publishing.current

    def record_path(self, directory_url: str) -> Path:
        """Return the path of the record of our account at this CA."""
        return self._accounts / f"{_file_name(directory_url)}.json"

    def read(self, directory_url: str) -> AccountRecord | None:
        """Return our account at this CA, if one is on record. Raises SettingsError."""
        path = self.record_path(directory_url)
        with key_files.translated(path):
            try:
                record = json.loads(path.read_bytes())
                is_deactivated = bool(record.get("is_deactivated", False))
                agreed_terms = str(record.get("agreed_terms", ""))
                return AccountRecord(directory_url, str(record["account_url"]), is_deactivated, agreed_terms)
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SettingsError(
                    f"{path} is damaged", str(error), f"Run 'rm {path}': the CA will return the account URL again."
                ) from error

    def record(self, account: AccountRecord) -> None:
        """Replace the record for the CA. Raises SettingsError."""
        path, known = self.record_path(account.directory_url), self.read(account.directory_url)
        text = {"directory_url": account.directory_url, "account_url": account.account_url}
        members = text | ({"is_deactivated": True} if account.is_deactivated else {})
        members |= {"agreed_terms": account.agreed_terms} if account.agreed_terms else {}
        with key_files.translated(path):
            key_files.replace_whole(path, json.dumps(members, indent=2).encode())
        what = What.ACCOUNT_DEACTIVATED if account.is_deactivated else What.ACCOUNT_REGISTERED
        if known is None or known.account_url != account.account_url or account.is_deactivated:
            self._tell(what, account.directory_url, account=account.account_url)

    def take_over(self, account: AccountRecord, account_key: AccountKey) -> bool:
        """Adopt another client's account; return False if we already have another account at this CA.

        A key of ours without an account is renamed to `….unused.pem`. Idempotent.
        """
        url = account.directory_url
        known, path = self.read(url), self.key_path(url)
        if known is not None:
            return known.account_url == account.account_url
        with key_files.translated(path):
            durable.make_folder(self._accounts, 0o700, key_files.OURS)
            if presence.exists(path) and not _is_same(key_files.read_account_key(path), account_key):
                os.replace(path, path.with_suffix(".unused.pem"))  # noqa: PTH105 - names the operation
            if not presence.exists(path):
                key_files.write_account_key(path, account_key)
        self.record(account)
        return True

    def _tell(self, what: What, subject: str, **details: str) -> None:
        self._history.add(Happened(what, subject, details))

    def _existing(self, directory_url: str) -> Path:
        """Return the path of the account key of this CA. Raises SettingsError when it does not exist."""
        path = self.key_path(directory_url)
        with key_files.translated(path):
            if presence.is_symlink(path) or presence.exists(path):
                return path
        raise SettingsError(
            f"no account key for the CA {directory_url}",
            f"{path} does not exist",
            "Run 'wellkeeper init' to create it, then 'wellkeeper trust --write'.",
        )


def _is_same(one: AccountKey, other: AccountKey) -> bool:
    return key_files.account_thumbprint(one) == key_files.account_thumbprint(other)


def _file_name(directory_url: str) -> str:
    """Return a name that differs for two directory URLs on one host, such as production and test."""
    digest = hashlib.sha256(directory_url.encode()).hexdigest()[:8]
    return f"{urlsplit(directory_url).hostname or 'ca'}-{digest}"
