"""All known ways in which nginx keeps its old configuration: the issuer reports why, and the next pass delivers.

Those that pass `nginx -t` let `nginx -s reload` exit with 0 as well (nginx 1.22 and 1.30).
"""

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from stand.certificates import make_server_certificate
from stand.host import Host, running_host
from tests.integration.observed import (
    assert_next_pass_only_delivers,
    error_of,
    outcomes,
    passes_test,
    reconfigure,
    served_unverified,
    version,
    workers,
)

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"
ZONE: Final = "limit_req_zone $binary_remote_addr zone=one:1m rate=1000r/s;"


@contextmanager
def nothing_else(_host: Host, _folder: Path) -> Iterator[str]:
    yield ""


@contextmanager
def taken_port(_host: Host, _folder: Path) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


@contextmanager
def two_pairs(host: Host, folder: Path) -> Iterator[str]:
    for name in ("1", "2"):
        make_server_certificate(folder / name, ("other.example.org",))
    yield f"listen {host.https[0]}:{host.https[1]} ssl; server_name other.example.org;"


@contextmanager
def no_more_files(host: Host, _folder: Path) -> Iterator[str]:
    """Lower the limit of the running master; `nginx -t` is a separate process."""
    pid = host.nginx.process.pid
    _, hard = before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in count() if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield ""
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@dataclass(frozen=True)
class Fault:
    """An addition to the http block, and nginx's message about it; `{around}` is the value that `around` yields.

    `before` replaces it when nginx starts.
    """

    in_http: str
    words: str
    passes_test: bool = False
    before: str = ""
    around: Callable[[Host, Path], AbstractContextManager[str]] = nothing_else


FAULTS: Final = {
    "unknown directive": Fault("lsiten 80;", 'unknown directive "lsiten"'),
    "missing certificate": Fault(
        "server {{ {around} ssl_certificate {folder}/no.pem; ssl_certificate_key {folder}/no.pem; }}",
        'cannot load certificate "{folder}/no.pem"',
        around=two_pairs,
    ),
    "mismatched pair": Fault(
        "server {{ {around} ssl_certificate {folder}/1/fullchain.pem; ssl_certificate_key {folder}/2/privkey.pem; }}",
        "key values mismatch",
        around=two_pairs,
    ),
    "missing log directory": Fault("access_log {folder}/none/a.log;", 'open() "{folder}/none/a.log" failed'),
    "upstream that does not resolve": Fault(
        "upstream other {{ server no-such-host.invalid; }}", 'host not found in upstream "no-such-host.invalid"'
    ),
    "taken port": Fault(
        "server {{ listen 127.0.0.1:{around}; }}", "bind() to 127.0.0.1:{around} failed", True, around=taken_port
    ),
    "zone with another key": Fault(
        ZONE.replace("$binary_remote_addr", "$uri"),
        'limit_req "one" uses the "$uri" key while previously',
        True,
        before=ZONE,
    ),
    "too many open files": Fault("", "(24: Too many open files)", True, around=no_more_files),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_refused_reload_is_reported_in_nginxs_words_and_the_next_pass_delivers(
    folder: Path, fault: Fault
) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        original = replace(host.nginx.settings, in_http=fault.before)
        await reconfigure(host.nginx, original)
        old, placeholder = workers(host.nginx), version(host.issuer, "web")
        was_served = await served_unverified(host, NAME)
        with fault.around(host, folder) as around:
            host.nginx.write(replace(original, in_http=fault.in_http.format(folder=folder, around=around)))
            assert await passes_test(host.nginx) is fault.passes_test
            finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        reported = error_of(finished, "web")
        assert fault.words.format(folder=folder, around=around) in reported
        assert reported.endswith("then run 'wellkeeper renew' again.")
        assert ("nginx did not load the new configuration" in reported) is fault.passes_test
        assert ("with the previous certificates too" in reported) is not fault.passes_test
        assert (workers(host.nginx), await served_unverified(host, NAME)) == (old, was_served)
        assert version(host.issuer, "web") != placeholder
        state = (await host.issuer.run_well("status")).out
        assert state.startswith("1 certificate: 1 failing\n")
        assert "; installed, nginx not reloaded yet" in state
        host.nginx.write(original)
        await assert_next_pass_only_delivers(host, NAME)
