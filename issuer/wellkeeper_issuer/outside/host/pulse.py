"""Call the heartbeat URL once. Imported only when one is configured."""

from dataclasses import dataclass

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.calls import Call, CallError, call, host_of
from wellkeeper_node.wording import with_reload


@dataclass(frozen=True, slots=True)
class UrlPulse:
    """Implements `upkeep.heartbeat.Pulse`."""

    wanted: Call
    every_seconds: float

    async def call(self) -> None:
        try:
            await call(self.wanted)
        except CallError as error:
            raise HookError(
                f"cannot call the heartbeat URL at {host_of(self.wanted.url)}",
                str(error),
                with_reload("It is called again after the next check. If this is wrong, correct [heartbeat]."),
            ) from error
