"""Files that remember the tokens published for other ACME clients."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.responder.messages import OTHER_TOKEN, TOKEN
from wellkeeper_issuer.outside.state.published import PublishedTokens


def test_publication_is_found_until_it_is_forgotten(tmp_path: Path) -> None:
    for jti in ("first", "second"):
        PublishedTokens(tmp_path).record(TOKEN, jti, 100, now=0)
    assert PublishedTokens(tmp_path).find(TOKEN) == "second"
    for _ in range(2):
        PublishedTokens(tmp_path).forget(TOKEN)
    assert PublishedTokens(tmp_path).find(TOKEN) is None


def test_files_that_have_expired_or_are_damaged_are_removed(tmp_path: Path) -> None:
    published = PublishedTokens(tmp_path)
    published.record(TOKEN, "first", 100, now=0)
    (tmp_path / ".published/damaged").write_text("[")
    published.record(OTHER_TOKEN, "second", 300, now=100)
    assert [one.name for one in (tmp_path / ".published").iterdir()] == [OTHER_TOKEN]


def test_publications_at_the_same_time_are_all_recorded(tmp_path: Path) -> None:
    tokens = [f"{TOKEN[:-4]}{number:04}" for number in range(100)]

    def record(token: str) -> None:
        PublishedTokens(tmp_path).record(token, token, 100, now=0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, tokens))
    assert [PublishedTokens(tmp_path).find(token) for token in tokens] == tokens
