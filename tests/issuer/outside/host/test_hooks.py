"""Hooks: real commands, their environment and their output."""

import json
import logging
import os
import sys

import pytest

from tests.processes import with_more_time
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.hooks import CommandHooks, variables
from wellkeeper_issuer.records import Event, Occasion
from wellkeeper_node.model import Identifier, IdentifierType

NAMES = tuple(Identifier(IdentifierType.DNS, name) for name in ("www.example.org", "example.org"))
DEPLOYED = Occasion(("www",), NAMES, "/certs/live/www")
FAILED = Occasion(("www",), NAMES, "/certs/live/www", "the CA says no")
DUMP = [sys.executable, "-c", "import json, os, sys; print(json.dumps(dict(os.environ)))"]
# Added by Python and the C library.
OWN = {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}


def hooks(event: Event, *argv: str, timeout_seconds: float = 10.0) -> CommandHooks:
    return CommandHooks({event: argv}, timeout_seconds, {"PATH": os.environ["PATH"]})


async def reported(caplog: pytest.LogCaptureFixture, event: Event, about: Occasion) -> dict[str, str]:
    caplog.set_level(logging.INFO)
    environment = {"PATH": "/bin", "HOME": "/root", "LANG": "C", "DATABASE_PASSWORD": "secret"}
    await CommandHooks({event: DUMP}, 10, environment).run(event, about)
    found: dict[str, str] = json.loads(caplog.messages[-1].partition(": ")[2])
    return {name: value for name, value in found.items() if name not in OWN}


async def test_deploy_hook_also_gets_the_variables_of_certbot(caplog: pytest.LogCaptureFixture) -> None:
    assert await reported(caplog, Event.DEPLOY, DEPLOYED) == {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C",
        "WELLKEEPER_EVENT": "deploy",
        "WELLKEEPER_CERTIFICATE": "www",
        "WELLKEEPER_IDENTIFIERS": "www.example.org example.org",
        "WELLKEEPER_LIVE": "/certs/live/www",
        "WELLKEEPER_ERROR": "",
        "RENEWED_LINEAGE": "/certs/live/www",
        "RENEWED_DOMAINS": "www.example.org example.org",
    }


async def test_failed_hook_gets_the_error(caplog: pytest.LogCaptureFixture) -> None:
    found = await reported(caplog, Event.FAILED, FAILED)
    assert found["WELLKEEPER_ERROR"] == "the CA says no"
    assert found["FAILED_DOMAINS"] == "www.example.org example.org"
    assert "RENEWED_DOMAINS" not in found


@pytest.mark.parametrize("event", [Event.PRE, Event.POST])
async def test_hooks_around_a_pass_get_all_certificates(caplog: pytest.LogCaptureFixture, event: Event) -> None:
    found = await reported(caplog, event, Occasion(("www", "mail")))
    assert (found["WELLKEEPER_EVENT"], found["WELLKEEPER_CERTIFICATE"]) == (event.value, "www mail")
    assert "RENEWED_LINEAGE" not in found


async def test_post_hook_gets_the_renewed_and_the_failed_names_as_from_certbot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    about = Occasion(("www", "mail"), renewed=NAMES, failed=(Identifier(IdentifierType.DNS, "mail.example.org"),))
    found = await reported(caplog, Event.POST, about)
    assert (found["RENEWED_DOMAINS"], found["FAILED_DOMAINS"]) == ("www.example.org example.org", "mail.example.org")
    assert not {"RENEWED_DOMAINS", "FAILED_DOMAINS"} & variables(Event.PRE, about).keys()
    empty = variables(Event.POST, Occasion(("www",)))
    assert (empty["RENEWED_DOMAINS"], empty["FAILED_DOMAINS"]) == ("", "")


def test_rehearsal_variable_is_set_only_in_a_rehearsal() -> None:
    assert "WELLKEEPER_REHEARSAL" not in variables(Event.DEPLOY, DEPLOYED)
    rehearsal = Occasion(("www",), NAMES, "/certs/live/www", is_rehearsal=True)
    assert variables(Event.DEPLOY, rehearsal)["WELLKEEPER_REHEARSAL"] == "1"


