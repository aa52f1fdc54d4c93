"""What an operator sees of a linked device when the network fails it: state, reason, next step, and that it heals."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wafleet.clientlib import Unusable, find

try:
    find()
except Unusable as missing:
    pytest.skip(str(missing), allow_module_level=True)

from tests.emulator.hurried import hurry
from tests.emulator.rig import emulating
from tests.live.rig import Rig, open_rig, service, until
from tests.transports.device.parts import device

from wafleet.accounts import Accounts
from wafleet.domain.account import REASONS
from wafleet.domain.ids import AccountId
from wafleet.emulator.server import Emulator
from wafleet.engine.db import Db
from wafleet.simulator.orders import StartFault
from wafleet.tenants import Caller
from wafleet.transports.device import linked, linking

PHONE, EVERYONE = "+971500000001", "*"
ONLINE = ("online", "")
CALLER = Caller.local("test")


@dataclass
class Shop:
    """One account on a node, and the network of its device."""

    emulator: Emulator
    rig: Rig
    accounts: Accounts
    account: AccountId

    async def link(self) -> None:
        self.emulator.phones.scan(PHONE, await self.shown())
        await self.stands(ONLINE)

    async def shown(self) -> str:
        """Begin to link, and return the QR code."""
        await self.accounts.link(CALLER, self.account, again=True)

        async def shown() -> str:
            return (await self.accounts.pairing(CALLER, self.account)).qr

        return await until(shown, bool, limit_s=30)

    def fault(self, kind: str, *, whom: str = PHONE, **how: float) -> None:
        self.emulator.world.start_fault(StartFault(whom, kind, **how))  # pyright: ignore[reportArgumentType]

    def end(self, kind: str, *, whom: str = PHONE) -> None:
        self.emulator.world.trouble.end(whom, kind)

    async def send(self, text: str) -> None:
        """Send a message, and wait until it was read."""
        (id,) = await self.rig.put(self.account, text)
        await until(self.rig.messages, lambda seen: seen[id] == "read", limit_s=20)

    async def noted(self) -> tuple[Any, Any]:
        """When the phone itself was seen last, and when a receipt came."""
        async with self.rig.db.fleet_tx() as tx:
            sql = "select phone_seen_at, last_receipt_at from activity where account_id = %(id)s"
            return tuple((await tx.tuples(sql, id=self.account))[0])

    async def stands(self, wanted: tuple[str, str]) -> None:
        await until(lambda: self.rig.state(self.account), lambda seen: seen == wanted, limit_s=30)

    async def stood(self) -> list[tuple[str, str]]:
        """Every state and reason that was told of it, oldest first."""
        async with self.rig.db.fleet_tx() as tx:
            rows = await tx.tuples("select data from events where kind = 'account.state' order by xid, seq")
        return [(row[0]["to"], row[0]["reason"]) for row in rows]


@pytest.fixture
async def shop(db: Db, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setattr(linked, "AWAY_S", 0.5)
    async with emulating(tmp_path / "emulator") as emulator, open_rig(db, emulator.world) as rig:
        hurry(emulator)
        rig.device = device(tmp_path)
        await rig.start()
        account = await rig.account(PHONE, linked=False)
        yield Shop(emulator, rig, await service(rig, dsn), account)


LONG = {"lasts": 600}
FAULTS = [
    ("disconnect", PHONE, LONG, ("offline", "network"), "it is tried again"),
    ("abort", PHONE, LONG, ("offline", "network"), "it is tried again"),
    ("restart", EVERYONE, LONG, ("offline", "network"), "it is tried again"),
    ("silent", PHONE, {}, ("degraded", "silent"), "the session is being restarted"),
    ("pings_muted", PHONE, {}, ("degraded", "silent"), "the session is being restarted"),
]


@pytest.mark.parametrize(("kind", "whom", "how", "seen", "step"), FAULTS, ids=[fault[0] for fault in FAULTS])
async def test_a_connection_that_fails_is_told_with_its_next_step_and_heals(
    shop: Shop, kind: str, whom: str, how: dict[str, float], seen: tuple[str, str], step: str
) -> None:
    await shop.link()
    shop.fault(kind, whom=whom, **how)
    await until(shop.stood, lambda told: seen in told, limit_s=20)
    assert step in REASONS[seen[1]].next_step
    if kind != "silent":  # the next login ends that
        shop.end(kind, whom=whom)
    await shop.stands(ONLINE)


@pytest.mark.parametrize("kind", ["slow_start", "refuse_start"])
async def test_a_start_that_takes_too_long_is_told_with_its_next_step_and_tried_again(shop: Shop, kind: str) -> None:
    await shop.link()
    shop.fault(kind)
    shop.fault("disconnect")
    await until(shop.stood, lambda told: ("offline", "connect_timeout") in told, limit_s=20)
    assert "it is tried again" in REASONS["connect_timeout"].next_step
    shop.end(kind)
    await shop.stands(ONLINE)


async def test_codes_that_run_out_are_told_with_their_next_step_and_new_ones_link(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "_LOOK_S", 0.2)
    shop.fault("qr_expiry", whom=EVERYONE, seconds=0.2)
    await shop.shown()
    await shop.stands(("new", "link_expired"))
    assert "Start linking again" in REASONS["link_expired"].next_step
    shop.end("qr_expiry", whom=EVERYONE)
    await shop.link()


async def test_a_phone_that_is_out_of_touch_leaves_its_device_online_and_is_not_seen(shop: Shop) -> None:
    await shop.link()
    shop.fault("phone_away")
    await shop.send("hello")
    _, first = await until(shop.noted, lambda seen: seen[1] is not None)
    async with shop.rig.db.fleet_tx() as tx:
        await tx.run("update activity set phone_seen_at = now() - interval '1 day'")
    long_ago, _ = await shop.noted()
    await shop.send("is the phone away?")
    seen, _ = await until(shop.noted, lambda seen: seen[1] > first)
    assert seen == long_ago
    assert await shop.rig.state(shop.account) == ONLINE
    shop.end("phone_away")
    await shop.send("is it back?")
    await until(shop.noted, lambda seen: seen[0] > long_ago)
