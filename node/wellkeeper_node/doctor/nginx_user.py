"""Check what nginx's users may do: the master reads keys, and the workers connect to the responder."""

from collections.abc import Mapping
from typing import Final

from wellkeeper_client import services
from wellkeeper_node import rights
from wellkeeper_node.doctor import nginx_agent, workers
from wellkeeper_node.doctor.nginx_process import NOT_FOUND
from wellkeeper_node.doctor.other_user import attempt_as
from wellkeeper_node.doctor.upstream import server_addresses
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx import masters, processes, refusals
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.processes import Ids

KEYS: Final = "nginx-keys"
REACH: Final = "responder-reach"
_MISSING: Final = "No such file or directory"


async def check_keys(control: Control, key_paths: Mapping[str, str], group: str | None) -> list[Finding]:
    """Return `nginx-keys`: the master can read the keys (by certificate) if its user is not root.

    `group` is certificates_group. Keys that do not exist are left out.
    """
    if control.agent is not None:
        return nginx_agent.not_seen(KEYS)
    try:
        master = masters.find_master(control.pid_file, control.command)
    except ReloadError:
        return [_skipped(KEYS, NOT_FOUND)]
    ids = processes.ids_of(master)
    if ids is None or ids.user == 0:
        return [Finding(KEYS, Verdict.OK, "", "nginx's master is root")]
    if why := workers.why_not_tried(master, ids):
        return [_skipped(KEYS, why)]
    failed = await attempt_as(ids, "read", list(key_paths.values()))
    barred = {name: failed[path] for name, path in key_paths.items() if failed.get(path, "") not in {"", _MISSING}}
    user = rights.user_name(ids.user)
    if not barred:
        return [Finding(KEYS, Verdict.OK, "", f"nginx's master ({user}) can read the keys")]
    fix = _fix_of_keys(ids, group)
    return [
        Finding(KEYS, Verdict.FAIL, name, f"nginx's master ({user}) cannot read {key_paths[name]}: {words}", fix)
        for name, words in barred.items()
    ]


async def check_reach(configuration: Configuration, control: Control) -> list[Finding]:
    """Return `responder-reach`: nginx's workers, with their user and groups, can connect to the responder."""
    if control.agent is not None:
        return nginx_agent.not_seen(REACH)
    addresses = server_addresses(configuration)
    if not addresses:
        return [_skipped(REACH, "no upstream names the responder")]
    ids = workers.find_ids(control)
    if isinstance(ids, str):
        return [_skipped(REACH, ids)]
    failed = await attempt_as(ids, "connect", list(addresses))
    return [_reached(ids, address, words, addresses[address]) for address, words in failed.items()]


def _reached(ids: Ids, address: str, words: str, place: str) -> Finding:
    user = rights.user_name(ids.user)
    if not words:
        return Finding(REACH, Verdict.OK, "", f"nginx's workers ({user}) can connect to {address}")
    cause = f"nginx's workers ({user}) cannot connect to the responder at {address}: {words}"
    return Finding(REACH, Verdict.FAIL, "", cause, _fix_of_reach(ids, address, words), place)


def _fix_of_reach(ids: Ids, address: str, words: str) -> str:
    if words != workers.REFUSED or not address.startswith("unix:"):
        start = services.sentence("start", "wellkeeper-responder").removesuffix(".")
        return f"{start}, or correct that line to its --public address."
    if barred := workers.barred_folder(ids, address):
        return f"Run 'chmod o+x {barred}': {rights.user_name(ids.user)} may not enter it."
    return "Start wellkeeper-responder with '--public-mode 0666', or with a mode and group that the workers may use."


def _fix_of_keys(ids: Ids, group: str | None) -> str:
    wanted = refusals.group_name(ids)
    if group == wanted:
        return f"Run 'wellkeeper renew'. A key that another group may read stays: give it to {wanted} with 'chgrp'."
    return refusals.setting_of_group(wanted)


def _skipped(check: str, why: str) -> Finding:
    return Finding(check, Verdict.SKIPPED, "", why)
