"""The program with settings of its own."""

from tests.issuer.commands.conftest import program

__all__ = ["program"]
