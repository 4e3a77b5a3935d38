"""docs/design/0001-wire.md against the code: the test vector, the problems, the limits, the paths."""

import ast
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.responder.messages import NOW, base64url, publication
from wellkeeper_client import wire
from wellkeeper_client.signing import decode_public_key, encode_public_key, key_id, sign_publication
from wellkeeper_responder.publishing_keys import PublishingKeys

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs/design/0001-wire.md").read_text()
_SEED, _PUBLIC, _KID, _HEADER, _PAYLOAD, _MESSAGE = re.findall(
    r"^    (\S.*)$", _PAGE.partition("### Test vector")[2].partition("## Control")[0], re.MULTILINE
)
_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_SEED))


def test_vector_has_the_stated_keys() -> None:
    assert (encode_public_key(_KEY.public_key()), key_id(_KEY.public_key())) == (_PUBLIC, _KID)


def test_vector_matches_its_header_and_payload_encoded_by_hand() -> None:
    signing_input = base64url(_HEADER.encode()) + b"." + base64url(_PAYLOAD.encode())
    assert (signing_input + b"." + base64url(_KEY.sign(signing_input))).decode() == _MESSAGE


def test_vector_matches_the_codes_signature() -> None:
    assert sign_publication(publication(), _KEY) == _MESSAGE


def test_vector_is_accepted() -> None:
    keys = PublishingKeys([decode_public_key(_PUBLIC)])
    assert keys.check_publication(_MESSAGE.encode(), NOW) == publication()


def _problems_raised() -> set[tuple[int, str]]:
    """Return status and name of every WireError in the source."""
    found = set()
    for path in (*(_ROOT / "client").rglob("*.py"), *(_ROOT / "responder").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "WireError":
                status, name = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(name, ast.Constant):
                    found.add((int(str(status.value)), str(name.value)))
    return found


def test_page_lists_exactly_the_problems_of_the_code() -> None:
    rows = re.findall(r"^\| (4\d\d|507) \| (`[^|]+`) \|", _PAGE, re.MULTILINE)
    listed = {(int(status), name) for status, names in rows for name in re.findall(r"`([a-z-]+)`", names)}
    assert listed == _problems_raised()


@pytest.mark.parametrize(
    "text",
    [
        wire.CHALLENGE_PREFIX,
        wire.TOKENS_PREFIX,
        wire.FETCHES_PATH,
        wire.STATUS_PATH,
        wire.HEALTH_PATH,
        wire.METRICS_PATH,
        wire.TOKEN_SYNTAX,
        wire.JTI_PATTERN.pattern,
        wire.PUBLISH_TYPE,
        wire.WITHDRAW_TYPE,
        wire.READ_TYPE,
        wire.AUDIENCE,
        wire.MESSAGE_MEDIA_TYPE,
        wire.PROBLEM_MEDIA_TYPE,
        wire.PROBLEM_PREFIX,
        wire.READ_BACK_HEADER,
        f"at most {wire.MAX_MESSAGE_BYTES} bytes",
        f"1 to {wire.MAX_LIFETIME_SECONDS}",
        f"{wire.MAX_CLOCK_SKEW_SECONDS} s ahead",
        f"more than {wire.CLOCK_WARNING_SECONDS} s away",
        f"at most {wire.MAX_WAIT_SECONDS}",
    ],
)
def test_page_names_the_constants_of_the_code(text: str) -> None:
    assert text in _PAGE.replace("\n", " ")
