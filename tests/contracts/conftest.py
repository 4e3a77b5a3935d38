"""Fixtures of the node's tests: responders that run in this process."""

from tests.node.conftest import clock, folder, nodes

__all__ = ["clock", "folder", "nodes"]
