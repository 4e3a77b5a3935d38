"""The id of this issuer in its heartbeat: made when it first feeds a fleet, also after a restore or promotion.

The file is hidden, so no backup has it: an issuer that is restored is another one, and the newer of the two.
"""

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import IssuerId, parse_issuer
from wellkeeper_issuer.advice.state import cause_and_remedy
from wellkeeper_issuer.errors import JournalError
from wellkeeper_node import durable

_FILE: Final = ".issuer.json"


def read_id(state_dir: Path) -> IssuerId | None:
    """Return the id; None before this issuer has fed a fleet, and for a damaged file. Raises JournalError."""
    path = state_dir / _FILE
    try:
        return parse_issuer(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, MessageError):
        return None
    except OSError as error:
        raise JournalError(f"cannot read {path}", *cause_and_remedy(error)) from error


def find_id(state_dir: Path, host: str, now: datetime) -> IssuerId:
    """Return the id, and make it before. The caller owns the state. Raises JournalError."""
    found = read_id(state_dir)
    if found is not None:
        return found
    path, made = state_dir / _FILE, IssuerId(secrets.token_urlsafe(16), host[:64], int(now.timestamp()))
    try:
        durable.replace_whole(path, json.dumps(made.to_json()).encode(), 0o600)
    except OSError as error:
        raise JournalError(f"cannot write {path}", *cause_and_remedy(error)) from error
    return made
