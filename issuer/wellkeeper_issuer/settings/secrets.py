"""Mask secrets in values of the settings: credentials in URLs, and arguments that are passwords or tokens."""

import re
from itertools import pairwise
from typing import Any, Final

MASK: Final = "***"

_CREDENTIALS: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#@]*(?:@[^\s/?#@]*)*@")
_QUERY: Final = re.compile(r"(\bhttps?://[^\s?#]*\?)\S+")
# Webhooks carry their token in the path.
_PATH: Final = re.compile(r"(\bhttps?://[^\s/?#]+[/?#])\S+")
_NAME: Final = r"[\w-]*(?:auth|cookie|credential|key|pass|secret|token)[\w-]*"
# Paths are not secret. In JSON, a quote follows the name.
_ASSIGNED: Final = re.compile(rf"({_NAME}\\?[\"']?\s*[:=]\s*)(?![\s/]).+", re.IGNORECASE | re.DOTALL)
_OPTION: Final = re.compile(rf"--?{_NAME}", re.IGNORECASE)
# In notifications, where secrets come from a file; `$$` is a dollar sign.
_PLACEHOLDER: Final = re.compile(r"(?<!\$)(?:\$\$)*\$\w")
# As curl's and wget's.
_USER_OPTION: Final = re.compile("-u|-U|--user|--proxy-user")


def mask_url(text: str) -> str:
    """Mask user, password and query of the URLs in a text."""
    return _QUERY.sub(rf"\1{MASK}", _CREDENTIALS.sub(rf"\1{MASK}@", text))


def mask_webhook(text: str) -> str:
    """Mask everything in a URL but scheme, host and port."""
    return _PATH.sub(rf"\1{MASK}", mask_url(text))


def mask_texts(value: Any) -> Any:  # noqa: ANN401 - any TOML
    """Mask the strings in a value of notifications: all without a placeholder, and what looks like a secret."""
    if isinstance(value, dict):
        return {key: mask_texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [mask_texts(one) for one in value]
    if isinstance(value, str):
        return _ASSIGNED.sub(rf"\1{MASK}", mask_webhook(value)) if _PLACEHOLDER.search(value) else MASK
    return value


def mask_command(arguments: list[str]) -> list[str]:
    """Mask passwords and tokens in arguments; of URLs, everything but scheme, host and port."""
    return [_mask_argument(before, one) for before, one in pairwise(["", *arguments])]


def _mask_argument(before: str, argument: str) -> str:
    if _OPTION.fullmatch(before) and not argument.startswith(("/", "-")):
        return MASK
    if _USER_OPTION.fullmatch(before) and ":" in argument:
        return f"{argument.partition(':')[0]}:{MASK}"
    return _ASSIGNED.sub(rf"\1{MASK}", mask_webhook(argument))
