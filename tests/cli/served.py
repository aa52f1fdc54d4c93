"""A whole wafleet on a simulated network, answering on a port of this machine, as `wafleet up` would."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
from anyio.from_thread import BlockingPortal
from pydantic import SecretStr

from wafleet.app import App, open_app
from wafleet.cli.serving import _answering, _listening, _publish
from wafleet.client import Client
from wafleet.config import Settings, SimulatorSettings
from wafleet.simulator.world import World
from wafleet.tenants import Caller
from wafleet.transports.simulated import Simulated
from wafleet.transports.twilio import Twilio

ADMIN = Caller.local("test")
OFFICE, KITCHEN = "Sharq Brokers", "مطعم السعادة"
PASSWORD = "three plain words"
PUBLIC = "http://fleet.example.com"  # of https, sign-ins would refuse to travel over plain HTTP
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running wafleet and the network it talks to."""

    url: str
    token: str
    folder: Path
    app: App
    world: World
    portal: BlockingPortal

    def client(self) -> Client:
        return Client(self.url, self.token)

    def scan(self, phone: str) -> None:
        """Scan an account's QR code, as its phone would; waits until there is one."""
        until(lambda: self.portal.call(self._scanned, phone), "the code to be scanned")

    async def _scanned(self, phone: str) -> bool:
        try:
            self.world.linking.scan(phone)
        except Exception:
            return False
        return True

    def settled(self, phone: str) -> None:
        """Wait until an account is online."""
        with self.client() as client:
            until(lambda: client.account(phone).state == "online", f"{phone} to be online")


@asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncGenerator[tuple[App, World, str, str]]:
    """Serve until left; yields the app, the network, the URL and a token for everything."""
    world = World(seed=7)
    settings = Settings(
        database_url=dsn,
        data_dir=folder,
        admin_email="root@example.com",
        admin_password=SecretStr(PASSWORD),
        port=0,
        public_url=PUBLIC,
        simulator=SimulatorSettings(enabled=True),
    )
    twilio = Twilio(public_url=PUBLIC, http=httpx.AsyncClient(transport=httpx.MockTransport(_twilio)))
    async with (
        Simulated.within(world) as network,
        twilio,
        open_app(settings, transports={"simulator": network, "twilio": twilio}) as app,
    ):
        for name in (OFFICE, KITCHEN):
            await app.slices.tenants.create(ADMIN, name)
        with _listening("127.0.0.1", 0) as listener:
            async with _answering(app, listener) as url:
                address = await _publish(app, url)
                yield app, world, address.url, address.token


def _twilio(request: httpx.Request) -> httpx.Response:
    """Answer as a Twilio that takes every sender."""
    return httpx.Response(200, json={"sid": "XE1", "status": "ONLINE", "properties": {}})


def until(check: Callable[[], T], what: str, *, limit_s: float = 15) -> T:
    """Return the first true answer. Raises AssertionError when there is none in time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {limit_s} s for {what}")
