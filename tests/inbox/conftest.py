"""Two tenants with an account each, and an inbox that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from tests.inbox.shops import Shop, open_shop

from wafleet.engine.db import Db
from wafleet.inbox.accept import Inbox


@pytest.fixture
async def shop(db: Db) -> Shop:
    return await open_shop(db, "Shop", "+966500000001")


@pytest.fixture
async def rival(db: Db) -> Shop:
    return await open_shop(db, "Rival", "+966500000002")


@pytest.fixture
def wakes() -> list[None]:
    """One item per wake-up."""
    return []


@pytest.fixture
async def inbox(db: Db, wakes: list[None]) -> AsyncIterator[Inbox]:
    inbox = Inbox(db, woken=lambda: wakes.append(None))
    running = asyncio.create_task(inbox.run())
    yield inbox
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
