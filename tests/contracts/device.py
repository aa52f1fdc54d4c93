"""Linked devices: the real client library in its workers, linked to an emulator on the same world."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

from tests.contracts.subject import Subject
from tests.transports.heard import QUICK, Heard

from wafleet.config import DevicesSettings
from wafleet.emulator import messaging
from wafleet.emulator.parts import build
from wafleet.emulator.server import Emulator
from wafleet.simulator.world import World
from wafleet.transports.base import Number, Pairing
from wafleet.transports.device import session
from wafleet.transports.device.driver import Device

ANSWER_S = 2.0  # instead of half a minute


class DeviceSubject(Subject):
    capabilities = Device.capabilities
    patience_s = 20.0
    knows_what_never_left = False  # only in a session that goes on from the folder of the one before

    def __init__(self, world: World, transport: Device, emulator: Emulator, kept: dict[str, bytes]) -> None:
        super().__init__(world)
        self.transport, self._emulator, self.kept = transport, emulator, kept

    async def credentials(self, number: Number) -> bytes:
        heard = Heard()
        linking = asyncio.create_task(self.link(number, heard))
        await self.until(lambda: linking.done() or any(p.qr for p in heard.pairings))
        if heard.pairings:
            self.scan(number.phone, heard.pairings[-1])
        return await linking

    def scan(self, phone: str, shown: Pairing) -> None:
        self._emulator.phones.scan(phone, shown.qr)

    def file(self, content: bytes) -> str:
        return messaging.of(self._emulator).files.keep(content)


@asynccontextmanager
async def on_an_emulator() -> AsyncGenerator[Subject]:
    world = World(seed=1, manners=QUICK)
    kept: dict[str, bytes] = {}

    async def keep(content: bytes) -> str:
        name = sha256(content).hexdigest()
        kept[name] = content
        return name

    with tempfile.TemporaryDirectory(prefix="wafleet-contract-") as name, patch.object(session, "SEND_S", ANSWER_S):
        folder = Path(name)
        settings = DevicesSettings(emulator=folder / "network")
        async with build(world, folder / "network") as emulator:
            transport = Device(folder=folder / "devices", settings=settings, keep_media=keep)
            try:
                yield DeviceSubject(world, transport, emulator, kept)
            finally:
                await transport.close()
