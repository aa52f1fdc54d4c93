"""A console over a fleet in memory, asked over HTTP without a socket."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.console.fakes import FakeDesk, FakeDoor, app_of, busy_fleet

from wafleet.console import Live
from wafleet.engine.clock import ManualClock


@pytest.fixture
def desk() -> FakeDesk:
    desk = FakeDesk()
    desk.put(*busy_fleet())
    return desk


@pytest.fixture
def live(desk: FakeDesk, clock: ManualClock) -> Live:
    return Live(desk.cards, clock=clock, stopping=asyncio.Event())


@pytest.fixture
async def visitor(desk: FakeDesk, live: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has not signed in."""
    transport = httpx.ASGITransport(app_of(desk, FakeDoor(), live))
    async with httpx.AsyncClient(transport=transport, base_url="http://console.test") as client:
        yield client


@pytest.fixture
def ada(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """The administrator of the whole fleet."""
    visitor.cookies.set("wafleet", "ada@example.com")
    visitor.headers["X-CSRF-Token"] = "csrf-of-ada@example.com"
    return visitor


@pytest.fixture
def grill(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """A person of one tenant who may only look."""
    visitor.cookies.set("wafleet", "grill@example.com")
    visitor.headers["X-CSRF-Token"] = "csrf-of-grill@example.com"
    return visitor
