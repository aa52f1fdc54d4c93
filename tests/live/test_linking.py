"""Linking accounts anew, and what becomes of those whose linking fails."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from tests.live.rig import Rig, service, until

from wafleet.accounts import Accounts
from wafleet.accounts.live import keys_store
from wafleet.accounts.live import store as live_store
from wafleet.domain.account import State, explain
from wafleet.domain.ids import AccountId
from wafleet.engine.db import DatabaseAway, Tx
from wafleet.tenants import Caller
from wafleet.transports.base import OpenError
from wafleet.transports.simulated import Simulated

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
    seen = await accounts.pairing(CALLER, account)
    assert (seen.ended, seen.next_step) == ("passkey", explain("passkey").next_step)


@pytest.mark.parametrize("how", ["expired", "cancelled", "linked"])
async def test_how_linking_anew_ended_is_told_although_the_account_is_online_either_way(
    rig: Rig, accounts: Accounts, how: str
) -> None:
    account = await linked(rig)
    await accounts.link(CALLER, account, again=True)
    shown = await until(lambda: code(accounts, account), bool)
    assert (await accounts.pairing(CALLER, account)).ended == ""
    if how == "expired":
        async with rig.db.fleet_tx() as tx:
            await tx.run("update accounts set deadline_at = now() - interval '1 s'")
            assert await live_store.expire(tx) == [account]
    elif how == "cancelled":
        await accounts.cancel_link(CALLER, account)
    else:
        rig.world.linking.scan(PHONE, qr=shown)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    assert (await accounts.pairing(CALLER, account)).ended == {"linked": "linked"}.get(how, f"link_{how}")
    await accounts.link(CALLER, account, again=True)
    assert (await accounts.pairing(CALLER, account)).ended == ""


Save = Callable[..., Awaitable[bool]]


def saving(monkeypatch: pytest.MonkeyPatch, instead: Callable[[Save, Tx, Any], Awaitable[bool]]) -> None:
    save = keys_store.save_credentials

    async def changed(tx: Tx, **given: Any) -> bool:
        return await instead(save, tx, given)

    monkeypatch.setattr(keys_store, "save_credentials", changed)


@pytest.mark.parametrize("before_it_landed", [True, False])
async def test_keys_of_a_phone_that_was_linked_just_now_wait_for_a_database_that_is_away(
    rig: Rig, accounts: Accounts, monkeypatch: pytest.MonkeyPatch, before_it_landed: bool
) -> None:
    tries: list[bool] = []

    async def away_at_first(save: Save, tx: Tx, given: Any) -> bool:
        tries.append(True)
        if len(tries) > 1:
            return await save(tx, **given)
        if not before_it_landed:
            async with rig.db.fleet_tx() as landing:
                await save(landing, **given)
        raise DatabaseAway("restarting")

    saving(monkeypatch, away_at_first)
    account = await rig.account(PHONE, linked=False)
    await rig.start()
    await until(lambda: code(accounts, account), bool)
    rig.world.linking.scan(PHONE)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    async with rig.db.fleet_tx() as tx:
        assert await tx.value("select count(*) from retired_credentials") == 0
        assert await tx.value("select count(*) from events where kind = 'account.linked'") == 1


async def test_a_phone_that_was_linked_while_the_lease_was_lost_lists_no_device(
    rig: Rig, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_late(save: Save, tx: Tx, given: Any) -> bool:
        return False

    saving(monkeypatch, too_late)
    account = await rig.account(PHONE, linked=False)
    await rig.start()
    await until(lambda: code(accounts, account), bool)
    rig.world.linking.scan(PHONE)

    async def listed() -> bool:
        return rig.world.account(PHONE).credentials is not None

    await until(listed, bool)
    await until(listed, lambda seen: not seen)


async def test_a_node_that_stops_before_it_could_store_the_keys_removes_the_device_again(
    rig: Rig, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []

    async def never(save: Save, tx: Tx, given: Any) -> bool:
        tries.append(True)
        raise DatabaseAway("it stays away")

    saving(monkeypatch, never)
    monkeypatch.setattr("wafleet.accounts.live.linker.STORE_LIMIT_S", 0.1)
    account = await rig.account(PHONE, linked=False)
    node = await rig.start()
    await until(lambda: code(accounts, account), bool)
    rig.world.linking.scan(PHONE)

    async def listed() -> bool:
        return rig.world.account(PHONE).credentials is not None

    async def tried() -> list[bool]:
        return tries

    await until(tried, bool)
    assert await listed()
    holdings = node.live.holdings
    await holdings._sessions.hand_over(holdings._held[account])  # pyright: ignore[reportPrivateUsage]
    assert not await listed()


@pytest.mark.parametrize("error", [OpenError("network", "the line broke"), RuntimeError("the line broke")])
@pytest.mark.parametrize("was_linked", [False, True])
async def test_linking_that_breaks_off_says_that_it_must_be_begun_again(
    rig: Rig, accounts: Accounts, monkeypatch: pytest.MonkeyPatch, error: Exception, was_linked: bool
) -> None:
    async def broken(*_: object) -> bytes:
        raise error

    account = await linked(rig) if was_linked else await rig.account(PHONE, linked=False)
    monkeypatch.setattr(Simulated, "link", broken)
    if not was_linked:
        await rig.start()
    await accounts.link(CALLER, account, again=True)
    if was_linked:
        await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    else:
        await until(lambda: rig.state(account), lambda seen: seen == ("new", "link_broken"))
        assert "the line broke" in (await accounts.get(CALLER, account)).detail
    seen = await accounts.pairing(CALLER, account)
    assert (seen.ended, "the line broke" in seen.detail) == ("link_broken", True)
    assert explain("link_broken").next_step == "Look at the detail, then link it again."


async def test_a_deleted_account_is_removed_from_its_phone(rig: Rig, accounts: Accounts) -> None:
    account = await linked(rig)
    await accounts.delete(CALLER, account)

    async def on_the_phone() -> bool:
        return rig.world.account(PHONE).credentials is not None

    async def held() -> bool:
        return account in rig.nodes[0].live.holdings._held  # pyright: ignore[reportPrivateUsage]

    await until(on_the_phone, lambda seen: not seen)
    await until(held, lambda seen: not seen)
