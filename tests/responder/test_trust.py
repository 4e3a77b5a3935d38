"""Following a trust file: when it is read, what is taken, and what is reported."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.responder.messages import OTHER_THUMBPRINT, THUMBPRINT, TRUST
from wellkeeper_client import services
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.trust_file import Trust, to_toml
from wellkeeper_responder.trust import TrustFile

BOTH = Trust((THUMBPRINT, OTHER_THUMBPRINT), TRUST.publishing_keys)

ISSUER = 4_000_000_001


class Followed:
    """A trust file that is followed, with what was taken from it."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog
        self.path = folder / "etc" / "trust.toml"
        self.taken: list[Trust] = []
        self.file = TrustFile(self.path, self.taken.append)

    def write(self, trust: Trust) -> None:
        """Replace the file by a rename, as `trust --write` does."""
        self.path.parent.mkdir(exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(to_toml(trust))
        new.rename(self.path)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.file.look()

    def reports(self) -> list[tuple[str, str]]:
        """Return and forget level and message of each log record."""
        found = [(record.levelname, record.getMessage()) for record in self._caplog.records]
        self._caplog.clear()
        return found

    def fields(self) -> dict[str, object]:
        found: dict[str, object] = self._caplog.records[-1].__dict__["fields"]
        self._caplog.clear()
        return found


@pytest.fixture
def followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Followed:
    return Followed(tmp_path, caplog)


@pytest.fixture
def valid(followed: Followed) -> Followed:
    """A file that was read and whose reports are forgotten."""
    followed.write(TRUST)
    followed.file.read()
    followed.look(3)
    followed.reports()
    return followed


def test_missing_file_is_one_warning_with_the_remedy(followed: Followed) -> None:
    followed.file.read()
    followed.look(5)
    assert followed.taken == []
    words = f"{followed.path} does not exist; the responder answers no challenge until it is valid. {services.set_up()}"
    assert followed.reports() == [("WARNING", words)]
    assert followed.file.status == f"answers nothing: {followed.path} does not exist. {services.set_up()}"


def test_values_of_options_are_in_force_without_the_file(followed: Followed) -> None:
    file = TrustFile(followed.path, followed.taken.append, TRUST)
    file.read()
    consequence = "only the values of the options are in force"
    words = f"{followed.path} does not exist; {consequence}. {services.set_up()}"
    assert followed.reports() == [("WARNING", words)]
    counted = "accounts trusted: 1, publishing keys: 1"
    assert file.status == f"{counted}; {consequence}: {followed.path} does not exist. {services.set_up()}"
    followed.write(Trust((OTHER_THUMBPRINT,), TRUST.publishing_keys))
    file.look()
    assert file.status == "accounts trusted: 2, publishing keys: 1"


def test_file_that_appears_with_its_directory_is_taken_at_the_next_look(followed: Followed) -> None:
    followed.file.read()
    followed.look()
    followed.write(TRUST)
    followed.look()
    assert followed.taken == [TRUST]
    assert followed.file.status == "accounts trusted: 1, publishing keys: 1"


def test_changes_are_taken_once_and_reported_by_value(valid: Followed) -> None:
    valid.write(BOTH)
    valid.look(4)
    assert valid.taken == [TRUST, BOTH]
    assert valid.fields() == {"file": str(valid.path), "added_account_thumbprints": [OTHER_THUMBPRINT]}
    valid.write(Trust((OTHER_THUMBPRINT,), (OTHER_THUMBPRINT,)))
    valid.look()
    assert valid.fields() == {
        "file": str(valid.path),
        "removed_account_thumbprints": [THUMBPRINT],
        "added_publishing_keys": [OTHER_THUMBPRINT],
        "removed_publishing_keys": list(TRUST.publishing_keys),
    }


def test_fleet_keys_are_reported_although_only_nodes_use_them(valid: Followed) -> None:
    valid.write(Trust(TRUST.account_thumbprints, TRUST.publishing_keys, (OTHER_THUMBPRINT,)))
    valid.look()
    assert valid.fields() == {"file": str(valid.path), "added_fleet_keys": [OTHER_THUMBPRINT]}
    valid.write(TRUST)
    valid.look()
    assert valid.fields() == {"file": str(valid.path), "removed_fleet_keys": [OTHER_THUMBPRINT]}
    assert valid.file.status == "accounts trusted: 1, publishing keys: 1"


def test_same_values_in_a_new_file_are_not_reported(valid: Followed) -> None:
    valid.write(TRUST)
    valid.look(3)
    assert (valid.taken, valid.reports()) == ([TRUST], [])


def test_link_that_is_switched_counts_as_a_change(valid: Followed, tmp_path: Path) -> None:
    for name, trust in {"a": TRUST, "b": BOTH}.items():
        (tmp_path / name).write_text(to_toml(trust))
    valid.path.unlink()
    valid.path.symlink_to(tmp_path / "a")
    valid.look(2)
    new = valid.path.with_suffix(".new")
    new.symlink_to(tmp_path / "b")
    new.rename(valid.path)
    valid.look()
    assert valid.taken == [TRUST, BOTH]


def test_file_that_is_written_slowly_is_not_reported(valid: Followed) -> None:
    text = to_toml(BOTH)
    for end in range(0, len(text), 10):
        valid.path.write_text(text[:end])
        valid.look()
    valid.path.write_text(text)
    valid.look(2)
    assert valid.taken == [TRUST, BOTH]
    assert [level for level, _ in valid.reports()] == ["INFO"]


def test_invalid_file_leaves_the_former_values_and_is_reported_once_per_mistake(valid: Followed) -> None:
    valid.path.write_text("version = 1\n")
    valid.look(5)
    why = f"{valid.path}:1: the key account_thumbprints is missing"
    remedy = "Run 'wellkeeper trust --write' on the issuer's host."
    assert valid.reports() == [("ERROR", f"{why}; the former values stay in force. {remedy}")]
    assert valid.file.status.startswith("accounts trusted: 1, publishing keys: 1; the former values stay in force: ")
    valid.path.write_text("version = 2\n" + to_toml(TRUST).partition("version = 1\n")[2])
    valid.look(5)
    [(level, words)] = valid.reports()
    assert (level, "version is 2" in words) == ("ERROR", True)
    assert valid.taken == [TRUST]


def test_file_that_vanished_leaves_the_former_values_until_it_is_back(valid: Followed) -> None:
    valid.path.unlink()
    valid.look(5)
    words = f"{valid.path} does not exist; the former values stay in force. Run 'wellkeeper trust --write' on"
    [(level, found)] = valid.reports()
    assert (level, found[: len(words)]) == ("ERROR", words)
    valid.write(TRUST)
    valid.look(3)
    assert valid.reports() == [("INFO", "trust file valid again")]
    valid.path.unlink()
    valid.look(2)
    valid.write(BOTH)
    valid.look(3)
    assert valid.taken == [TRUST, BOTH]


def test_corrected_mode_of_a_directory_is_noticed_although_the_file_is_unchanged(valid: Followed) -> None:
    valid.path.parent.chmod(0o777)
    valid.write(BOTH)
    valid.look(3)
    assert valid.taken == [TRUST]
    [(_, words)] = valid.reports()
    assert words.startswith(f"cannot trust {valid.path}: every user may write to {valid.path.parent} (mode 0777); ")
    assert words.endswith(f" Run 'chmod go-w {valid.path.parent}'.")
    valid.path.parent.chmod(0o755)
    valid.look()
    assert valid.taken == [TRUST, BOTH]


def test_requested_reading_always_reports_its_result(valid: Followed) -> None:
    valid.file.read()
    assert valid.reports() == [("INFO", "trust file unchanged")]
    valid.path.write_text("")
    for _ in range(2):
        valid.file.read()
        assert [level for level, _ in valid.reports()] == ["ERROR"]
    valid.write(BOTH)
    valid.file.read()
    assert valid.reports() == [("INFO", "trust")]
    assert valid.taken == [TRUST, BOTH]


@pytest.mark.root
def test_file_of_another_user_is_trusted_with_this_uid(followed: Followed) -> None:
    followed.write(TRUST)
    for path in (followed.path.parent, followed.path):
        os.chown(path, ISSUER, ISSUER)
    followed.file.read()
    assert followed.taken == []
    assert "belongs to another user" in followed.reports()[0][1]
    TrustFile(followed.path, followed.taken.append, owner=ISSUER).read()
    assert followed.taken == [TRUST]


def test_publishers_are_reported_by_what_they_may_do(valid: Followed) -> None:
    certbot = Publisher("certbot", (THUMBPRINT,), (OTHER_THUMBPRINT,), ("a.example",))
    valid.write(replace(TRUST, publishers=(certbot,)))
    valid.look()
    words = f"certbot with key {OTHER_THUMBPRINT} publishes for a.example and accounts {THUMBPRINT}"
    assert valid.fields() == {"file": str(valid.path), "added_publishers": [words]}
    assert valid.file.status == "accounts trusted: 1, publishing keys: 1, publishers: 1"
    valid.write(TRUST)
    valid.look()
    assert valid.fields() == {"file": str(valid.path), "removed_publishers": [words]}
