"""Contract of `ports.Certificates`, for the directories on disk and the fake."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Installed, KeyType, Pair
from wellkeeper_node.ports import Certificates

PAIR: Final = FakeCa().pair(dns("a.example"))
NEXT: Final = FakeCa(NOW + timedelta(days=60)).pair(dns("a.example"), key_type=KeyType.ECDSA_P384)
KEYLESS: Final = replace(PAIR, certificate_key_pem=b"")


@pytest.fixture(params=["fake", "folders"])
def certificates(request: pytest.FixtureRequest, tmp_path: Path) -> Certificates:
    return FakeCertificates() if request.param == "fake" else CertificateFolders(tmp_path / "certificates")


async def install(certificates: Certificates, pair: Pair, lineage: str = "web") -> str:
    """Write the pair and make it live."""
    version = await certificates.write(lineage, pair)
    await certificates.switch(lineage, version)
    return version


def lose(certificates: Certificates, lineage: str, version: str) -> None:
    """Delete the files of a version, as an administrator might while tidying up."""
    if isinstance(certificates, FakeCertificates):
        del certificates.pairs[lineage][version]
    else:
        folder = Path(certificates.live_path(lineage)).resolve()
        assert folder.name == version
        shutil.rmtree(folder)


def fingerprint(pair: Pair) -> str:
    return public_keys.leaf_key_fingerprint(pair.chain_pem)


def test_live_path_is_below_live_and_ends_with_the_lineage(certificates: Certificates) -> None:
    assert Path(certificates.live_path("web")).parts[-2:] == ("live", "web")


def test_files_of_other_lineages_do_not_begin_like_those_of_this_one(certificates: Certificates) -> None:
    archive = Path(certificates.live_path("web")).parents[1].resolve() / "archive"
    begin_alike = [f"{archive}/{one}/v1/a.pem".startswith(certificates.own_prefixes("web")) for one in ("web", "web2")]
    assert begin_alike == [True, False]


async def test_unknown_lineage_has_nothing_installed(certificates: Certificates) -> None:
    assert await certificates.installed("web") is None
    assert await certificates.read_pair("web") is None
    assert await certificates.disowned_keys("web") == frozenset()
    assert await certificates.switch("web", None) is None


async def test_written_pair_is_not_live_until_the_switch(certificates: Certificates) -> None:
    version = await certificates.write("web", PAIR)
    assert await certificates.installed("web") is None
    assert await certificates.switch("web", version) is None
    assert await certificates.installed("web") == Installed(
        "web", version, reading.read_certificate(PAIR.chain_pem), has_key=True
    )
    assert await certificates.read_pair("web") == PAIR


async def test_equal_pair_keeps_its_version(certificates: Certificates) -> None:
    version = await certificates.write("web", PAIR)
    assert await certificates.write("web", PAIR) == version
    assert await asyncio.gather(*(certificates.write("web", PAIR) for _ in range(3))) == [version] * 3


async def test_different_line_endings_do_not_make_a_new_version(certificates: Certificates) -> None:
    version = await install(certificates, PAIR)
    foreign = Pair(*(pem.replace(b"\n", b"\r\n") for pem in (PAIR.certificate_key_pem, PAIR.chain_pem)))
    assert await certificates.write("web", foreign) == version
    assert await certificates.read_pair("web") == PAIR


async def test_writing_another_pair_keeps_the_live_one(certificates: Certificates) -> None:
    version = await install(certificates, PAIR)
    assert await certificates.write("web", NEXT) != version
    assert await certificates.read_pair("web") == PAIR


@pytest.mark.parametrize(("first", "second"), [(PAIR, KEYLESS), (KEYLESS, PAIR)], ids=["key first", "key last"])
async def test_certificate_with_and_without_its_key_are_two_versions(
    certificates: Certificates, first: Pair, second: Pair
) -> None:
    versions = [await install(certificates, pair) for pair in (first, second)]
    assert versions[0] != versions[1]
    assert [await certificates.write("web", pair) for pair in (first, second)] == versions
    for version, pair in zip(versions, (first, second), strict=True):
        await certificates.switch("web", version)
        assert await certificates.read_pair("web") == pair
        installed = await certificates.installed("web")
        assert installed is not None
        assert installed.has_key is bool(pair.certificate_key_pem)


REFUSED: Final = {
    "foreign key": replace(PAIR, certificate_key_pem=NEXT.certificate_key_pem),
    "key is not PEM": replace(PAIR, certificate_key_pem=b"key"),
    "chain is not PEM": replace(PAIR, chain_pem=b"chain"),
    "chain is not PEM, no key": Pair(b"", b"chain"),
    "no chain": replace(PAIR, chain_pem=b""),
}


@pytest.mark.parametrize("pair", REFUSED.values(), ids=REFUSED)
async def test_mismatched_pair_is_refused(certificates: Certificates, pair: Pair) -> None:
    version = await install(certificates, PAIR)
    with pytest.raises(InstallError, match="web"):
        await certificates.write("web", pair)
    assert await certificates.switch("web", version) == version
    assert await certificates.read_pair("web") == PAIR


async def test_switch_returns_the_previous_version(certificates: Certificates) -> None:
    one, two = [await certificates.write("web", pair) for pair in (PAIR, NEXT)]
    targets = (one, two, two, one, None, None, two)
    assert [await certificates.switch("web", version) for version in targets] == [None, one, two, two, one, None, None]
    assert await certificates.read_pair("web") == NEXT


async def test_switch_to_nothing_leaves_nothing_installed(certificates: Certificates) -> None:
    await install(certificates, PAIR)
    await certificates.switch("web", None)
    assert await certificates.installed("web") is None
    assert await certificates.read_pair("web") is None


@pytest.mark.parametrize("version", ["20200101T000000Z-00000000", "", "../web"], ids=["unknown", "empty", "path"])
async def test_switch_to_an_unknown_version_is_refused_and_changes_nothing(
    certificates: Certificates, version: str
) -> None:
    before = await install(certificates, PAIR)
    with pytest.raises(InstallError, match="does not have version"):
        await certificates.switch("web", version)
    assert await certificates.switch("web", before) == before
    assert await certificates.read_pair("web") == PAIR


async def test_switch_refuses_a_version_of_another_lineage(certificates: Certificates) -> None:
    version = await install(certificates, PAIR, "mail")
    with pytest.raises(InstallError, match="does not have version"):
        await certificates.switch("web", version)


async def test_lineages_are_independent(certificates: Certificates) -> None:
    for lineage, pair in (("web", PAIR), ("mail", NEXT)):
        await install(certificates, pair, lineage)
    await certificates.disown_key("web")
    await certificates.switch("web", None)
    assert await certificates.read_pair("mail") == NEXT
    assert await certificates.disowned_keys("mail") == frozenset()


async def test_live_version_with_missing_files_is_not_installed_until_it_is_written_again(
    certificates: Certificates,
) -> None:
    version = await install(certificates, PAIR)
    lose(certificates, "web", version)
    assert await certificates.installed("web") is None
    assert await certificates.read_pair("web") is None
    await certificates.disown_key("web")
    assert await certificates.disowned_keys("web") == frozenset()
    assert await install(certificates, PAIR) == version
    assert await certificates.read_pair("web") == PAIR


async def test_disowning_without_a_live_version_does_nothing(certificates: Certificates) -> None:
    await certificates.write("web", PAIR)
    await certificates.disown_key("web")
    assert await certificates.disowned_keys("web") == frozenset()


async def test_disowned_keys_stay_disowned_after_their_versions_are_gone(certificates: Certificates) -> None:
    for pair in (PAIR, NEXT):
        await install(certificates, pair)
        for _ in range(2):
            await certificates.disown_key("web")
    await certificates.switch("web", None)
    assert await certificates.disowned_keys("web") == {fingerprint(PAIR), fingerprint(NEXT)}


async def test_key_kept_elsewhere_can_be_disowned(certificates: Certificates) -> None:
    await install(certificates, KEYLESS)
    await certificates.disown_key("web")
    assert await certificates.disowned_keys("web") == {fingerprint(PAIR)}


def any_version(_installed: Installed) -> bool:
    return True


async def test_nothing_written_cannot_be_restored(certificates: Certificates) -> None:
    assert await certificates.restore("web", any_version) is None


async def test_newest_wanted_version_is_restored_when_the_live_one_is_damaged(certificates: Certificates) -> None:
    first = await install(certificates, PAIR)
    second = await install(certificates, NEXT)
    lose(certificates, "web", second)
    assert await certificates.restore("web", lambda one: not one.has_key) is None
    restored = await certificates.restore("web", any_version)
    assert restored == Installed("web", first, reading.read_certificate(PAIR.chain_pem), has_key=True)
    assert await certificates.read_pair("web") == PAIR


async def test_newest_version_is_restored_when_nothing_is_live(certificates: Certificates) -> None:
    await install(certificates, PAIR)
    newest = await install(certificates, NEXT)
    await certificates.switch("web", None)
    restored = await certificates.restore("web", any_version)
    assert restored is not None
    assert restored.version == newest


@pytest.mark.parametrize("mark", ["disowned", "revoked"])
async def test_disowned_or_revoked_version_is_not_restored(certificates: Certificates, mark: str) -> None:
    first = await install(certificates, PAIR)
    await install(certificates, NEXT)
    await (certificates.disown_key("web") if mark == "disowned" else certificates.mark_revoked("web"))
    await certificates.switch("web", None)
    restored = await certificates.restore("web", any_version)
    assert restored is not None
    assert restored.version == first


async def test_nothing_live_cannot_be_marked_revoked(certificates: Certificates) -> None:
    await certificates.write("web", PAIR)
    await certificates.mark_revoked("web")
    assert await certificates.restore("web", any_version) is not None


CALLS: Final[dict[str, Callable[[Certificates, str], Awaitable[object]]]] = {
    "write": lambda certificates, name: certificates.write(name, PAIR),
    "switch": lambda certificates, name: certificates.switch(name, None),
    "installed": lambda certificates, name: certificates.installed(name),
    "read_pair": lambda certificates, name: certificates.read_pair(name),
    "restore": lambda certificates, name: certificates.restore(name, any_version),
    "mark_revoked": lambda certificates, name: certificates.mark_revoked(name),
    "disown_key": lambda certificates, name: certificates.disown_key(name),
    "old_versions": lambda certificates, name: certificates.old_versions(name, NOW),
    "remove_versions": lambda certificates, name: certificates.remove_versions(name, ["v1"]),
    "prove": lambda certificates, name: certificates.prove(name),
    "disowned_keys": lambda certificates, name: certificates.disowned_keys(name),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_name_that_cannot_be_a_directory_is_refused(
    certificates: Certificates, call: Callable[[Certificates, str], Awaitable[object]]
) -> None:
    with pytest.raises(InstallError, match="is not a valid certificate name"):
        await call(certificates, "../web")


async def test_cancelled_write_keeps_the_live_pair_and_can_be_repeated(certificates: Certificates) -> None:
    await install(certificates, PAIR)
    await cancel(certificates.write("web", NEXT))
    assert await certificates.read_pair("web") == PAIR
    await install(certificates, NEXT)
    assert await certificates.read_pair("web") == NEXT


async def test_cancelled_switch_leaves_the_old_or_the_new_pair(certificates: Certificates) -> None:
    await install(certificates, PAIR)
    version = await certificates.write("web", NEXT)
    await cancel(certificates.switch("web", version))
    pair = await certificates.read_pair("web")
    assert pair in {PAIR, NEXT}
    for _ in range(3):
        assert await certificates.read_pair("web") == pair  # it does not change once the call has ended
    await certificates.switch("web", version)
    assert await certificates.read_pair("web") == NEXT


async def cancel(call: Awaitable[object]) -> None:
    """Cancel the call once it has started; accept a call that has already finished."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
