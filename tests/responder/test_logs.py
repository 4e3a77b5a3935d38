"""Log lines: complete, one a line, and without what must not be logged."""

import json
import logging

import pytest

from responder.logs import JsonFormat, TextFormat
from responder.publication import sign_publication
from tests.responder.conftest import Running
from tests.responder.messages import KEY, THUMBPRINT, TOKEN, publication


def _record(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("responder", logging.INFO, __file__, 1, "fetch", None, None)
    record.fields = fields
    return record


def test_text_quotes_what_could_mislead() -> None:
    line = TextFormat().format(_record(token=TOKEN, user_agent='a "b" c=d\n', host=None, status=200))
    assert line.endswith(f' info fetch token={TOKEN} user_agent="a \\"b\\" c=d\\n" host=null status=200')
    assert "\n" not in line


def test_text_of_one_word_with_a_line_end_stays_on_one_line() -> None:
    assert "\n" not in TextFormat().format(_record(host="a\nb"))


def test_json_is_one_object_a_line() -> None:
    line = JsonFormat().format(_record(token=TOKEN, status=200))
    assert "\n" not in line
    event = json.loads(line)
    assert (event["event"], event["level"], event["token"], event["status"]) == ("fetch", "info", TOKEN, 200)
    assert event["time"].endswith("Z")


async def test_life_of_a_token_is_logged_without_signature_or_headers(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "responder")
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
