"""Linked devices in a fleet: what their phones list, and what becomes of messages when a worker is ended."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wafleet.clientlib import Unusable, find

try:
    find()
except Unusable as missing:
    pytest.skip(str(missing), allow_module_level=True)

from tests.emulator.rig import emulating
from tests.live.rig import Rig, open_rig, service, until
from tests.transports.device.parts import device

from wafleet.accounts import Accounts
from wafleet.accounts.live import keys_store, linker
from wafleet.domain.ids import AccountId
from wafleet.emulator.server import Emulator
from wafleet.engine.db import Db
from wafleet.tenants import Caller

PHONE = "+971500000001"
ONLINE = ("online", "")
CALLER = Caller.local("test")


@dataclass
class Fleet:
    """A node with linked devices, on an emulator in this process."""

    emulator: Emulator
    rig: Rig
    accounts: Accounts

    async def link(self, account: AccountId) -> None:
        self.scan(await self.code(account))
        await until(lambda: self.rig.state(account), lambda seen: seen == ONLINE, limit_s=30)

    async def code(self, account: AccountId) -> str:
        """Begin to link, and return the QR code."""
        await self.accounts.link(CALLER, account, again=True)

        async def shown() -> str:
            return (await self.accounts.pairing(CALLER, account)).qr

        return await until(shown, bool, limit_s=30)

    def scan(self, code: str) -> None:
        self.emulator.phones.scan(PHONE, code)

    async def listed(self) -> list[int]:
        """The devices that the phone lists, by number."""
        account = self.emulator.accounts.get(PHONE)
        return [one.number for one in account.linked] if account else []


@pytest.fixture
async def fleet(db: Db, dsn: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with emulating(tmp_path / "emulator") as emulator, open_rig(db, emulator.world) as rig:
        rig.device = device(tmp_path)
        await rig.start()
        yield Fleet(emulator, rig, await service(rig, dsn))


async def test_a_phone_lists_one_device_however_often_it_is_linked_and_none_after_unlinking_or_deleting(
    fleet: Fleet,
) -> None:
    account = await fleet.rig.account(PHONE, linked=False)
    await fleet.link(account)
    assert await fleet.listed() == [1]
    await fleet.link(account)
    await until(fleet.listed, lambda seen: seen == [2], limit_s=30)
    await fleet.accounts.unlink(CALLER, account)
    await until(fleet.listed, lambda seen: seen == [], limit_s=30)
    await fleet.link(account)
    assert await fleet.listed() == [3]
    await fleet.accounts.delete(CALLER, account)
    await until(fleet.listed, lambda seen: seen == [], limit_s=30)


async def test_the_keys_of_a_number_that_was_stopped_leave_this_disk_and_it_comes_back_without_a_code(
    fleet: Fleet,
) -> None:
    account = await fleet.rig.account(PHONE, linked=False)
    await fleet.link(account)
    (node,), keeps = fleet.rig.nodes, fleet.rig.device
    assert keeps is not None
    await fleet.accounts.disable(CALLER, account)

    async def left() -> bool:
        await node.live._tidying.turn()  # pyright: ignore[reportPrivateUsage]
        return account in keeps.left()

    assert account in keeps.left()
    await until(left, lambda here: not here)
    await fleet.accounts.enable(CALLER, account)
    await until(lambda: fleet.rig.state(account), lambda seen: seen == ONLINE, limit_s=30)
    assert await fleet.listed() == [1]


async def test_a_device_whose_keys_were_never_stored_stays_in_the_phones_list_and_hinders_nothing(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(linker, "_take_back", nothing)  # a node that is killed removes no device
    rig = fleet.rig
    account = await rig.account(PHONE, linked=False)
    code = await fleet.code(account)
    async with rig.db.fleet_tx() as tx:
        await tx.run("select 1 from accounts where id = %(id)s for update", id=account)  # nothing can be stored
        fleet.scan(code)
        await until(lambda: storing(rig), bool, limit_s=30)
        assert await fleet.listed() == [1]
        await rig.nodes.pop().kill()
    rig.device = device(tmp_path)
    await rig.start()
    await fleet.link(account)
    assert await fleet.listed() == [1, 2]


async def test_a_device_whose_keys_cannot_be_stored_is_removed_from_the_phone_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    async def too_late(*_: object, **__: object) -> bool:
        seen.append(await fleet.listed())
        return False

    monkeypatch.setattr(keys_store, "save_credentials", too_late)
    account = await fleet.rig.account(PHONE, linked=False)
    fleet.scan(await fleet.code(account))
    await until(fleet.listed, lambda listed: bool(seen) and not listed, limit_s=30)
    assert seen[0] == [1]


@pytest.mark.parametrize("kind", ["mute", "deaf"])
async def test_a_session_that_only_looks_alive_is_found_out_by_receipts_that_stay_away(fleet: Fleet, kind: str) -> None:
    rig = fleet.rig
    account = await rig.account(PHONE, linked=False)
    await fleet.link(account)
    rig.fault(PHONE, kind)
    for n in range(1, 4):
        await rig.put(account, "is anybody there?", to=f"+44770090000{n}")

    async def reasons() -> list[str]:
        if kind == "mute":  # its ears work
            rig.say(PHONE, "hello?", customer="+447700900009")
        async with rig.db.fleet_tx() as tx:
            return [
                row[0] for row in await tx.tuples("select data ->> 'reason' from events where account_id is not null")
            ]

    await until(reasons, lambda seen: "mute" in seen, limit_s=30)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE, limit_s=30)
    (message,) = await rig.put(account, "well again", to="+447700900004")
    await until(rig.messages, lambda seen: seen[message] in {"delivered", "read"}, limit_s=30)


async def storing(rig: Rig) -> bool:
    """Whether the keys of a phone that was linked wait to be stored."""
    async with rig.db.fleet_tx() as tx:
        sql = "select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return any(query.startswith("select from accounts") for (query,) in await tx.tuples(sql))
