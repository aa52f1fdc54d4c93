from collections.abc import AsyncIterator

import pytest
from tests.transports.heard import QUICK, Held, held

from wafleet.simulator.client import connect
from wafleet.simulator.server import serve
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports import unknown
from wafleet.transports.simulated import Simulated
from wafleet.transports.unknown import Unknown


@pytest.fixture(autouse=True)
def unknown_codes(monkeypatch: pytest.MonkeyPatch) -> Unknown:
    """What one test met is nobody else's."""
    codes = Unknown()
    monkeypatch.setattr(unknown, "CODES", codes)
    return codes


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=QUICK)


@pytest.fixture(params=["in this process", "over the wire"])
async def transport(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Simulated]:
    """The transport, with the world in this process, and with the local protocol between them."""
    if request.param == "in this process":
        async with Simulated.within(world, answer_s=1, open_s=3) as transport:
            yield transport
        return
    server = await serve(world, token="t")

    async def connected() -> Wire:
        return await connect("127.0.0.1", server.port, "t")

    async with Simulated(connected, answer_s=1, open_s=3) as transport:
        yield transport
    await server.close()


@pytest.fixture
async def one(world: World, transport: Simulated) -> Held:
    return await held(world, transport)
