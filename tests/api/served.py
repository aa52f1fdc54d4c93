"""A whole wafleet, served on a free port of this machine, with one tenant that works and one that must stay hidden."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import SecretStr
from tests.tenants.houses import ADMIN

from wafleet.app import App, open_app
from wafleet.config import Settings, SimulatorSettings
from wafleet.domain.ids import TenantId
from wafleet.simulator.world import World
from wafleet.tenants import Scope
from wafleet.transports.simulated import Simulated


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where it listens, and who may come in."""

    app: App
    url: str
    fleet: str  # tokens
    office: str
    kitchen: str


@asynccontextmanager
async def serve(dsn: str, folder: Path, world: World) -> AsyncGenerator[Served]:
    settings = Settings(
        data_dir=folder,
        database_url=dsn,
        admin_password=SecretStr("three plain words"),
        simulator=SimulatorSettings(enabled=False),
    )
    async with Simulated.within(world) as simulated, open_app(settings, transports={"simulator": simulated}) as app:
        tenants = app.slices.tenants
        office, kitchen = [await tenants.create(ADMIN, name) for name in ("Office", "Kitchen")]
        server = uvicorn.Server(uvicorn.Config(app.http, log_config=None, lifespan="off", ws="none"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            yield Served(
                app=app,
                url=f"http://127.0.0.1:{listening.getsockname()[1]}",
                fleet=await _token(app, None),
                office=await _token(app, office.id),
                kitchen=await _token(app, kitchen.id),
            )
            server.should_exit = True
            await serving


async def _token(app: App, tenant: TenantId | None) -> str:
    made = await app.slices.tenants.tokens.make(ADMIN, name="test", tenant=tenant, scopes=[*Scope])
    return made.secret
