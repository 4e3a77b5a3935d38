"""Output that cannot be written: renewals go on, and only commands that do nothing but report fail."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.issuer import Finished, Issuer
from stand.processes import PROGRAMS, search_path
from tests.integration.observed import installed, served
from tests.lost import Sink, sink

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
FULL: Final = "No space left on device"


async def run(
    issuer: Issuer,
    *arguments: str,
    out: int = asyncio.subprocess.PIPE,
    err: int = asyncio.subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    process = await asyncio.create_subprocess_exec(
        str(PROGRAMS / "wellkeeper"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env={"PATH": search_path(), "WELLKEEPER_CONFIG": str(issuer.config_path), "WELLKEEPER_OFFLINE": "1"}
        | dict(environment or {}),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(200):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    return Finished(await process.wait(), (output or b"").decode("latin-1"), (errors or b"").decode("latin-1"))


async def assert_renewed(host: Host, before: str) -> str:
    assert installed(host.issuer, "web") != before
    assert await served(host, NAME) == installed(host.issuer, "web")
    return installed(host.issuer, "web")


async def test_renewal_does_not_depend_on_standard_error(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        before = installed(host.issuer, "web")
        kinds: tuple[Sink, ...] = ("full", "closed pipe", "closed socket", "stuck pipe")
        for kind, options in zip(kinds, ([], ["-v"], ["--log-format", "json"], ["-v"]), strict=True):
            with sink(kind) as lost:
                finished = await run(host.issuer, "renew", "--force", *options, err=lost)
            assert (finished.exit_code, finished.out[:11]) == (0, "web: served"), kind
            before = await assert_renewed(host, before)


async def test_renewal_does_not_depend_on_standard_output_and_reports_elsewhere(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        before = installed(host.issuer, "web")
        with sink("full") as lost:
            finished = await run(host.issuer, "renew", "--force", out=lost)
        assert finished.exit_code == 0, finished
        assert "\nweb: served, valid until " in finished.err
        assert f"wellkeeper: cannot write to standard output: {FULL}\n" in finished.err
        before = await assert_renewed(host, before)
        for kind in ("closed pipe", "closed socket"):
            with sink(kind) as left:
                finished = await run(host.issuer, "renew", "--force", "-q", out=left)
            assert (finished.exit_code, finished.err) == (0, "")
            before = await assert_renewed(host, before)
        with sink("full") as lost:
            finished = await run(host.issuer, "renew", "--force", out=lost, err=lost)
        assert finished.exit_code == 0
        await assert_renewed(host, before)


@pytest.mark.parametrize(
    "command",
    ["status", "list", "why web", "status --json", "status --prometheus", "trust", "doctor", "completion zsh"],
)
async def test_report_that_cannot_be_written_is_a_failure(folder: Path, command: str) -> None:
    issuer = await configured(folder)
    with sink("full") as lost:
        finished = await run(issuer, *command.split(), out=lost)
        neither = await run(issuer, *command.split(), out=lost, err=lost)
    assert finished.exit_code == 1
    assert finished.err == f"wellkeeper: cannot write to standard output: {FULL}\n"
    assert neither.exit_code == 1
    with sink("closed pipe") as left:
        finished = await run(issuer, *command.split(), out=left)
    assert (finished.exit_code, finished.err) == (1, "")


async def test_mistake_keeps_its_exit_status_when_it_cannot_be_reported(folder: Path) -> None:
    issuer = await configured(folder)
    for kind in ("full", "closed pipe"):
        with sink(kind) as lost:
            assert (await run(issuer, "renew", "nope", err=lost)).exit_code == 2
            assert (await run(issuer, "status", "--nope", "--json", out=lost)).exit_code == 2


@pytest.mark.parametrize(
    "charset",
    [
        {"PYTHONIOENCODING": "iso-8859-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ISO-8859-1", "C", "POSIX"],
)
async def test_characters_that_the_locale_lacks_do_not_end_a_command(folder: Path, charset: dict[str, str]) -> None:
    issuer = await configured(folder, "xn--rhqv96g.example.org")
    for command in ("why web", "list", "certificate add --help", "renew -v", "renew --json -v", "why \N{SNOWMAN}"):
        finished = await run(issuer, *command.split(), environment=charset)
        assert "Error" not in finished.err, finished
        assert "Traceback" not in finished.err
    shown = await run(issuer, "list", environment={"PYTHONIOENCODING": "iso-8859-1"})
    assert "(\\u4e16\\u754c.example.org)" in shown.out


@pytest.mark.parametrize("kind", ["full", "closed socket", "stuck pipe"])
async def test_daemon_renews_while_its_log_is_lost(folder: Path, kind: Sink) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        before = installed(host.issuer, "web")
        with sink(kind) as lost:
            daemon = await asyncio.create_subprocess_exec(
                str(PROGRAMS / "wellkeeper"),
                "run",
                stdout=lost,
                stderr=lost,
                env={"PATH": search_path(), "WELLKEEPER_CONFIG": str(host.issuer.config_path)},
                start_new_session=True,
            )
            try:
                await until(lambda: installed(host.issuer, "web") != before)
                renewed = await host.issuer.run("renew", "--force", "--json")
                assert renewed.exit_code == 0, renewed
                await assert_renewed(host, before)
                daemon.terminate()
                assert await asyncio.wait_for(daemon.wait(), 120) == 0
            finally:
                if daemon.returncode is None:
                    os.killpg(daemon.pid, signal.SIGKILL)
                    await daemon.wait()


async def configured(folder: Path, name: str = NAME) -> Issuer:
    """An issuer with keys and a CA that is away."""
    issuer = Issuer(folder)
    issuer.config_path.parent.mkdir()
    issuer.config_path.write_text(
        "ca = 'https://127.0.0.1:1/dir'\nterms_of_service_agreed = true\n"
        f"state_dir = '{issuer.state_dir}'\ncertificates_dir = '{issuer.certificates_dir}'\n"
        f"[[certificates]]\nname = 'web'\nidentifiers = ['{name}']\n"
    )
    await issuer.run_well("init")
    return issuer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(150):
        while not condition():  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.05)
