"""Fixtures shared with the tests of the issuer."""

from tests.issuer.conftest import attempts, clock, folder, nodes, state

__all__ = ["attempts", "clock", "folder", "nodes", "state"]
