"""The responder of the responder's own tests."""

from tests.responder.conftest import running

__all__ = ["running"]
