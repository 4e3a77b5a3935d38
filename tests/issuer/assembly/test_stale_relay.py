"""A relay that has not been started again since the fleet key was switched."""

import asyncio

from tests.issuer.commands.conftest import Program, program
from tests.issuer.commands.relays import running_relay
from wellkeeper_issuer.assembly.key_holders import has_stale_relay
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.settings import read_settings

__all__ = ["program"]


def test_relay_is_stale_while_it_runs_with_the_keys_from_before_a_switch(program: Program) -> None:
    program.configure(more=f"[fleet]\nlisten = ['10.0.0.1:8404']\nrelay = 'unix:{program.folder}/issuer.sock'")
    settings, keys = read_settings(program.config), FleetKeys(program.state_dir)
    keys.make()
    assert not asyncio.run(has_stale_relay(settings))
    with running_relay(program.folder, *keys.trusted):
        assert not asyncio.run(has_stale_relay(settings))
        keys.switch()
        keys.make()
        assert asyncio.run(has_stale_relay(settings))
    with running_relay(program.folder, *keys.trusted):
        assert not asyncio.run(has_stale_relay(settings))
