"""What logs accounts in: replaced as it changes, put away when unlinked, and never read along with the rest."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from tests.live.rig import KEY, Rig, service, until

from wafleet.accounts.live import keys_store
from wafleet.accounts.live.held import Held
from wafleet.domain.ids import AccountId
from wafleet.engine.db import Tx
from wafleet.engine.secrets import open_secrets
from wafleet.tenants import Caller

PHONE = "+971500000001"
ONLINE = ("online", "")


async def secret_of(rig: Rig, account: AccountId) -> bytes:
    async with rig.db.fleet_tx() as tx:
        stored = await tx.value("select credentials from accounts where id = %(id)s", id=account)
    return (await open_secrets(rig.db, KEY)).decrypt(stored, about=account.bytes)


async def changed_at(rig: Rig, account: AccountId) -> datetime:
    async with rig.db.fleet_tx() as tx:
        return await tx.value("select updated_at from accounts where id = %(id)s", id=account)


def held_by(rig: Rig, account: AccountId) -> Held:
    return rig.nodes[0].live.holdings._held[account]  # pyright: ignore[reportPrivateUsage]


async def test_credentials_that_change_with_use_replace_the_former_and_nobody_looks_at_the_account(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    before = await changed_at(rig, account)
    rig.world.sessions.rotate(rig.world.account(PHONE))
    newest = rig.world.account(PHONE).credentials
    await until(lambda: secret_of(rig, account), lambda seen: seen == newest)
    async with rig.db.fleet_tx() as tx:
        assert await tx.value("select count(*) from retired_credentials") == 0
    assert await changed_at(rig, account) == before


async def test_of_many_checkpoints_only_the_newest_counts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    write = keys_store.renew_credentials

    async def counted(tx: Tx, *, credentials: bytes, **more: Any) -> bool:
        writes.append(credentials)
        return await write(tx, credentials=credentials, **more)

    monkeypatch.setattr(keys_store, "renew_credentials", counted)
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    held, keyring = held_by(rig, account), node.live._keyring  # pyright: ignore[reportPrivateUsage]
    for n in range(200):
        keyring.renew(held, b"%d" % n * 100_000, transport="simulator")
    await keyring.settled(held)
    assert await secret_of(rig, account) == b"199" * 100_000
    async with rig.db.fleet_tx() as tx:
        packed = await tx.value("select pg_column_size(credentials) from accounts")
    assert len(writes) == 1
    assert packed > 300_000


async def test_a_checkpoint_of_a_node_that_lost_its_lease_does_not_land(rig: Rig) -> None:
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    before, held = await secret_of(rig, account), held_by(rig, account)
    async with rig.db.fleet_tx() as tx:
        await tx.run("update leases set epoch = epoch + 1 where name like 'account:%%'")
    keyring = node.live._keyring  # pyright: ignore[reportPrivateUsage]
    keyring.renew(held, b"late", transport="simulator")
    await keyring.settled(held)
    assert await secret_of(rig, account) == before


@pytest.mark.parametrize("how", ["link", "renew"])
async def test_keys_that_had_to_wait_while_the_lease_changed_hands_do_not_land(rig: Rig, how: str) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    before, held = await secret_of(rig, account), held_by(rig, account)
    late = {"link": keys_store.save_credentials, "renew": keys_store.renew_credentials}[how]

    async def stores() -> bool:
        async with rig.db.fleet_tx() as tx:
            return await late(tx, account=account, epoch=held.lease.epoch, transport="simulator", credentials=b"late")

    async def waits() -> bool:
        async with rig.db.fleet_tx() as tx:
            sql = "select wait_event_type from pg_stat_activity where datname = current_database()"
            return ("Lock",) in await tx.tuples(sql)

    async with rig.db.fleet_tx() as tx:
        await tx.run("select from accounts where id = %(id)s for update", id=account)
        storing = asyncio.create_task(stores())
        await until(waits, bool)
        async with rig.db.fleet_tx() as other:
            await other.run("update leases set epoch = epoch + 1 where name like 'account:%%'")
    assert not await storing
    assert await secret_of(rig, account) == before


async def test_an_unlinked_account_is_removed_from_its_phone_also_while_it_is_disabled(rig: Rig, dsn: str) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    accounts, caller = await service(rig, dsn), Caller.local("test")
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    await accounts.disable(caller, account)

    async def held() -> bool:
        return account in rig.nodes[0].live.holdings._held  # pyright: ignore[reportPrivateUsage]

    await until(held, lambda seen: not seen)
    assert rig.world.account(PHONE).credentials is not None
    after = await accounts.unlink(caller, account)
    assert (after.state, after.detail) == ("disabled", "It is being removed from the phone's list.")

    async def on_the_phone() -> bool:
        return rig.world.account(PHONE).credentials is not None

    await until(on_the_phone, lambda seen: not seen)

    async def detail() -> str:
        return (await accounts.get(caller, account)).detail

    await until(detail, lambda seen: seen == "")
    await until(held, lambda seen: not seen)


async def test_a_device_that_cannot_be_removed_in_time_is_left_to_a_person_and_that_is_said(rig: Rig, dsn: str) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    accounts, caller = await service(rig, dsn), Caller.local("test")
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    rig.fault("*", "restart", lasts=60)
    await accounts.unlink(caller, account)
    async with rig.db.fleet_tx() as tx:
        await tx.run("update accounts set remove_until = now()")
    await until(lambda: rig.state(account), lambda seen: seen == ("logged_out", "not_removed"))
    after = await accounts.get(caller, account)
    assert after.next_step == "On the phone: Linked devices, choose this device, Log out."
    assert "away" in after.detail
