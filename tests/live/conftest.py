from collections.abc import AsyncIterator

import pytest
from tests.live.rig import Rig, open_rig

from wafleet.engine.db import Db
from wafleet.simulator.manners import Manners
from wafleet.simulator.world import World

QUICK = Manners(
    login_s=(0.0, 0.01),
    answer_s=(0.0, 0.01),
    delivered_s=(0.01, 0.05),
    read_s=(0.01, 0.05),
    read_share=1.0,
    redeliver_s=0.5,
)


@pytest.fixture
async def rig(db: Db) -> AsyncIterator[Rig]:
    async with open_rig(db, World(seed=1, manners=QUICK)) as rig:
        yield rig
