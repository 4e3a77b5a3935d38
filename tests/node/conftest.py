"""Fixtures that the tests of the issuer use as well."""

from tests.issuer.conftest import attempts, clock, folder, nodes, state

__all__ = ["attempts", "clock", "folder", "nodes", "state"]
