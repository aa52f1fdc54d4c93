"""The web console: pages over the services, live, without a build step."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wafleet.console import entrance, linking, moving, numbers, overview, rekeying, setup
from wafleet.console.assets import PREFIX, Assets
from wafleet.console.cards import Card
from wafleet.console.desk import FleetDesk
from wafleet.console.live import Live
from wafleet.console.needs import Desk, Door, LinkStep, Registrar
from wafleet.console.pages import Pages
from wafleet.console.registrar import FleetRegistrar, Reach

__all__ = ["Card", "Desk", "Door", "FleetDesk", "FleetRegistrar", "LinkStep", "Live", "Reach", "Registrar", "router"]


def router(*, door: Door, desk: Desk, registrar: Registrar, live: Live) -> APIRouter:
    """Every page of the console under `/console`, its files, and `/`, which leads there."""
    assets = Assets()
    pages = Pages(assets)
    setups = setup.Setups(pages)
    routes = APIRouter(include_in_schema=False)
    routes.include_router(entrance.router(door=door, pages=pages))
    routes.include_router(overview.router(door=door, desk=desk, registrar=registrar, live=live, pages=pages))
    routes.include_router(linking.router(door=door, desk=desk, pages=pages))
    for part in (numbers, setup, rekeying, moving):
        routes.include_router(part.router(door=door, registrar=registrar, pages=pages, setups=setups))

    @routes.get("/")
    async def home() -> Response:
        return RedirectResponse("/console", status_code=307)

    @routes.get(PREFIX + "/{version}/{name}")
    async def file(request: Request, version: str, name: str) -> Response:
        return assets.serve(request, version, name)

    return routes
