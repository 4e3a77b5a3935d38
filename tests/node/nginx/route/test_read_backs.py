"""Causes of failed read-backs, from the configuration on disk."""

import asyncio
import logging
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.node.nginx.route.routing import INCLUDE, MAIN, REDIRECT, configured
from wellkeeper_client import services
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Answer, Node, ReadBack
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.route.read_backs import RouteCauses

ANSWER = Answer("t" * 43, "h" * 43, dns("a.example"))
NODE = Node("local", "unix:/c", (("127.0.0.1", 80),), (("127.0.0.1", 443),))
ELSEWHERE = ReadBack("local", "http://a.example/x", "127.0.0.1:80", 403, "a guess", "Guess.", is_elsewhere=True)
NAMED = "listen 80; server_name a.example;"


class Nginx:
    """The configuration on disk, or the error of reading it; it takes `seconds`."""

    def __init__(self, clock: FakeClock, found: Configuration | ReloadError) -> None:
        self.clock = clock
        self.found = found
        self.seconds = 0.0
        self.count = 0

    async def configuration(self) -> Configuration:
        self.count += 1
        self.clock.advance(self.seconds)
        if isinstance(self.found, ReloadError):
            raise self.found
        return self.found


async def explained(
    clock: FakeClock, found: Configuration | ReloadError, result: ReadBack = ELSEWHERE, node: Node = NODE
) -> ReadBack:
    (one,) = await RouteCauses(Nginx(clock, found), clock).explain(node, ANSWER, [result])
    return one


async def test_route_replaces_the_guess(clock: FakeClock) -> None:
    assert await explained(clock, configured(f"{NAMED} root /x;")) == replace(
        ELSEWHERE,
        cause=f"the server block at {MAIN}:3 does not include challenge.conf: it answers 404",
        remedy=f"Add '{INCLUDE}' after {MAIN}:3, then reload nginx.",
    )


async def test_redirect_is_followed_to_the_nodes_port_for_https(clock: FakeClock) -> None:
    node = replace(NODE, http_addresses=(("127.0.0.1", 8080),), https_addresses=(("127.0.0.1", 8443),))
    blocks = (f"listen 8080; {REDIRECT}", "listen 8443 ssl; root /x;")
    found = await explained(clock, configured(*blocks), node=node)
    assert "answers 301 to https://a.example/…" in (found.cause or "")
    without = await explained(clock, configured(*blocks), node=replace(node, https_addresses=()))
    assert "where nothing listens on port 443" in (without.cause or "")


async def test_answer_of_the_challenge_location_is_left_as_it_is(clock: FakeClock) -> None:
    nginx = Nginx(clock, configured(f"{NAMED} root /x;"))
    well = replace(ELSEWHERE, status=200, cause=None, is_elsewhere=False)
    unknown = replace(ELSEWHERE, status=404, cause="the responder lacks the token", is_elsewhere=False)
    for result in (well, unknown):
        assert await RouteCauses(nginx, clock).explain(NODE, ANSWER, [result]) == (result,)
    assert nginx.count == 0


async def test_configuration_on_disk_that_would_answer_was_not_loaded(clock: FakeClock) -> None:
    found = await explained(clock, configured(f"{NAMED} {INCLUDE}"))
    assert found.cause == f"nginx runs a different configuration from the one on disk, where {MAIN}:3 would answer"
    assert found.remedy == f"Run 'nginx -t', then {services.clause('reload', 'nginx')}."
    limited = replace(ELSEWHERE, status=503, is_elsewhere=False)
    assert await explained(clock, configured(f"{NAMED} {INCLUDE}"), limited) == limited


async def test_directive_that_cannot_be_predicted_is_named_beside_the_guess(clock: FakeClock) -> None:
    found = await explained(clock, configured(f"{NAMED} if ($remote_addr) {{ return 403; }} {INCLUDE}"))
    assert (found.cause, found.remedy) == (f"a guess; see {MAIN}:3", "Guess.")


async def test_address_at_which_nginx_does_not_listen_is_left_to_the_guess(clock: FakeClock) -> None:
    refused = replace(ELSEWHERE, status=None, is_elsewhere=False)
    assert await explained(clock, configured("listen 8080;"), refused) == refused
    unix = replace(NODE, http_addresses=(("unix:/s", 0),))
    assert await explained(clock, configured(f"{NAMED} root /x;"), node=unix) == ELSEWHERE


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        (
            '[emerg] host not found in upstream "wellkeeper_responder" in /s/challenge.conf:37',
            (
                'nginx cannot load the configuration on disk: [emerg] host not found in upstream "wellkeeper_responder"'
                " in /s/challenge.conf:37"
            ),
            "Add 'include /s/upstream.conf;' to nginx's http block, then reload nginx: upstream.conf is not included.",
        ),
        (
            '[emerg] unknown directive "x"',
            'nginx cannot load the configuration on disk: [emerg] unknown directive "x"',
            "Fix it until 'nginx -t' passes, then reload nginx.",
        ),
        ("[emerg] open() failed (13: Permission denied)", "a guess", "Guess."),
    ],
)
async def test_configuration_that_nginx_refuses_is_the_cause(
    clock: FakeClock, words: str, cause: str, remedy: str
) -> None:
    error = ReloadError("cannot read nginx's configuration ('nginx -T')", words)
    found = await explained(clock, error)
    assert (found.cause, found.remedy) == (cause, remedy)
    limited = replace(ELSEWHERE, status=503, is_elsewhere=False)
    assert await explained(clock, error, limited) == limited


async def test_configuration_is_read_once_for_failures_that_come_together(clock: FakeClock) -> None:
    nginx = Nginx(clock, configured(f"{NAMED} root /x;"))
    causes = RouteCauses(nginx, clock)

    async def explain() -> None:
        await asyncio.gather(*(causes.explain(NODE, ANSWER, [ELSEWHERE]) for _ in range(3)))

    counts = []
    for seconds in (0, 4, 1):
        clock.advance(seconds)
        await explain()
        counts.append(nginx.count)
    assert counts == [1, 1, 2]
    nginx.seconds = 2
    for seconds in (5, 19, 1):
        clock.advance(seconds)
        await explain()
        counts.append(nginx.count)
    assert counts[3:] == [3, 3, 4]


class Hanging:
    async def configuration(self) -> Configuration:
        await asyncio.Event().wait()
        raise AssertionError


async def test_configuration_that_takes_long_is_not_waited_for(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        (found,) = await RouteCauses(Hanging(), clock, limit_seconds=0.01).explain(NODE, ANSWER, [ELSEWHERE])
    assert found == ELSEWHERE
    assert "nginx -T takes longer than" in caplog.text


async def test_strange_configuration_fails_no_read_back(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    assert await explained(clock, configured(f"{NAMED} return;")) == ELSEWHERE
    assert "cannot predict what nginx answers for a.example" in caplog.text
