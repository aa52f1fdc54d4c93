from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.outbox.lines import Line, new_line, new_tenant
from tests.outbox.offices import OTHER, PHONE, Office, new_account, new_client

from wafleet.app import open_app
from wafleet.config import Settings
from wafleet.engine.db import Db
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.world import World
from wafleet.transports.simulated import Simulated


@pytest.fixture
async def line(db: Db) -> Line:
    return await new_line(db, await new_tenant(db))


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    world = World(seed=1, manners=INSTANT)
    settings = Settings(data_dir=tmp_path, database_url=dsn)
    async with open_app(settings, transports={"simulator": Simulated.within(world)}) as app:
        first = await new_account(app, "Sharq", "Sales", PHONE, "sales")
        second = await new_account(app, "Sharq", "Reception", OTHER, "primary")
        foreign = await new_account(app, "Grill", "Grill", "+966551110001", "primary")
        async with await new_client(app, "Sharq") as http:
            yield Office(app, world, first, second, foreign, http)
