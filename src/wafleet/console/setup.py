"""The last steps of a number at a provider: the address to enter there, and whether calls and credentials are right."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wafleet.accounts import Moved
from wafleet.console.needs import Door, Registrar, Setup
from wafleet.console.pages import SAFE, Pages, permitted, routes_of
from wafleet.tenants import Caller, Scope


class Setups:
    """Draws how far a number is; its checks alone are drawn anew while it is looked at."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def page(self, setup: Setup, *, title: str = "Set up", moved: Moved | None = None) -> Response:
        """Show all of it, and what moving it did if it has just been moved."""
        return self._pages.page("_setup.html", setup=setup, mark=_mark(setup), title=title, moved=moved)

    def checks(self, setup: Setup, *, seen: str = "") -> Response:
        """Show how it stands now; nothing where the page shows that already."""
        if seen == (mark := _mark(setup)):
            return Response(status_code=204, headers=dict(SAFE))
        return self._pages.page("_checks.html", setup=setup, mark=mark)


def router(*, door: Door, registrar: Registrar, pages: Pages, setups: Setups) -> APIRouter:
    """Routes of what a number at a provider still needs."""
    routes = APIRouter(prefix="/console/accounts/{account}", include_in_schema=False, route_class=routes_of(pages))
    looking, acting = permitted(door, Scope.READ), permitted(door, Scope.CONTROL)

    async def now(request: Request, caller: Caller, account: str) -> Setup:
        return await registrar.setup(caller, account, guess=str(request.base_url))

    @routes.get("/setup")
    async def shown(request: Request, account: str, caller: Annotated[Caller, Depends(looking)]) -> Response:
        return setups.page(await now(request, caller, account))

    @routes.get("/checks")
    async def again(
        request: Request, account: str, caller: Annotated[Caller, Depends(looking)], seen: str = ""
    ) -> Response:
        return setups.checks(await now(request, caller, account), seen=seen)

    @routes.post("/test")
    async def test(request: Request, account: str, caller: Annotated[Caller, Depends(acting)]) -> Response:
        await registrar.try_now(caller, account)
        return setups.checks(await now(request, caller, account))

    return routes


def _mark(setup: Setup) -> str:
    """Name what the checks show, so that a page that shows it already is told nothing."""
    shown = [f"{one.stage}|{one.sentence}|{one.remedy}|{one.at}" for one in setup.checks]
    return hashlib.sha256("\0".join([str(setup.links), str(setup.keyed), *shown]).encode()).hexdigest()[:16]
