"""The client of a relay that refuses a record: the issuer learns which and what to do, a node tries again."""

import pytest

from tests.node.records.test_relay import KEY, client, web1
from tests.relay.conftest import RunningRelay, running
from tests.relay.messages import STRANGER_KEY, signed
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import RecordRefusedError, UnavailableError

__all__ = ["running"]


async def test_record_that_the_relay_refuses_is_named_to_the_issuer_with_a_remedy(running: RunningRelay) -> None:
    async with client(running.issuer) as records:
        with pytest.raises(RecordRefusedError, match=r"refused bundle/www: .*'wellkeeper fleet listen' again"):
            await records.put(KEY, signed(by=STRANGER_KEY))
        with pytest.raises(RecordRefusedError, match=r"Restart wellkeeper-relay"):
            await records.put(KEY, b"x" * Kind.BUNDLE.longest + b"x")


async def test_refused_report_of_a_node_is_repeated(running: RunningRelay) -> None:
    async with client(*web1(running)) as records:
        with pytest.raises(UnavailableError, match="HTTP 401"):
            await records.put("report/web1", signed("report/web1", by=STRANGER_KEY))
