"""Contract of `ports.PublicationRecords`: what another process would have to withdraw."""

from dataclasses import replace
from typing import Final, Protocol

from tests.issuer.outside.states import ATTEMPT, ORDER
from wellkeeper_issuer.ports.state import StateRecords
from wellkeeper_node.model import Published
from wellkeeper_node.ports import PublicationRecords

NOW: Final = 1_772_366_400
ONE: Final = Published("jti-1", "token-1", frozenset({"web"}), NOW + 60)
TWO: Final = Published("jti-2", "token-2", frozenset({"web"}), NOW + 90)
MAIL: Final = Published("jti-3", "token-3", frozenset({"mail"}), NOW + 90)


class State(StateRecords, Protocol):
    """The state with these records, which are of a node's port."""

    @property
    def publications(self) -> PublicationRecords: ...


async def test_publications_are_known_until_they_are_forgotten(state: State) -> None:
    records = state.publications
    await records.record_publications([ONE, TWO, MAIL], NOW)
    assert set(await records.read_publications("web")) == {ONE, TWO}
    for _ in range(2):
        await records.forget_publications([ONE])
    assert list(await records.read_publications("web")) == [TWO]
    assert list(await records.read_publications("mail")) == [MAIL]


async def test_expired_publications_are_forgotten_with_the_next_record(state: State) -> None:
    await state.publications.record_publications([ONE, TWO], NOW)
    await state.publications.record_publications([MAIL], ONE.expires_at)
    assert set(await state.publications.read_unneeded()) == {TWO, MAIL}


async def test_publications_are_needed_while_an_order_can_be_continued(state: State) -> None:
    await state.publications.record_publications([ONE, MAIL], NOW)
    await state.attempts.record_attempt(ATTEMPT)
    await state.attempts.record_attempt(replace(ATTEMPT, lineage="mail"))
    assert set(await state.publications.read_unneeded()) == {ONE, MAIL}
    await state.attempts.record_order("web", ORDER)
    assert list(await state.publications.read_unneeded()) == [MAIL]
    await state.attempts.record_chain("web", b"chain")
    assert set(await state.publications.read_unneeded()) == {ONE, MAIL}


async def test_publication_that_certificates_share_is_needed_until_no_order_needs_it(state: State) -> None:
    records, shared = state.publications, replace(ONE, lineages=frozenset({"web", "mail"}))
    await records.record_publications([ONE, TWO, MAIL], NOW)
    await records.record_publications([shared], NOW)
    for name in ("web", "mail"):
        await state.attempts.record_attempt(replace(ATTEMPT, lineage=name))
        await state.attempts.record_order(name, ORDER)
    assert list(await records.read_unneeded()) == []
    assert list(await records.read_publications("web")) == [TWO]
    assert list(await records.read_publications("mail")) == [MAIL]
    await state.attempts.record_chain("web", b"chain")
    assert list(await records.read_unneeded()) == [TWO]
    assert list(await records.read_publications("web")) == [TWO]
    assert set(await records.read_publications("mail")) == {shared, MAIL}
    await state.attempts.forget_attempt("mail")
    assert set(await records.read_unneeded()) == {shared, TWO, MAIL}
    assert list(await records.read_publications("ma")) == []
