"""Our hook of dehydrated, with a program that plays wellkeeper-publish; tests/integration/test_clients.py has both."""

import os
import shutil
import subprocess
from pathlib import Path

from stand.acme_clients import HOOKS
from tests.responder.messages import OTHER_TOKEN, TOKEN


def test_withdrawal_that_fails_leaves_no_other_token_published(tmp_path: Path) -> None:
    program, called = tmp_path / "wellkeeper-publish", tmp_path / "called"
    program.write_text(f'#!/bin/sh\necho "$*" >> {called}\nexit 1\n')
    program.chmod(0o755)
    chain = ("a.example", TOKEN, "authorization", "b.example", OTHER_TOKEN, "authorization")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    finished = subprocess.run([HOOKS / "dehydrated", "clean_challenge", *chain], env=environment, check=False)
    assert finished.returncode == 0
    assert called.read_text().splitlines() == [f"--withdraw {TOKEN}", f"--withdraw {OTHER_TOKEN}"]


def test_hook_that_delivers_passes_other_events_to_the_one_that_publishes(tmp_path: Path) -> None:
    hooks = tmp_path / "wellkeeper"
    shutil.copytree(HOOKS.parent / "deliver", hooks / "deliver")
    command = (hooks / "deliver/dehydrated", "deploy_challenge", "a.example", TOKEN, "authorization")
    assert subprocess.run(command, check=False).returncode == 0  # there is none
    (hooks / "clients").mkdir()
    (hooks / "clients/dehydrated").write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/called\nexit 7\n')
    (hooks / "clients/dehydrated").chmod(0o755)
    assert subprocess.run(command, check=False).returncode == 7
    (tmp_path / "hook.sh").symlink_to(command[0])
    assert subprocess.run((tmp_path / "hook.sh", *command[1:]), check=False).returncode == 7
    assert (tmp_path / "called").read_text() == f"deploy_challenge a.example {TOKEN} authorization\n"
