"""Linking accounts anew, and what becomes of those whose linking fails."""

from uuid import UUID

import pytest
from tests.live.rig import Rig, service, until

from wafleet.accounts import Accounts
from wafleet.domain.account import State
from wafleet.domain.ids import AccountId
from wafleet.tenants import Caller

PHONE = "+971500000001"
ONLINE = ("online", "")
CALLER = Caller.local("test")


@pytest.fixture
async def accounts(rig: Rig, dsn: str) -> Accounts:
    return await service(rig, dsn)


async def code(accounts: Accounts, account: UUID) -> str:
    return (await accounts.pairing(CALLER, account)).qr


async def linked(rig: Rig) -> AccountId:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    return account


async def test_linking_that_is_begun_anew_shows_a_code_of_its_own_each_time(rig: Rig, accounts: Accounts) -> None:
    account, shown = await linked(rig), ""
    for _ in range(3):
        await accounts.link(CALLER, account, again=True)
        former, shown = shown, await until(lambda: code(accounts, account), bool)
        assert shown != former
    rig.world.linking.scan(PHONE, qr=shown)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)


async def test_what_an_earlier_attempt_comes_to_does_not_touch_the_next(rig: Rig, accounts: Accounts) -> None:
    account = await linked(rig)
    node = rig.nodes[0].live
    held, states = node.holdings._held[account], node._states  # pyright: ignore[reportPrivateUsage]
    await accounts.link(CALLER, account, again=True)
    first = await until(lambda: code(accounts, account), bool)
    await accounts.link(CALLER, account, again=True)
    assert not await states.move(held, State.LOGGED_OUT, "link_expired")
    assert not await states.move(held, State.ONLINE)
    second = await until(lambda: code(accounts, account), bool)
    assert second != first
    rig.world.linking.scan(PHONE, qr=second)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)


async def test_an_account_that_worked_goes_back_to_its_session_when_linking_anew_fails(
    rig: Rig, accounts: Accounts
) -> None:
    account = await linked(rig)
    rig.world.linking.passkey = True
    await accounts.link(CALLER, account, again=True)
    rig.world.linking.scan(PHONE, qr=await until(lambda: code(accounts, account), bool))
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)


async def test_a_deleted_account_is_removed_from_its_phone(rig: Rig, accounts: Accounts) -> None:
    account = await linked(rig)
    await accounts.delete(CALLER, account)

    async def on_the_phone() -> bool:
        return rig.world.account(PHONE).credentials is not None

    async def held() -> bool:
        return account in rig.nodes[0].live.holdings._held  # pyright: ignore[reportPrivateUsage]

    await until(on_the_phone, lambda seen: not seen)
    await until(held, lambda seen: not seen)
