"""Clocks of issuer and responder that do not agree: what is too far apart is told, the rest works as if they did."""

import pytest

from tests.responder.conftest import Running
from tests.responder.http import ask, problem_of
from tests.responder.messages import KEY, NOW, THUMBPRINT, TOKEN, publication, withdrawal
from wellkeeper_client import wire
from wellkeeper_client.signing import Permit, sign_permit, sign_withdrawal

_ANSWER = f"{TOKEN}.{THUMBPRINT}".encode()
_MINUTE = 60.0
_HOUR = 3600.0


async def read_over_tcp(running: Running) -> int:
    permit = sign_permit(Permit(NOW, NOW + 60), KEY)
    return (await ask(running.control_over_tcp, "GET", wire.STATUS_PATH, {"Authorization": f"Bearer {permit}"})).status


@pytest.mark.parametrize("seconds", [-9 * _MINUTE, -41.0, 41.0, 9 * _MINUTE])
async def test_clock_that_is_not_too_far_off_costs_nothing_of_the_lifetime(running: Running, seconds: float) -> None:
    running.clock.step(seconds)
    reply = await running.publish(publication())
    assert (reply.status, reply.json()["expires_in_seconds"]) == (201, 600)
    assert ("warning" in reply.json()) == (abs(seconds) > wire.CLOCK_WARNING_SECONDS)
    assert await read_over_tcp(running) == 200
    running.clock.advance(599)
    assert (await running.get(TOKEN)).body == _ANSWER
    assert (await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")).status == 204
    assert (await running.get(TOKEN)).status == 404


@pytest.mark.parametrize(("seconds", "name"), [(-_HOUR, "clock"), (_HOUR, "expired")])
async def test_clock_that_is_an_hour_off_is_told_and_nothing_is_taken(
    running: Running, seconds: float, name: str
) -> None:
    running.clock.step(seconds)
    problem = problem_of(await running.publish(publication()), 401, name)
    assert problem["clock"] == NOW + seconds
    assert (await running.get(TOKEN)).status == 404
    assert await read_over_tcp(running) == 401


@pytest.mark.parametrize("seconds", [-_HOUR, -9 * _MINUTE, -41.0, 41.0, 9 * _MINUTE, _HOUR])
async def test_clock_that_is_set_while_a_token_stands_neither_ends_nor_prolongs_it(
    running: Running, seconds: float
) -> None:
    await running.publish(publication())
    running.clock.step(seconds)
    running.clock.advance(599)
    assert (await running.get(TOKEN)).body == _ANSWER
    running.clock.advance(1)
    assert (await running.get(TOKEN)).status == 404
