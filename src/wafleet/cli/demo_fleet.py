"""Makes the demo's tenants and accounts, links them, and has agents answer their customers."""

import asyncio
import random
from uuid import UUID

import structlog

from wafleet.accounts import Account, Fields
from wafleet.app import App
from wafleet.cli.demo_world import BROKERS, GRILL, MANAGER, NUMBERS, POOL, REPLIES, phones
from wafleet.domain.account import State
from wafleet.domain.errors import WafleetError
from wafleet.domain.ids import AccountId
from wafleet.domain.message import Text
from wafleet.engine.db import DatabaseAway
from wafleet.inbox import Conversations, Narrow
from wafleet.tenants import Caller

log = structlog.get_logger(__name__)


async def settle_in(app: App, accounts: int) -> list[Account]:
    """Make tenants and accounts where they are missing, and link those that are not linked."""
    caller, here = Caller.local("demo"), app.slices.accounts
    tenants = {name: await app.slices.tenants.ensure(caller, name) for name in (BROKERS, GRILL, POOL)}
    pool = [(POOL, f"Pool {phone[-4:]}", phone, "") for phone in phones(accounts)]
    made: list[Account] = []
    for tenant, name, phone, role in (*NUMBERS, *pool):
        account = await here.find(caller, phone)
        if account is None:
            fields = Fields(name=name, phone=phone, transport="simulator", role=role, settings={"commands": [MANAGER]})
            account = await here.create(caller, fields, tenant=tenants[tenant].id)
        made.append(account)
    await asyncio.gather(*(_link(app, one) for one in made))
    return made


async def _link(app: App, account: Account) -> None:
    if account.state in {State.NEW, State.LOGGED_OUT}:
        try:
            await app.slices.accounts.link(Caller.local("demo"), account.id)
        except WafleetError as error:
            log.info("demo_link", account=str(account.id), error=str(error))


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
            await asyncio.sleep(random.uniform(0.3, 1.2))  # noqa: S311
            try:
                await self._answer_some()
            except (WafleetError, DatabaseAway) as error:
                log.info("demo_agents", error=str(error))

    async def _answer_some(self) -> None:
        unread = await self._conversations.list(self._caller, Narrow(unread=True), cursor=None, limit=12)
        for one in random.sample(unread.items, k=min(3, len(unread.items))):
            words = random.choice(REPLIES[self._names[one.tenant]])  # noqa: S311
            await self._app.slices.outbox.send(
                self._caller, to=one.identity, content=Text(words), account=AccountId(one.account)
            )
            await self._conversations.read(self._caller, one.id, up_to=None)
