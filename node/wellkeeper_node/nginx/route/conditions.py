"""Decide the condition of an `if`, as ngx_http_rewrite_module does."""

import re
from collections.abc import Sequence
from typing import Final

from wellkeeper_node.nginx.route.request import TOKEN, Request

_OF_FILES: Final = re.compile(r"(!?)-[fdex]")
# The file of a challenge: only another ACME client would write it.
_OF_THE_PATH: Final = re.compile(r"\$\{?(request_filename|uri|request_uri|document_uri)\b")


def holds(condition: Sequence[str], request: Request) -> bool | None:
    """Return whether the condition holds; None if that cannot be predicted, such as a file on disk."""
    if not condition:
        return None
    if of_file := _OF_FILES.fullmatch(condition[0]):
        return _of_file(is_negated=of_file[1] == "!", path=condition[-1], request=request)
    left = request.expand(condition[0])
    if left is None:
        return None
    if len(condition) == 1:
        return left not in {"", "0"}
    operator, right = condition[1], condition[-1]
    is_negated = operator.startswith("!")
    if operator.endswith("="):
        value = request.expand(right)
        return None if value is None else (left == value) != is_negated
    found = request.search(right, left, ignores_case=operator.endswith("*"))
    return None if found is None else found != is_negated


def _of_file(*, is_negated: bool, path: str, request: Request) -> bool | None:
    is_of_challenge = _OF_THE_PATH.search(path) is not None and TOKEN in request.path
    return is_negated if is_of_challenge else None
