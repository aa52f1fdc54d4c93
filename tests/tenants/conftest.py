import pytest
from tests.tenants.houses import House, build_house

from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db


@pytest.fixture
async def house(db: Db, clock: ManualClock) -> House:
    return await build_house(db, clock)
