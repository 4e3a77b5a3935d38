"""Rollover of an account key: answers of the CA, and the keys on disk afterwards."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.pinned import pinned_to
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import AccountKey, account_thumbprint
from wellkeeper_issuer.outside.keys.rollover import abandon, roll_over
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import ERROR_PREFIX, Problem

CA = "https://ca.example/directory"
URL, OTHER_URL = "https://ca.example/account/1", "https://ca.example/account/2"


@dataclass
class FakeAccount:
    """An account at a CA that knows accounts by thumbprint; `answer` is its error after a keyChange, applied or not."""

    known: dict[str, str]
    takes: bool = True
    answer: OrderError | None = None
    asked: list[str] = field(default_factory=list)
    directory_url: str = CA
    ca_name: str = "a CA"

    async def changeable_url(self) -> str:
        return URL

    async def url_of(self, account_key: AccountKey) -> str | None:
        self.asked.append("whose")
        return self.known.get(account_thumbprint(account_key))

    async def change_key(self, following: AccountKey) -> None:
        self.asked.append("change")
        if self.takes:
            self.known[account_thumbprint(following)] = URL
        if self.answer:
            raise self.answer


@pytest.fixture
def accounts(folder: Path) -> AccountFolder:
    made = AccountFolder(folder / "issuer", (CA,))
    made.make_keys()
    return made


def present(accounts: AccountFolder) -> str:
    return account_thumbprint(accounts.account_key(CA))


async def test_new_key_replaces_the_old_one_after_the_ca_confirmed_it(accounts: AccountFolder) -> None:
    old = present(accounts)
    account = FakeAccount({old: URL})
    new = await roll_over(account, accounts, ())
    assert (present(accounts), accounts.next_account_key(CA)) == (new, None)
    assert new != old
    assert account.asked == ["whose", "change", "whose"]


async def test_ca_is_not_asked_before_every_responder_knows_the_new_key(
    accounts: AccountFolder, folder: Path, clock: FakeClock
) -> None:
    old = present(accounts)
    account = FakeAccount({old: URL})
    async with pinned_to([old], folder, clock) as client:
        with pytest.raises(PublishError, match=r"the responders of these nodes do not trust the new key: 'n1'"):
            await roll_over(account, accounts, [client])
    following = accounts.next_account_key(CA)
    assert following is not None
    assert (account.asked, present(accounts)) == (["whose"], old)
    async with pinned_to([old, account_thumbprint(following)], folder, clock) as client:
        assert await roll_over(account, accounts, [client]) == account_thumbprint(following)


async def test_unreachable_responder_does_not_count_as_knowing_the_key(
    accounts: AccountFolder, folder: Path, clock: FakeClock
) -> None:
    account = FakeAccount({present(accounts): URL})
    async with pinned_to([], folder, clock) as client:
        pass
    with pytest.raises(PublishError, match="cannot reach"):
        await roll_over(account, accounts, [client])
    await client.close()
    assert account.asked == ["whose"]


async def test_lost_reply_is_resolved_by_a_lookup(accounts: AccountFolder) -> None:
    account = FakeAccount({present(accounts): URL}, answer=OrderError("keyChange: no answer from the CA"))
    assert await roll_over(account, accounts, ()) == present(accounts)


async def test_refusal_leaves_the_old_key_in_use(accounts: AccountFolder) -> None:
    old = present(accounts)
    account = FakeAccount({old: URL}, takes=False, answer=OrderError("keyChange: the CA says malformed"))
    with pytest.raises(OrderError, match="the old key stays in use: keyChange: the CA says malformed"):
        await roll_over(account, accounts, ())
    assert present(accounts) == old


async def test_success_without_a_change_leaves_the_old_key_in_use(accounts: AccountFolder) -> None:
    old = present(accounts)
    with pytest.raises(
        OrderError, match="the old key stays in use: the CA accepted the new key, but has no account with it"
    ):
        await roll_over(FakeAccount({old: URL}, takes=False), accounts, ())
    assert present(accounts) == old


async def test_key_of_another_account_is_reported_with_the_file_to_remove(accounts: AccountFolder) -> None:
    old, following = present(accounts), accounts.make_next_account_key(CA)
    account = FakeAccount({old: URL, account_thumbprint(following): OTHER_URL})
    with pytest.raises(
        OrderError,
        match=rf"already has another account there \({OTHER_URL}\).*Run 'rm {accounts.next_key_path(CA)}', then",
    ):
        await roll_over(account, accounts, ())
    assert (account.asked, present(accounts)) == (["whose"], old)


async def test_interrupted_rollover_does_not_repeat_the_change(accounts: AccountFolder) -> None:
    following = account_thumbprint(accounts.make_next_account_key(CA))
    account = FakeAccount({following: URL})
    assert await roll_over(account, accounts, ()) == following == present(accounts)
    assert account.asked == ["whose"]


@pytest.mark.parametrize(
    "problem",
    [
        Problem(f"{ERROR_PREFIX}rejectedIdentifier", "The requested operation is not implemented", 501),
        Problem(f"{ERROR_PREFIX}unauthorized", "not offered", 403),
    ],
    ids=["step-ca", "serles"],
)
async def test_rollover_at_a_ca_that_cannot_change_keys_is_not_left_pending(
    accounts: AccountFolder, problem: Problem
) -> None:
    old = present(accounts)
    account = FakeAccount({old: URL}, takes=False, answer=OrderError("refused", str(problem), problem=problem))
    with pytest.raises(OrderError, match=r"This CA cannot change account keys, .* The rollover was abandoned\."):
        await roll_over(account, accounts, ())
    assert (present(accounts), accounts.next_account_key(CA)) == (old, None)


async def test_abandoned_rollover_deletes_the_next_key_and_keeps_the_present_one(accounts: AccountFolder) -> None:
    old = present(accounts)
    accounts.make_next_account_key(CA)
    account = FakeAccount({old: URL})
    assert [await abandon(account, accounts) for _ in range(2)] == [True, False]
    assert (present(accounts), accounts.next_account_key(CA), account.asked) == (old, None, ["whose"])


async def test_rollover_that_the_ca_completed_is_not_abandoned(accounts: AccountFolder) -> None:
    following = accounts.make_next_account_key(CA)
    account = FakeAccount({account_thumbprint(following): URL})
    with pytest.raises(
        OrderError, match=rf"has the account {URL} with the new key\. Run 'wellkeeper account rollover'"
    ):
        await abandon(account, accounts)
    assert accounts.next_account_key(CA) is not None
