"""A node that leaves its fleet: nothing of the agent stays, and nothing goes that is not ours."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import manifest_of, message
from tests.relay.messages import FLEET_KEYS
from wellkeeper_client import services
from wellkeeper_node.agent.build import MANIFEST_FILE
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.leaving import alone, forget
from wellkeeper_node.agent.numbers import ReportNumbers
from wellkeeper_node.agent.pending import Pending
from wellkeeper_node.agent.report import Report
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.errors import FleetError, InstallError
from wellkeeper_node.model import Flip


async def test_all_that_an_agent_wrote_is_deleted(folder: Path) -> None:
    state = folder / "state"
    with alone(state):
        NodeKeys(state).make()
        await ReportNumbers(state, FakeClock(NOW)).next()
        await Pending(state, has_hook=True).record_flip(Flip("web", None, "b"))
        await StatusFile("web2", state).write(Shown(Report("1.2.3", 5.0), {}))
        ManifestFile(state / MANIFEST_FILE, FLEET_KEYS).take(message(manifest_of()))
    (state / ".status.json.tmp").touch()
    assert len(list(state.iterdir())) == 9
    assert forget(state, "web2") == ()
    assert not state.exists()
    assert forget(state, "web2") == ()


def test_what_others_put_there_stays(folder: Path) -> None:
    (folder / "notes").touch()
    NodeKeys(folder).make()
    assert forget(folder, "web2") == (folder / "notes",)
    assert [path.name for path in folder.iterdir()] == ["notes"]


def test_node_whose_agent_runs_does_not_leave(folder: Path) -> None:
    NodeKeys(folder).make()
    with alone(folder), pytest.raises(FleetError) as caught:
        forget(folder, "web2")
    assert caught.value.lines == (
        "cannot leave as web2",
        "wellkeeper-node is running here",
        services.sentence("stop", "wellkeeper-node"),
    )
    assert (folder / "signing_key.pem").exists()


def test_directory_that_cannot_be_deleted_is_an_error(folder: Path) -> None:
    (folder / "manifest.jws").mkdir()
    with pytest.raises(InstallError, match="Is a directory"):
        forget(folder, "web2")
