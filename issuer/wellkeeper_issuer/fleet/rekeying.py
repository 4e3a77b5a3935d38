"""New keys of nodes, which they offer in their reports. A report was signed by the key that is enrolled."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.keys import parse_line

_log = logging.getLogger(__name__)


def rekeyed(nodes: Mapping[str, EnrolledNode], reports: Iterable[Seen]) -> Iterator[EnrolledNode]:
    """Yield the nodes that offer other keys than those that are enrolled, with these keys; log unusable ones."""
    for seen in reports:
        node, line = nodes.get(seen.node), seen.report.next_keys
        if node is None or line is None:
            continue
        try:
            keys = parse_line(line).texts
            _check_are_new(keys, [one for one in nodes.values() if one.name != node.name])
        except ValueError as error:
            _log.error("node %r keeps its keys: %s", node.name, error)
            continue
        if keys != (node.signing_key, node.sealing_key):
            yield replace(node, signing_key=keys[0], sealing_key=keys[1])


def _check_are_new(keys: tuple[str, str], others: Iterable[EnrolledNode]) -> None:
    for other in others:
        if set(keys) & {other.signing_key, other.sealing_key}:
            raise ValueError(f"it offers a key of node {other.name!r}")
