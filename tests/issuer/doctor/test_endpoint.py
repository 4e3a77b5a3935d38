"""The status endpoint: who answers where the settings want it."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from wellkeeper_client import services
from wellkeeper_issuer.doctor.endpoint import check_endpoint
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.asking import Answer
from wellkeeper_node.findings import Verdict

WHERE: Final = "127.0.0.1:9908"
OURS: Final = Answer(200, "wellkeeper")
AWAY: Final = DaemonError(f"no answer from {WHERE}", "Connection refused")
DAEMON: Final = {"settings_digest": "now", "endpoint_failure": None}
FAILED: Final = {"cause": "cannot listen", "fix": "Correct it."}
RELOAD: Final = "Run 'wellkeeper reload'."


@pytest.mark.parametrize(
    ("answer", "daemon", "verdict", "cause", "fix"),
    [
        pytest.param(OURS, DAEMON, Verdict.OK, f"the daemon answers at {WHERE}", "", id="ours"),
        pytest.param(OURS, None, Verdict.SKIPPED, "no daemon answers", "", id="no daemon"),
        pytest.param(
            AWAY,
            DAEMON,
            Verdict.FAIL,
            f"no answer from {WHERE}: Connection refused",
            services.sentence("restart", "wellkeeper"),
            id="nothing",
        ),
        pytest.param(
            AWAY,
            {"settings_digest": "then"},
            Verdict.FAIL,
            f"no answer from {WHERE}: Connection refused",
            RELOAD,
            id="new settings",
        ),
        pytest.param(
            OURS, {**DAEMON, "endpoint_failure": FAILED}, Verdict.FAIL, "cannot listen", "Correct it.", id="failure"
        ),
        pytest.param(
            Answer(404, "nginx"),
            DAEMON,
            Verdict.FAIL,
            f"another program answers at {WHERE}: HTTP 404, Server: nginx",
            f"Stop it, or correct listen under [web]. {RELOAD}",
            id="another program",
        ),
        pytest.param(
            Answer(200, ""),
            DAEMON,
            Verdict.FAIL,
            f"another program answers at {WHERE}: HTTP 200, Server: unnamed",
            f"Stop it, or correct listen under [web]. {RELOAD}",
            id="another program without a name",
        ),
    ],
)
async def test_finding_says_who_answers_and_what_to_do(
    answer: Answer | DaemonError, daemon: Mapping[str, Any] | None, verdict: Verdict, cause: str, fix: str
) -> None:
    (found,) = await check_endpoint(WHERE, answer, daemon, "now")
    assert (found.verdict, found.cause, found.fix) == (verdict, cause, fix)
