"""Agreement of status and passes on which certificates are due and why."""

from datetime import datetime, timedelta
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.fakes_deliver import NOW, dns
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.obtain.due import ISSUED, due, plan, replan
from wellkeeper_issuer.records import NoRenewalInfo, Origin, RenewalInfo, Schedule, Window
from wellkeeper_issuer.status.certificate_status import Rows, State, status
from wellkeeper_node.model import Certificate, Identifier, Installed

CAS: Final = ("https://ca.example/directory", "https://second.example/directory", "https://third.example/directory")
NAMES: Final = (dns("a.example"), dns("b.example"))
# Times around the certificates' dates, and moments at which something begins or ends.
TIMES: Final = st.integers(-10 * 24, 110 * 24).map(lambda hours: NOW + timedelta(hours=hours))
MOMENT, HOUR = timedelta(microseconds=1), timedelta(hours=1)
VERSIONS: Final = st.sampled_from(["v1", "v2"])
LINEAGES: Final = st.builds(
    Lineage,
    st.just("web"),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple),
    directory_urls=st.lists(st.sampled_from(CAS), max_size=2, unique=True).map(tuple),
    csr_path=st.sampled_from([None, "web.csr"]),
)
ATTEMPTS: Final = st.builds(
    Attempt,
    st.just("web"),
    st.sampled_from(CAS),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from([b"", b"key"]),
    st.just(b"csr"),
    chain_pem=st.sampled_from([None, b"chain"]),
)


@st.composite
def certificates(draw: st.DrawFn, *, is_self_signed: bool = False) -> Certificate:
    begin = draw(TIMES)
    end = begin + draw(st.sampled_from([timedelta(hours=1), timedelta(days=6), timedelta(days=90)]))
    names: list[Identifier] = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    return Certificate(frozenset(names), "1", "f" * 64, "Fake", begin, end, is_self_signed, certificate_id="a.b")


INSTALLED: Final = st.builds(
    Installed, st.just("web"), VERSIONS, st.booleans().flatmap(lambda is_own: certificates(is_self_signed=is_own))
)
WINDOWS: Final = st.builds(
    RenewalInfo, st.builds(lambda at, days: Window(at, at + timedelta(days=days)), TIMES, st.integers(-1, 9))
)
ANSWERS: Final = st.lists(st.one_of(WINDOWS, st.just(NoRenewalInfo("away")), st.none()), max_size=2)


@st.composite
def schedules(draw: st.DrawFn, installed: Installed | None) -> Schedule | None:
    """Return a possible schedule: none, that of an older version, or that of the installed one with a CA's window."""
    if installed is None or installed.certificate.is_self_signed or draw(st.booleans()):
        return draw(st.none() | st.builds(_schedule, certificates(), st.just("v0"), st.sampled_from(CAS)))
    schedule = _schedule(installed.certificate, installed.version, draw(st.sampled_from(["", *CAS])))
    for answer in draw(ANSWERS):
        schedule = replan(schedule, answer, draw(TIMES), lambda: 0.25)
    return schedule


def _moments(installed: Installed | None, schedule: Schedule | None) -> st.SearchStrategy[datetime]:
    """Return arbitrary moments and those around which the answer changes."""
    ends = [installed.certificate.not_after] if installed else []
    changes = ends + ([schedule.renew_at, schedule.renew_at, schedule.not_after] if schedule else [])
    around = st.sampled_from([timedelta(), -MOMENT, MOMENT, -HOUR, HOUR])
    near = [st.builds(lambda one, by: one + by, st.just(one), around) for one in changes]
    return st.one_of(TIMES, *near)


def _schedule(certificate: Certificate, version: str, directory_url: str) -> Schedule:
    return plan(Installed("web", version, certificate), Origin(directory_url, ""), NOW, lambda: 0.75)


@given(st.data(), LINEAGES)
@settings(max_examples=300, deadline=None, database=None)
def test_status_and_pass_agree(data: st.DataObject, lineage: Lineage) -> None:
    installed = data.draw(INSTALLED) if data.draw(st.integers(0, 9)) else None
    schedule = data.draw(schedules(installed))
    now = data.draw(_moments(installed, schedule))
    attempt = data.draw(st.none() | ATTEMPTS)
    rows = Rows(
        schedules={"web": schedule} if schedule else {},
        installed=frozenset({"web"} if installed else ()),
        under_way={"web": attempt.under_way} if attempt else {},
    )
    seen = status(lineage, installed.version if installed else None, rows, now)
    found = due(lineage, installed, schedule, now=now)
    event(f"{'due' if found else 'not due'}, {seen.state}")
    assert (seen.to_do == ISSUED) == _is_wanted(attempt, lineage)
    if seen.to_do == ISSUED:
        return
    if seen.schedule is not None or installed is None:
        assert (found.reason if found else None) == (seen.to_do if _is_for_a_ca(seen.to_do) else None)
    elif installed.certificate.is_self_signed:
        assert found is not None
        assert found.reason == seen.of_placeholder().to_do
    if seen.is_quiet:
        assert found is None, "what is called quiet, a pass leaves as it is"
    assert (seen.state is State.MISSING) == (installed is None)


def _is_wanted(attempt: Attempt | None, lineage: Lineage) -> bool:
    """Return True if the CA issued what the settings want, so that a pass installs it first."""
    if attempt is None or attempt.chain_pem is None:
        return False
    is_key_right = bool(attempt.certificate_key_pem) == (lineage.csr_path is None)
    are_names_right = frozenset(attempt.identifiers) == frozenset(lineage.identifiers)
    return is_key_right and are_names_right and attempt.directory_url in lineage.directory_urls


def _is_for_a_ca(to_do: str) -> bool:
    return to_do not in {"", "time to ask its CA for renewal info", "time to verify that nginx serves it"}
