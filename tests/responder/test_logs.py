"""Log lines: complete, one line per record, and without secrets."""

import contextlib
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.responder.conftest import Running, settings
from tests.responder.messages import KEY, THUMBPRINT, TOKEN, publication
from wellkeeper_client.signing import sign_publication
from wellkeeper_responder.app import Responder
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.logs import JsonFormat, TextFormat
from wellkeeper_responder.settings import TcpAddress


def _record(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("wellkeeper_responder", logging.INFO, __file__, 1, "fetch", None, None)
    record.fields = fields
    return record


def test_text_quotes_ambiguous_values() -> None:
    line = TextFormat().format(_record(token=TOKEN, user_agent='a "b" c=d\n', host=None, status=200))
    assert line.endswith(f' info fetch token={TOKEN} user_agent="a \\"b\\" c=d\\n" host=null status=200')
    assert "\n" not in line


def test_text_with_a_line_end_stays_on_one_line() -> None:
    assert "\n" not in TextFormat().format(_record(host="a\nb"))


def test_json_is_one_object_per_line() -> None:
    line = JsonFormat().format(_record(token=TOKEN, status=200))
    assert "\n" not in line
    event = json.loads(line)
    assert (event["event"], event["level"], event["token"], event["status"]) == ("fetch", "info", TOKEN, 200)
    assert event["time"].endswith("Z")


def test_fault_is_logged_with_its_traceback_on_one_line() -> None:
    record = _record()
    try:
        int("a fault")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonFormat().format(record)
    assert "\n" not in line
    assert json.loads(line)["trace"].endswith("with base 10: 'a fault'")


async def test_address_reachable_by_others_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exposed = replace(settings(tmp_path), control=(TcpAddress("8.8.8.8", 0),))
    responder = Responder(exposed, FakeClock())
    # Few machines have this address.
    with contextlib.suppress(ListenError):
        await responder.start()
    await responder.stop()
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "other networks may reach" in TextFormat().format(warning)
    assert "8.8.8.8" in TextFormat().format(warning)


async def test_life_of_a_token_is_logged_without_signature_or_headers(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wellkeeper_responder")
    caplog.handler.setFormatter(JsonFormat())
    await running.publish(publication())
    await running.get(TOKEN, {"Cookie": "secret-cookie", "User-Agent": "CA/1"})
    await running.responder.stop()
    events = [json.loads(line) for line in caplog.text.splitlines()]
    assert [event["event"] for event in events] == ["publish", "fetch", "stop"]
    assert events[0]["token"] == events[1]["token"] == TOKEN
    assert events[1]["user_agent"] == "CA/1"
    assert "secret-cookie" not in caplog.text
    assert THUMBPRINT not in caplog.text
    assert sign_publication(publication(), KEY).rsplit(".", 1)[1] not in caplog.text
