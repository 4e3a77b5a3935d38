"""The bodies of two kinds of records that issuer and nodes share: enrolled nodes, and publications.

A reader ignores members that it does not know, so that a newer writer can add some. Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wellkeeper_client.compact_jws import malformed
from wellkeeper_client.records import SIGNING_KEY

ALL: Final = "*"
_SEALING_KEY: Final = "sealing_key"
_ENGINE: Final = "engine"


@dataclass(frozen=True, slots=True)
class NodeBody:
    """The body of `node/NODE`: an enrolled node, with its public keys in base64url.

    `lineages` are the names of the certificates that it gets, or `*` for all of them. A node that does not answer
    challenges only gets certificates. `engine` is the access to an engine, sealed for the node, "" without one.
    """

    signing_key: str
    sealing_key: str
    lineages: tuple[str, ...] = (ALL,)
    answers: bool = True
    engine: str = ""

    def gets(self, lineage: str) -> bool:
        return ALL in self.lineages or lineage in self.lineages

    def to_json(self) -> dict[str, Any]:
        return {
            SIGNING_KEY: self.signing_key,
            _SEALING_KEY: self.sealing_key,
            "lineages": list(self.lineages),
            "answers": self.answers,
            **({_ENGINE: self.engine} if self.engine else {}),
        }


@dataclass(frozen=True, slots=True)
class PublicationBody:
    """The body of `publication/JTI`: the message for the node's responder, or the one that withdraws it."""

    message: str
    is_withdrawal: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"withdrawal" if self.is_withdrawal else "message": self.message}


def parse_node(body: Mapping[str, Any]) -> NodeBody:
    """Reverse `NodeBody.to_json`. Raises MessageError."""
    keys, lineages, answers = (body.get(SIGNING_KEY), body.get(_SEALING_KEY)), body.get("lineages"), body.get("answers")
    if not isinstance(keys[0], str) or not isinstance(keys[1], str):
        raise malformed(f"{SIGNING_KEY!r} and {_SEALING_KEY!r} of a node must be strings")
    if not isinstance(lineages, list) or not all(isinstance(one, str) for one in lineages):
        raise malformed("'lineages' of a node must be a list of names, or of '*'")
    if not isinstance(answers, bool):
        raise malformed("'answers' of a node must be true or false")
    engine = body.get(_ENGINE, "")
    if not isinstance(engine, str):
        raise malformed("'engine' of a node must be a string")
    return NodeBody(keys[0], keys[1], tuple(lineages), answers, engine)


def parse_publication(body: Mapping[str, Any]) -> PublicationBody:
    """Reverse `PublicationBody.to_json`. Raises MessageError."""
    for name in ("withdrawal", "message"):
        if isinstance(body.get(name), str):
            return PublicationBody(body[name], is_withdrawal=name == "withdrawal")
    raise malformed("a publication must have 'message' or 'withdrawal', a string")