async def test_ten_thousand_names_are_shortened_to_fit(caplog: pytest.LogCaptureFixture) -> None:
    names = tuple(f"host-{n}.customers.example.org" for n in range(10_000))
    caplog.set_level(logging.INFO)
    await hooks(Event.PRE, "sh", "-c", "echo ${#WELLKEEPER_CERTIFICATE} ${WELLKEEPER_CERTIFICATE##* }").run(
        Event.PRE, Occasion(names)
    )
    assert caplog.messages[0].startswith("hook 'pre' for 10000 certificates: sh -c")
    length, last = caplog.messages[-1].split()[-2:]
    assert (int(length) <= 96 * 1024 + 4, last) == (True, "...")
    assert variables(Event.PRE, Occasion(names))["WELLKEEPER_CERTIFICATE"].split()[-2] in names


async def test_any_error_text_can_be_passed_to_a_hook(caplog: pytest.LogCaptureFixture) -> None:
    found = await reported(caplog, Event.FAILED, Occasion(("www",), error="zero \0 byte, " + "ü" * 9000))
    assert found["WELLKEEPER_ERROR"].startswith("zero byte, üü")
    assert len(found["WELLKEEPER_ERROR"].encode()) <= 8192


async def test_event_without_a_hook_runs_nothing() -> None:
    without = hooks(Event.DEPLOY, "false")
    await without.run(Event.PRE, DEPLOYED)
    assert (without.is_there(Event.DEPLOY), without.is_there(Event.PRE)) == (True, False)


async def test_default_path_is_used_without_one_of_our_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await CommandHooks({Event.PRE: ["/usr/bin/env"]}, 10, {}).run(Event.PRE, Occasion(("www",)))
    assert "hook 'pre' for www: PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in caplog.messages


async def test_output_of_a_hook_is_logged_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await hooks(Event.DEPLOY, "printf", r"one\n\ntwo\033[2J\rthree").run(Event.DEPLOY, DEPLOYED)
    assert caplog.messages[1:] == [f"hook 'deploy' for www: {line}" for line in ("one", "two [2J", "three")]
    assert {record.levelname for record in caplog.records} == {"INFO"}


async def failure_of(event: Event, *argv: str, timeout_seconds: float = 10.0) -> str:
    with pytest.raises(HookError) as caught:
        await hooks(event, *argv, timeout_seconds=timeout_seconds).run(event, FAILED)
    return str(caught.value)


async def test_failure_names_hook_command_status_last_lines_and_remedy() -> None:
    script = "for n in 1 2 3 4; do echo line $n; done; exit 3"
    assert await failure_of(Event.DEPLOY, "sh", "-c", script) == (
        "the hook 'deploy' failed for www: 'sh' exited with status 3: line 2 / line 3 / line 4. "
        "Fix the hook: it runs again with the next pass. The certificate is installed."
    )


async def test_failure_without_output_is_reported() -> None:
    assert await failure_of(Event.POST, "false") == (
        "the hook 'post' failed for www: 'false' exited with status 1. "
        "Fix the hook: it runs again after the next renewal. The certificates are installed."
    )


async def test_signal_is_named() -> None:
    assert "was killed by signal 9." in await failure_of(Event.PRE, "sh", "-c", "kill -9 $$")


async def test_quoted_output_is_short() -> None:
    assert len(await failure_of(Event.PRE, "sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; exit 1")) < 700


async def test_missing_command_is_named() -> None:
    assert "the hook 'failed' failed for www: the command 'no-such-hook' is not installed" in await failure_of(
        Event.FAILED, "no-such-hook"
    )


async def test_hanging_hook_is_killed_and_its_output_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def is_kept(seconds: float) -> bool:
        message = await failure_of(Event.DEPLOY, "sh", "-c", "echo waiting; sleep 60", timeout_seconds=seconds)
        assert f"did not end within {seconds:g} s and was killed" in message
        return "was killed: waiting. Fix the hook" in message

    assert await with_more_time(is_kept)
    assert caplog.messages[-1] == "hook 'deploy' for www: waiting"
