"""The access to the engine, sealed once for each node: sealing it again gives another text, and a new record."""

import logging
from collections.abc import Mapping

from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.engine_access import EngineAccess, seal_access

_log = logging.getLogger(__name__)


class Seals:
    """The seals of one access, or of none."""

    def __init__(self, access: EngineAccess | None) -> None:
        self._access = access
        self._sealed: dict[tuple[str, str], str] = {}

    def of(self, node: str, sealing_key: str) -> str:
        """Return the access for the node with this key, in base64url; "" without an engine, or for an unusable key."""
        if self._access is None:
            return ""
        if (node, sealing_key) not in self._sealed:
            self._sealed[node, sealing_key] = self._seal(self._access, node, sealing_key)
        return self._sealed[node, sealing_key]

    def _seal(self, access: EngineAccess, node: str, sealing_key: str) -> str:
        try:
            return seal_access(access, node, content.from_base64url(sealing_key))
        except ValueError as error:
            _log.error("node %r does not get the access to the engine: %s", node, error)
            return ""


def to_bodies(nodes: Mapping[str, EnrolledNode], seals: Seals) -> Mapping[str, NodeBody]:
    """Return what the records of these nodes say."""
    return {name: _body(one, seals.of(name, one.sealing_key)) for name, one in nodes.items()}


def _body(node: EnrolledNode, engine: str) -> NodeBody:
    return NodeBody(node.signing_key, node.sealing_key, node.lineages, node.answers, engine)
