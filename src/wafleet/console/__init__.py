"""The web console: pages over the services, live, without a build step."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wafleet.console import entrance, linking, overview
from wafleet.console.assets import PREFIX, Assets
from wafleet.console.cards import Card
from wafleet.console.desk import FleetDesk
from wafleet.console.live import Live
from wafleet.console.needs import Desk, Door, LinkStep
from wafleet.console.pages import Pages

__all__ = ["Card", "Desk", "Door", "FleetDesk", "LinkStep", "Live", "router"]


def router(*, door: Door, desk: Desk, live: Live) -> APIRouter:
    """Every page of the console under `/console`, its files, and `/`, which leads there."""
    assets = Assets()
    pages = Pages(assets)
    routes = APIRouter(include_in_schema=False)
    routes.include_router(entrance.router(door=door, pages=pages))
    routes.include_router(overview.router(door=door, desk=desk, live=live, pages=pages))
    routes.include_router(linking.router(door=door, desk=desk, pages=pages))

    @routes.get("/")
    async def home() -> Response:
        return RedirectResponse("/console", status_code=307)

    @routes.get(PREFIX + "/{version}/{name}")
    async def file(request: Request, version: str, name: str) -> Response:
        return assets.serve(request, version, name)

    return routes
