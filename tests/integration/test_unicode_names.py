"""A name in Unicode, from the settings to the served certificate."""

from pathlib import Path
from typing import Final

import pytest

from stand.host import running_host
from tests.integration.observed import installed, outcomes, served

pytestmark = pytest.mark.integration

WRITTEN: Final = "München.example.org"
KEPT: Final = "xn--mnchen-3ya.example.org"


async def test_name_in_unicode_is_obtained_served_and_shown_in_both_forms(folder: Path) -> None:
    async with running_host(folder, {KEPT: [WRITTEN]}) as host:
        finished = await host.issuer.run("renew", "--json", WRITTEN)
        assert outcomes(finished) == {KEPT: "served"}, finished
        assert await served(host, KEPT) == installed(host.issuer, KEPT)
        why = await host.issuer.run_well("why", WRITTEN)
        assert f"is configured for {KEPT} (münchen.example.org)." in why.out
