"""Bodies of the records of nodes and publications: read back the same, and nothing of another shape is read."""

from dataclasses import replace
from typing import Any, Final

import pytest

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody, parse_node, parse_publication

NODE: Final = NodeBody("s" * 43, "x" * 43, ("web", "mail"), answers=False)


@pytest.mark.parametrize("body", [NODE, NodeBody("a", "b"), replace(NODE, engine="e")], ids=["some", "all", "engine"])
def test_node_is_read_back_the_same(body: NodeBody) -> None:
    assert parse_node(body.to_json() | {"of_a_later_version": 1}) == body


@pytest.mark.parametrize("body", [PublicationBody("a.b.c"), PublicationBody("a.b.c", is_withdrawal=True)])
def test_publication_is_read_back_the_same(body: PublicationBody) -> None:
    assert parse_publication(body.to_json() | {"of_a_later_version": 1}) == body


def test_node_gets_the_certificates_that_it_names_or_all() -> None:
    assert [NODE.gets(name) for name in ("web", "mail", "db")] == [True, True, False]
    assert replace(NODE, lineages=("*",)).gets("db")


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_key": 1},
        {"sealing_key": None},
        {"lineages": "*"},
        {"lineages": [1]},
        {"answers": 1},
        {"engine": None},
    ],
    ids=str,
)
def test_node_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="of a node must be"):
        parse_node(NODE.to_json() | changes)


@pytest.mark.parametrize("body", [{}, {"message": 1}, {"withdrawal": None}], ids=str)
def test_publication_of_another_shape_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="must have 'message' or 'withdrawal'"):
        parse_publication(body)
