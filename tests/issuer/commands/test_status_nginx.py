"""The part of status about nginx, which is looked for now."""

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME


def test_nginx_is_looked_for_now(program: Program, nginx_table: str) -> None:
    program.configure(NAME, more=nginx_table)
    found = program.run("status", "--json").json()["nginx"]
    assert (found["way"], found["heartbeat_age_seconds"], found["problem"]) == ("local", None, None)
    assert f"\nnginx: reached on this host (process {found['master']})\n" in program.run("status").out


def test_agent_that_does_not_run_is_reported(program: Program) -> None:
    program.configure(NAME, more=f"nginx = {{ agent = '{program.state_dir}/agent' }}")
    found = program.run("status", "--json").json()["nginx"]
    assert (found["way"], found["master"]) == ("agent", None)
    shown = program.run("status")
    assert shown.exit_code == 0
    assert f"\nnginx: not reached through the agent beside it: {found['problem']}\n" in shown.out


def test_host_without_nginx_has_none_to_reach(program: Program) -> None:
    program.configure(more="local_node = false\n[fleet]\nlisten = ['127.0.0.1:8404']")
    assert "nginx" not in program.run("status").out
    assert program.run("status", "--json").json()["nginx"] is None
