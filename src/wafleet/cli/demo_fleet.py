"""Makes the demo's tenants and accounts, links them, and has agents answer their customers."""

import asyncio
import random
from pathlib import Path
from uuid import UUID

import structlog

from wafleet.accounts import Account, Fields
from wafleet.app import App
from wafleet.cli.demo_world import BROKERS, DEVICES, GRILL, MANAGER, NUMBERS, POOL, REPLIES, phones
from wafleet.domain.account import State
from wafleet.domain.errors import WafleetError
from wafleet.domain.ids import AccountId
from wafleet.domain.message import Text
from wafleet.engine.db import DatabaseAway
from wafleet.inbox import Conversations, Narrow
from wafleet.simulator.control import Control, NotDone
from wafleet.tenants import Caller

log = structlog.get_logger(__name__)
AT_ONCE = 6  # accounts made at a time
LINK_S = 30.0  # for a phone of the demo to link


async def settle_in(app: App, accounts: int) -> list[Account]:
    """Make tenants and accounts where they are missing, and link those that are not linked."""
    caller, here = Caller.local("demo"), app.slices.accounts
    tenants = {name: await app.slices.tenants.ensure(caller, name) for name in (BROKERS, GRILL, POOL)}
    few = asyncio.Semaphore(AT_ONCE)

    async def settle(tenant: str, name: str, phone: str, role: str) -> Account:
        async with few:
            account = await here.find(caller, phone)
            if account is None:
                settings = {"commands": [MANAGER]}
                fields = Fields(name=name, phone=phone, transport="simulator", role=role, settings=settings)
                account = await here.create(caller, fields, tenant=tenants[tenant].id)
            if account.state in {State.NEW, State.LOGGED_OUT}:
                await here.link(caller, account.id)
            return account

    pool = [(POOL, f"Pool {phone[-4:]}", phone, "") for phone in phones(accounts)]
    return await asyncio.gather(*(settle(*one) for one in (*NUMBERS, *pool)))


async def settle_devices(app: App, folder: Path) -> None:
    """Make the demo's linked devices where they are missing, and be their phones: each scans the code it is shown."""
    caller, here = Caller.local("demo"), app.slices.accounts
    control = await Control.at(folder)
    try:
        for tenant, name, phone, role in DEVICES:
            account = await here.find(caller, phone)
            if account is None:
                owner = await app.slices.tenants.ensure(caller, tenant)
                fields = Fields(name=name, phone=phone, transport="device", role=role, settings={"commands": [MANAGER]})
                account = await here.create(caller, fields, tenant=owner.id)
            if account.state in {State.NEW, State.LOGGED_OUT}:
                await _link(app, control, account)
    except (WafleetError, NotDone, ConnectionError) as error:
        log.warning("demo_devices", error=str(error))
    finally:
        await control.close()


async def _link(app: App, control: Control, account: Account) -> None:
    caller, scanned = Caller.local("demo"), ""
    await app.slices.accounts.link(caller, account.id)
    deadline = asyncio.get_running_loop().time() + LINK_S
    while asyncio.get_running_loop().time() < deadline:
        shown = await app.slices.accounts.pairing(caller, account.id)
        if shown.state is not State.LINKING:
            return
        if shown.qr and shown.qr != scanned:
            scanned = shown.qr
            await control.scan(account.phone, qr=shown.qr)
        await asyncio.sleep(0.2)


class Agents:
    """People who answer what came in, now and then, so that the demo's lanes have something to do."""

    def __init__(self, app: App) -> None:
        self._app, self._caller = app, Caller.local("demo agents")
        self._conversations = Conversations(app.engine.db)
        self._names: dict[UUID, str] = {}

    async def run(self) -> None:
        """Answer until cancelled."""
        for name in (BROKERS, GRILL, POOL):
            self._names[(await self._app.slices.tenants.get(self._caller, name)).id] = name
        while True:
            await asyncio.sleep(random.uniform(0.3, 1.2))
            try:
                await self._answer_some()
            except (WafleetError, DatabaseAway) as error:
                log.info("demo_agents", error=str(error))

    async def _answer_some(self) -> None:
        unread = await self._conversations.list(self._caller, Narrow(unread=True), cursor=None, limit=12)
        for one in random.sample(unread.items, k=min(3, len(unread.items))):
            words = random.choice(REPLIES[self._names[one.tenant]])
            await self._app.slices.outbox.send(
                self._caller, to=one.identity, content=Text(words), account=AccountId(one.account)
            )
            await self._conversations.read(self._caller, one.id, up_to=None)
