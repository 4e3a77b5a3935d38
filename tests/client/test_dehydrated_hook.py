"""Our hook of dehydrated, with a program that plays wellkeeper-publish; tests/integration/test_clients.py has both."""

import os
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
