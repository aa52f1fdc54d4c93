"""The simulated transport, with its network in this process and over the local protocol."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.contracts.subject import Subject
from tests.transports.heard import QUICK

from wafleet.simulator.client import connect
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.server import serve
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import Number, Pairing
from wafleet.transports.simulated import Simulated

TIMES = {"answer_s": 0.5, "open_s": 1.0}


class SimulatedSubject(Subject):
    capabilities = Simulated.capabilities

    def __init__(self, world: World, transport: Simulated) -> None:
        super().__init__(world)
        self.transport = transport

    async def credentials(self, number: Number) -> bytes:
        return self.world.link(number.phone)

    def scan(self, phone: str, shown: Pairing) -> None:
        self.world.linking.scan(phone)

    @classmethod
    def feels(cls, fault: str) -> bool:
        return not FAULTS[fault].devices and not FAULTS[fault].providers


@asynccontextmanager
async def within() -> AsyncGenerator[Subject]:
    world = World(seed=1, manners=QUICK)
    async with Simulated.within(world, **TIMES) as transport:
        yield SimulatedSubject(world, transport)


@asynccontextmanager
async def over_the_wire() -> AsyncGenerator[Subject]:
    world = World(seed=1, manners=QUICK)
    server = await serve(world, token="t")

    async def connected() -> Wire:
        return await connect("127.0.0.1", server.port, "t")

    async with Simulated(connected, **TIMES) as transport:
        yield SimulatedSubject(world, transport)
    await server.close()
