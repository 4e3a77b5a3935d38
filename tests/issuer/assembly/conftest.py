"""Fixture `program` for these tests."""

from tests.issuer.commands.conftest import program

__all__ = ["program"]
