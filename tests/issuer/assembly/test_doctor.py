"""The input of doctor's checks, and the list of checks."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user
from wellkeeper_issuer.assembly.doctor import CHECKS, SETTINGS_CHECK, examine, examine_cheaply
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.doctor.checks import Check, Network, NotCheckedError
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node.findings import Finding, Verdict

_SITE = "server { listen 80; server_name a.example; }"


def nginx(folder: Path, script: str) -> str:
    """Return settings with a program as nginx that runs this line, and counts its runs in `runs`."""
    path = folder / "nginx"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(0o755)
    return f"[nginx]\ncommand = ['{path}']"


async def seen(context: CheckContext) -> Sequence[Finding]:
    """Check nothing, and return what the context has."""
    configuration = await context.configuration()
    names = [one.arguments[0] for one in configuration.walk() if one.name == "server_name"]
    chosen = ", ".join(one.name for one in context.lineages)
    return [Finding("seen", Verdict.OK, chosen, f"{', '.join(names)} by {context.settings.state_dir.name}")]


def checks(count: int = 1) -> list[Check[CheckContext]]:
    return [Check(("seen",), seen)] * count


def test_ids_are_unique_and_in_kebab_case() -> None:
    ids = Counter(one for check in CHECKS for one in check.ids)
    assert [one for one, count in ids.items() if count > 1] == []
    assert [one for one in ids if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", one)] == []
    assert SETTINGS_CHECK in ids


def test_cheap_checks_need_no_network() -> None:
    cheap = [one for one in CHECKS if one.is_cheap]
    assert cheap
    assert [one.name for one in cheap if one.needs_network] == []


async def test_configuration_is_read_once_for_all_checks(program: Program) -> None:
    script = f"echo '# configuration file /etc/nginx.conf:'; echo 'http {{ {_SITE} }}'"
    program.configure("a.example", "b.example", more=nginx(program.folder, script))
    found = await examine(program.config, checks=checks(3))
    assert found == [Finding("seen", Verdict.OK, "a.example, b.example", "a.example by issuer")] * 3
    assert (program.folder / "runs").read_text() == "run\n"


async def test_only_chosen_certificates_are_given(program: Program) -> None:
    script = "echo '# configuration file /etc/nginx.conf:'"
    program.configure("a.example", "b.example", more=nginx(program.folder, script))
    (found,) = await examine(program.config, ["b.example"], checks())
    assert found.subject == "b.example"
    with pytest.raises(SettingsError, match=r"Did you mean b\.example"):
        await examine(program.config, ["b.exampel"], checks())


async def test_host_without_certificates_is_checked(program: Program) -> None:
    program.configure(more=nginx(program.folder, "echo '# configuration file /etc/nginx.conf:'"))
    (found,) = await examine(program.config, checks=checks())
    assert (found.verdict, found.subject) == (Verdict.OK, "")
    with pytest.raises(SettingsError, match="no certificates are configured"):
        await examine(program.config, ["a.example"], checks())


@pytest.mark.parametrize("text", ["ca = ", "read_backs = true", None], ids=["syntax", "key", "missing"])
async def test_unusable_settings_skip_the_checks_that_need_them(program: Program, text: str | None) -> None:
    program.config.parent.mkdir()
    if text is not None:
        program.config.write_text(text)

    async def needs_only_settings(context: CheckContext) -> Sequence[Finding]:
        return [Finding("never", Verdict.OK, "", str(context.settings))]

    async def needs_none(context: CheckContext) -> Sequence[Finding]:
        return [Finding("none", Verdict.FAIL, "", str(context.found.error))]

    all_checks = [*checks(), Check(("never",), needs_only_settings), Check(("none",), needs_none)]
    found = await examine(program.config, ["a.example"], all_checks)
    assert [(one.verdict, one.cause) for one in found[:2]] == [
        (Verdict.SKIPPED, "the settings cannot be used"),
        (Verdict.SKIPPED, "the settings cannot be used"),
    ]
    assert str(program.config) in found[2].cause


async def test_configuration_that_nginx_refuses_skips_the_checks_that_need_it(program: Program) -> None:
    program.configure("a.example", more=nginx(program.folder, "echo '[emerg] no'; exit 1"))
    (found,) = await examine(program.config, checks=checks())
    assert found == Finding("seen", Verdict.SKIPPED, "", "cannot read nginx's configuration ('nginx -T')")


async def test_other_users_than_root_get_the_advice_to_use_sudo(program: Program) -> None:
    program.folder.chmod(0o755)
    program.configure("a.example", more=nginx(program.folder, "exit 1"))
    with as_unprivileged_user():
        async with CheckContext.open(program.config, (), Network()) as context:
            with pytest.raises(NotCheckedError, match="run it with sudo"):
                await context.configuration()


async def _refused(_: CheckContext) -> Sequence[Finding]:
    words = "cannot read state.db: Permission denied"
    verdicts = (Verdict.FAIL, Verdict.SKIPPED, Verdict.WARN)
    return [Finding("a", one, "web", words, "Run it as root.") for one in verdicts]


async def _refused_settings(_: CheckContext) -> Sequence[Finding]:
    return [Finding(SETTINGS_CHECK, Verdict.FAIL, "", "cannot read issuer.toml: Permission denied", "Run it as root.")]


REFUSING = [Check(("a",), _refused), Check((SETTINGS_CHECK,), _refused_settings)]


async def test_refusals_are_skipped_for_users_without_the_issuers_rights(program: Program) -> None:
    program.folder.chmod(0o755)
    program.configure("a.example")
    with as_unprivileged_user():
        found = await examine(program.config, checks=REFUSING)
    assert found[:2] == [Finding("a", Verdict.SKIPPED, "web", "only root may do this; run it with sudo")] * 2
    assert [one.verdict for one in found[2:]] == [Verdict.WARN, Verdict.FAIL]


async def test_refusals_are_failures_for_the_owner_of_the_state(program: Program) -> None:
    program.folder.chmod(0o755)
    program.configure("a.example")
    program.state_dir.mkdir()
    os.chown(program.state_dir, UNPRIVILEGED_ID if os.geteuid() == 0 else -1, -1)
    with as_unprivileged_user():
        found = await examine(program.config, checks=REFUSING)
    assert [one.verdict for one in found] == [Verdict.FAIL, Verdict.SKIPPED, Verdict.WARN, Verdict.FAIL]


async def test_network_is_passed_on(program: Program) -> None:
    async def far(context: CheckContext) -> Sequence[Finding]:
        return [Finding("far", Verdict.OK, "", str(context.network.dns_servers))]

    program.configure("a.example")
    far_checks, servers = [Check(("far",), far, needs_network=True)], (("127.0.0.1", 53),)
    (online,) = await examine(program.config, checks=far_checks, network=Network(dns_servers=servers))
    (offline,) = await examine(program.config, checks=far_checks, network=Network(is_offline=True))
    assert (online.cause, offline.verdict) == (str(servers), Verdict.SKIPPED)


async def test_daemon_runs_only_the_cheap_checks(program: Program) -> None:
    program.configure("a.example", more="[nginx]\ncommand = ['false']")
    cheap = {id_ for one in CHECKS if one.is_cheap for id_ in one.ids}
    found = {one.check for one in await examine_cheaply(program.config)}
    assert found
    assert found <= cheap


async def test_route_is_not_predicted_on_a_host_that_is_no_node_of_the_settings(program: Program) -> None:
    script = f"echo '# configuration file /etc/nginx.conf:'; echo 'http {{ {_SITE} }}'"
    nodes = "[[nodes]]\nname = 'a'\nresponder = '203.0.113.1:8401'\nhttp_addresses = ['203.0.113.1:80']"
    program.configure("a.example", more=f"{nodes}\n{nginx(program.folder, script)}")
    routes = [one for one in CHECKS if "challenge-route" in one.ids]
    found = await examine(program.config, checks=routes, network=Network(is_offline=True))
    assert {(one.verdict, one.cause) for one in found} == {
        (Verdict.SKIPPED, "no node in the settings has an address of this host")
    }


@pytest.mark.parametrize(("nodes", "verdict"), [(1, Verdict.SKIPPED), (2, Verdict.FAIL)])
async def test_failure_to_reach_one_of_several_nodes_is_not_explained_by_this_host(
    program: Program, nodes: int, verdict: Verdict
) -> None:
    async def failing(_: CheckContext) -> Sequence[Finding]:
        return [Finding(one, Verdict.FAIL, "", "it is broken", "Fix it.") for one in ("nginx-process", "reach")]

    tables = [f"[[nodes]]\nname = 'n{number}'" for number in range(nodes)]
    program.configure("a.example", more="\n".join(tables))
    found = await examine(program.config, checks=[Check(("nginx-process", "reach"), failing)])
    assert [one.verdict for one in found] == [Verdict.FAIL, verdict]


@pytest.mark.parametrize(
    ("host", "nodes", "verdict"),
    [
        ("127.0.0.1", "", Verdict.OK),
        ("203.0.113.1", "", Verdict.SKIPPED),
        ("203.0.113.1", "[[nodes]]\nname = 'a'\nresponder = '203.0.113.1:1'\nhttp_addresses = []", Verdict.SKIPPED),
    ],
    ids=["here", "elsewhere", "no node is this host"],
)
async def test_upstream_is_judged_without_the_addresses_of_the_responder(
    program: Program, host: str, nodes: str, verdict: Verdict
) -> None:
    server = f"upstream wellkeeper_responder {{ server {host}:8402; }}"
    script = f"echo '# configuration file /etc/nginx.conf:'; echo 'http {{ {server} }}'"
    program.configure("a.example", more=f"{nodes}\n{nginx(program.folder, script)}")
    found = await examine(program.config, checks=[one for one in CHECKS if one.ids == ("upstream",)])
    assert [one.verdict for one in found] == [verdict]
