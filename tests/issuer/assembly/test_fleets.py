"""Deliveries that the fleet gets from the issuer's history."""

from pathlib import Path

from tests.fakes import FakeClock
from wellkeeper_issuer.assembly.fleets import delivered
from wellkeeper_node.happened import Author, Happened, What
from wellkeeper_node.history import HistoryFile


def test_deliveries_of_a_certificate_are_those_of_the_history(tmp_path: Path) -> None:
    clock = FakeClock()
    history = HistoryFile(tmp_path, lambda: Author("root", "wellkeeper run"), clock)
    for what, lineage in [
        (What.CERTIFICATE_DELIVERED, "web"),
        (What.CERTIFICATE_REFUSED, "web"),
        (What.CERTIFICATE_DELIVERED, "shop"),
    ]:
        history.add(Happened(what, lineage, {"node": "web2", "version": "2"}))
    assert delivered(tmp_path, "web") == [("web2", "2", clock.now())]
