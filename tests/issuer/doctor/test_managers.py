"""Other ACME clients for the same names."""

from collections.abc import Mapping

import pytest

from wellkeeper_issuer.doctor.managers import check_managers
from wellkeeper_issuer.outside.host.cron import CronLine
from wellkeeper_issuer.outside.host.other_clients import OtherLineage
from wellkeeper_node.findings import Finding, Verdict

CERTBOT = OtherLineage("certbot", "web", frozenset({"www.example.org", "old.example.org"}))
ACME_SH = OtherLineage("acme.sh", "www.example.org", frozenset({"www.example.org"}))
TIMER = {"certbot.timer": {"ActiveState": "active"}}
DEBIAN = "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && certbot -q renew"


async def found(
    other: OtherLineage, units: Mapping[str, Mapping[str, str]], *cron: str, is_systemd: bool = True
) -> list[Finding]:
    lines = [CronLine(f"/etc/cron.d/job:{number}", text) for number, text in enumerate(cron, 1)]
    return await check_managers(["www.example.org", "new.example.org"], [other], units, lines, is_systemd=is_systemd)


async def test_timer_of_certbot_for_one_of_our_names_is_named() -> None:
    (one,) = await found(CERTBOT, TIMER)
    assert (one.check, one.verdict, one.subject) == ("other-managers", Verdict.WARN, "www.example.org")
    assert one.cause == "certbot renews it, too (web, by certbot.timer)"
    assert one.fix.startswith("Run 'certbot delete --cert-name web'")


async def test_cron_job_of_acme_sh_is_named_with_its_line() -> None:
    (one,) = await found(ACME_SH, {}, '7 1 * * * "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh" > /dev/null')
    assert one.cause == "acme.sh renews it, too (www.example.org, by /etc/cron.d/job:1)"


async def test_job_of_debian_counts_without_systemd_only() -> None:
    assert [one.verdict for one in await found(CERTBOT, {}, DEBIAN)] == [Verdict.OK]
    assert [one.verdict for one in await found(CERTBOT, {}, DEBIAN, is_systemd=False)] == [Verdict.WARN]


@pytest.mark.parametrize(
    "line",
    [
        "0 1 * * * root tar cf /b.tar /etc/letsencrypt --exclude certbot.log",
        "0 1 * * * root tar cf /b.tar /opt/certbot renew",
        "0 1 * * * root certbot renew --dry-run",
        "0 1 * * * root certbot certificates >/var/log/certbot-renew.log",
        "0 1 * * * root /usr/local/sbin/backup # certbot renew",
    ],
    ids=["a file", "a directory", "a trial", "a report", "a comment"],
)
async def test_line_that_does_not_run_the_client_is_ok(line: str) -> None:
    assert [one.verdict for one in await found(CERTBOT, {}, line)] == [Verdict.OK]


async def test_script_that_is_named_after_renewals_counts() -> None:
    (one,) = await found(CERTBOT, {}, "0 1 * * * root /usr/local/sbin/certbot-renew.sh")
    assert one.cause == "certbot renews it, too (web, by /etc/cron.d/job:1)"


@pytest.mark.parametrize("units", [{}, {"certbot.timer": {"ActiveState": "inactive"}}])
async def test_client_that_does_not_run_is_ok(units: Mapping[str, Mapping[str, str]]) -> None:
    assert [one.verdict for one in await found(CERTBOT, units)] == [Verdict.OK]


async def test_client_for_other_names_is_ok() -> None:
    other = OtherLineage("certbot", "shop", frozenset({"shop.example.org"}))
    assert [one.verdict for one in await found(other, TIMER)] == [Verdict.OK]
