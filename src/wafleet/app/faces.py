"""What people, programs and networks touch, on top of the slices: the API, the console, the webhooks."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI

from wafleet import console
from wafleet.accounts import routes as accounts_routes
from wafleet.accounts import svg
from wafleet.api import HealthSources, HttpLimits, build_http, older_paths
from wafleet.api import simulator as simulator_routes
from wafleet.app.parts import Engine, Slices
from wafleet.clientlib import Unusable, find
from wafleet.config import Settings
from wafleet.engine.migrate import pending
from wafleet.inbox import HOOKS
from wafleet.inbox import routes as inbox_routes
from wafleet.media import routes as media_routes
from wafleet.outbox import routes as outbox_routes
from wafleet.tenants import routes as tenants_routes
from wafleet.transports.base import Transport
from wafleet.transports.calls import Calls

VERSION: Final = version("wafleet")


def build_faces(
    engine: Engine,
    slices: Slices,
    transports: Mapping[str, Transport],
    settings: Settings,
    stopping: asyncio.Event,
) -> FastAPI:
    """Put everything that answers requests into one application: routes, pages, webhooks, limits."""
    auth = slices.auth
    sources = HealthSources(
        db=engine.db,
        clock=engine.clock,
        node=engine.node.name,
        version=VERSION,
        accounts=slices.fleet.states,
        waiting=slices.fleet.waiting,
        current=lambda: _is_current(engine.dsn),
    )
    return build_http(
        auth=auth,
        health_sources=sources,
        routers=_routers(engine, slices, settings),
        pages=[
            media_routes.pages(slices.media),
            older_paths.router(slices.accounts, slices.tenants, auth),
            *([_console(engine, slices, transports, settings, stopping)] if settings.console.enabled else []),
        ],
        beside={HOOKS: slices.hooks},
        limits=HttpLimits(
            body_bytes=settings.api.body_limit_kb * 1024,
            upload_bytes=slices.media.most_bytes + media_routes.AROUND,
            requests_per_s=settings.api.per_token_per_second,
            burst=2 * settings.api.per_token_per_second,
        ),
        https=(settings.public_url or "").startswith("https"),
    )


def _routers(engine: Engine, slices: Slices, settings: Settings) -> list[APIRouter]:
    auth = slices.auth
    routers = [
        tenants_routes.router(slices.tenants, auth),
        accounts_routes.router(slices.accounts, slices.fleet, auth),
        accounts_routes.asks_router(slices.asks, slices.accounts, auth),
        accounts_routes.file_router(slices.fleet_files, auth),
        outbox_routes.router(slices.outbox, auth),
        inbox_routes.router(engine.db, auth, seen=slices.asks.tell_read, windows=slices.outbox.windows),
        media_routes.router(slices.media, auth),
    ]
    if settings.simulator.enabled:
        routers.append(simulator_routes.router(_simulator_folder(settings), auth))
    return routers


def _console(
    engine: Engine,
    slices: Slices,
    transports: Mapping[str, Transport],
    settings: Settings,
    stopping: asyncio.Event,
) -> APIRouter:
    desk = console.FleetDesk(
        accounts=slices.accounts,
        fleet=slices.fleet,
        tenants=slices.tenants,
        picture=svg,
        linkable={kind for kind, one in transports.items() if one.capabilities.linking},
    )
    reaches = {kind: _reach(kind, one, settings) for kind, one in transports.items()}
    registrar = console.FleetRegistrar(accounts=slices.accounts, tenants=slices.tenants, reaches=reaches)
    live = console.Live(desk.cards, clock=engine.clock, stopping=stopping)
    return console.router(door=slices.auth, desk=desk, registrar=registrar, live=live)


def _reach(kind: str, transport: Transport, settings: Settings) -> console.Reach:
    """Say what a person must know of a transport before adding a number to it."""
    return console.Reach(
        links=bool(transport.capabilities.linking),
        called=isinstance(transport, Calls),
        lacking=_lacking() if kind == "device" else "",
        placed=kind != "gateway" or settings.gateway.url is not None,
    )


def _lacking() -> str:
    try:
        find()
    except Unusable as error:
        return str(error)
    return ""


def _simulator_folder(settings: Settings) -> Path:
    return settings.simulator.folder or settings.data_dir / "simulator"


async def _is_current(dsn: str) -> bool:
    return not await pending(dsn)
