"""Rights of nginx's users: the master reads keys, the workers connect to the responder."""

import grp
import os
import pwd
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.node.certificates.test_access import OTHER_GROUP
from tests.node.doctor.dumps import FILE, configured
from tests.node.nginx.masters import ACCEPTING, FakeMaster, fake_master
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user, as_user, shared_folder
from wellkeeper_client import services
from wellkeeper_node.doctor.nginx_user import check_keys, check_reach
from wellkeeper_node.doctor.other_user import attempt_as
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.processes import Ids

USER = pwd.getpwuid(UNPRIVILEGED_ID).pw_name
GROUP = grp.getgrgid(UNPRIVILEGED_ID).gr_name
OWN = Ids(os.geteuid(), os.getegid(), tuple(os.getgroups()))


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_folder() as folder:
        yield folder


def control(master: FakeMaster) -> Control:
    return Control(master.command, master.pid_file)


@asynccontextmanager
async def master_of_another_user(folder: Path, group: int = UNPRIVILEGED_ID) -> AsyncIterator[FakeMaster]:
    with as_user(UNPRIVILEGED_ID, group):
        started = fake_master(folder)
        master = await started.__aenter__()
        await master.start_worker(ACCEPTING)
    try:
        yield master
    finally:
        await started.__aexit__(None, None, None)


def only(found: list[Finding]) -> Finding:
    (one,) = found
    return one


def asking(*addresses: str) -> Configuration:
    servers = " ".join(f"server {one};" for one in addresses)
    return configured(f"upstream wellkeeper_responder {{ {servers} }}")


def listening(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(path))
    found.listen()
    return found


async def test_master_of_root_can_read_every_key(folder: Path) -> None:
    async with fake_master(folder) as master:
        found = only(await check_keys(control(master), {}, None))
    assert (found.check, found.verdict) == ("nginx-keys", Verdict.OK)


@pytest.mark.root
async def test_key_that_the_master_cannot_read_is_named_with_the_setting(shared: Path) -> None:
    key, open_key = shared / "key.pem", shared / "open.pem"
    for path in (key, open_key):
        path.write_text("secret")
        path.chmod(0o600)
    open_key.chmod(0o644)
    paths = {"web": str(key), "open": str(open_key), "none": str(shared / "none.pem")}
    async with master_of_another_user(shared) as master:
        found = only(await check_keys(control(master), paths, None))
        again = only(await check_keys(control(master), paths, GROUP))
        others = only(await check_keys(control(master), {"open": str(open_key)}, None))
    assert (found.verdict, found.subject) == (Verdict.FAIL, "web")
    assert found.cause == f"nginx's master ({USER}) cannot read {key}: Permission denied"
    assert f'Set certificates_group = "{GROUP}" in the settings' in found.fix
    assert "wellkeeper renew" in found.fix
    assert (
        again.fix
        == f"Run 'wellkeeper renew'. A key that another group may read stays: give it to {GROUP} with 'chgrp'."
    )
    assert others.verdict is Verdict.OK


@pytest.mark.root
async def test_other_users_skip_what_only_root_can_try(shared: Path) -> None:
    (shared / "root").mkdir(mode=0o755)
    async with fake_master(shared / "root") as master:
        await master.start_worker(ACCEPTING)
        with as_unprivileged_user():
            reach = only(await check_reach(asking(f"unix:{shared}/s"), control(master)))
    assert (reach.verdict, reach.cause) == (Verdict.SKIPPED, "only root may do this; run it with sudo")
    async with master_of_another_user(shared) as master:
        with as_user(1, 1):
            keys = only(await check_keys(control(master), {}, None))
    assert keys.verdict is Verdict.SKIPPED


async def test_responder_that_the_workers_reach_is_ok(folder: Path) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        with listening(folder / "s"), socket.create_server(("127.0.0.1", 0)) as tcp:
            port = tcp.getsockname()[1]
            found = await check_reach(asking(f"unix:{folder}/s", f"127.0.0.1:{port}"), control(master))
    assert [one.verdict for one in found] == [Verdict.OK, Verdict.OK]
    assert found[0].check == "responder-reach"


async def test_responder_that_does_not_run_is_a_failure_at_the_line_of_its_server(folder: Path) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        found = only(await check_reach(asking(f"unix:{folder}/none"), control(master)))
    assert (found.verdict, found.place) == (Verdict.FAIL, f"{FILE}:2")
    assert found.cause.endswith(f"at unix:{folder}/none: No such file or directory")
    assert services.sentence("start", "wellkeeper-responder").removesuffix(".") in found.fix


@pytest.mark.root
async def test_socket_that_the_workers_may_not_use_is_a_failure(shared: Path) -> None:
    async with master_of_another_user(shared) as master:
        with listening(shared / "s"):
            (shared / "s").chmod(0o600)
            found = only(await check_reach(asking(f"unix:{shared}/s"), control(master)))
    assert (
        found.cause == f"nginx's workers ({USER}) cannot connect to the responder at unix:{shared}/s: Permission denied"
    )
    assert "--public-mode 0666" in found.fix


@pytest.mark.root
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o700), (UNPRIVILEGED_ID, 0o600)], ids=["root's", "their own"])
async def test_directory_that_the_workers_may_not_enter_is_named(shared: Path, owner: int, mode: int) -> None:
    (shared / "sockets").mkdir()
    async with master_of_another_user(shared) as master:
        with listening(shared / "sockets/s"):
            os.chown(shared / "sockets", owner, 0)
            (shared / "sockets").chmod(mode)
            found = only(await check_reach(asking(f"unix:{shared}/sockets/s"), control(master)))
    assert found.fix == f"Run 'chmod o+x {shared}/sockets': {USER} may not enter it."


async def test_everything_is_skipped_without_nginx_or_an_upstream(folder: Path) -> None:
    async with fake_master(folder) as master:
        given = control(master)
        assert only(await check_reach(configured(), given)).cause == "no upstream names the responder"
        assert only(await check_reach(asking("unix:/s"), given)).cause == "nginx has no workers"
        os.kill(master.process.pid, signal.SIGKILL)
        master.pid_file.unlink()
        assert only(await check_reach(asking("unix:/s"), given)).cause == "nginx was not found"
        assert only(await check_keys(given, {}, None)).cause == "nginx was not found"


async def test_files_are_tried_once_each_and_pipes_are_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    found = await attempt_as(OWN, "read", [f"{folder}/fifo", f"{folder}/none", f"{folder}/fifo"])
    assert found == {f"{folder}/fifo": "", f"{folder}/none": "No such file or directory"}


async def test_address_that_no_program_listens_at_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        port = tcp.getsockname()[1]
    assert await attempt_as(OWN, "connect", [f"127.0.0.1:{port}"]) == {f"127.0.0.1:{port}": "Connection refused"}


async def test_child_that_fails_is_reported_for_every_target() -> None:
    (words,) = (await attempt_as(OWN, "connect", ["host:not-a-port"])).values()
    assert words.startswith("it cannot be tried (")


@pytest.mark.root
async def test_group_without_a_name_is_named_by_its_number(shared: Path) -> None:
    key = shared / "key.pem"
    key.touch(mode=0o600)
    async with master_of_another_user(shared, OTHER_GROUP) as master:
        found = only(await check_keys(control(master), {"web": str(key)}, None))
    assert f'certificates_group = "{OTHER_GROUP}"' in found.fix
