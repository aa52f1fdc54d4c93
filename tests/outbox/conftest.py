import pytest
from tests.outbox.lines import Line, new_line, new_tenant

from wafleet.engine.db import Db


@pytest.fixture
async def line(db: Db) -> Line:
    return await new_line(db, await new_tenant(db))
