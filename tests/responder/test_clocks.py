"""Clock differences between issuer and responder: large ones are reported, small ones do not matter."""

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
async def test_small_clock_difference_does_not_shorten_the_lifetime(running: Running, seconds: float) -> None:
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
async def test_clock_difference_of_an_hour_is_reported_and_refused(running: Running, seconds: float, name: str) -> None:
    running.clock.step(seconds)
    problem = problem_of(await running.publish(publication()), 401, name)
    assert problem["clock"] == NOW + seconds
    assert (await running.get(TOKEN)).status == 404
    assert await read_over_tcp(running) == 401


@pytest.mark.parametrize("seconds", [-_HOUR, -9 * _MINUTE, -41.0, 41.0, 9 * _MINUTE, _HOUR])
async def test_setting_the_clock_does_not_change_the_lifetime_of_a_token(running: Running, seconds: float) -> None:
    await running.publish(publication())
    running.clock.step(seconds)
    running.clock.advance(599)
    assert (await running.get(TOKEN)).body == _ANSWER
    running.clock.advance(1)
    assert (await running.get(TOKEN)).status == 404
