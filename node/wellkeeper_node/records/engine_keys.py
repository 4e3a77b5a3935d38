"""The names in an engine: records under their keys, and directories, sets of names, which end in a slash.

Wraps have a directory for each node, and one of those nodes, so that an ACL is one prefix for each node. Reports have
none: nodes write them, and could fill it; they are looked for under the names of the nodes.
"""

from typing import Final

from wellkeeper_client.records import Kind, kind_of, node_of

EPOCH: Final = "epoch"
LEASE: Final = "lease"

ONE_OF_A_NODE: Final = frozenset({Kind.NODE, Kind.REPORT})
_OF_ALL_NODES: Final = frozenset({Kind.PUBLICATION, Kind.BUNDLE, Kind.MANIFEST, Kind.HEARTBEAT})


def is_visible(key: str, node: str) -> bool:
    """Return whether the record is for this node; "" is the issuer."""
    kind = kind_of(key)
    return not node or kind in _OF_ALL_NODES or (kind in {*ONE_OF_A_NODE, Kind.WRAP} and node_of(key) == node)


def place(key: str) -> tuple[str, str]:
    """Return the directory of a record, and the node whose directory it is, or ""."""
    owner = node_of(key) if kind_of(key) is Kind.WRAP else ""
    return key[: key.rindex("/") + 1], owner


def directory(kind: Kind, node: str = "") -> str:
    """Return the directory with the names of a kind; wraps of a node have their own."""
    if kind is Kind.WRAP and node:
        return f"{kind}/{node}/"
    return f"{Kind.NODE if kind is Kind.REPORT else kind}/"


def channel(kind: Kind, node: str) -> str:
    """Return the channel on which changes of a kind are published for this node; "" is the issuer."""
    return f"{kind}/{node}/" if kind is Kind.WRAP and node else f"{kind}/"
