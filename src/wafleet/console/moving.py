"""Moving a number to another transport: what it means is said before, what it did afterwards."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wafleet.accounts import Fields
from wafleet.console.answering import refused, typed
from wafleet.console.desk import shown
from wafleet.console.forms import lacking, problem, read
from wafleet.console.needs import Door, Registrar
from wafleet.console.numbers import offered
from wafleet.console.pages import Pages, permitted, routes_of
from wafleet.console.setup import Setups
from wafleet.console.ways import entries_of, way_of
from wafleet.domain.errors import WafleetError
from wafleet.tenants import Caller, Scope


def router(*, door: Door, registrar: Registrar, pages: Pages, setups: Setups) -> APIRouter:
    """Routes that move a number."""
    prefix = "/console/accounts/{account}/move"
    routes = APIRouter(prefix=prefix, include_in_schema=False, route_class=routes_of(pages))
    moving = permitted(door, Scope.ADMIN)

    @routes.get("")
    async def choose(request: Request, account: str, caller: Annotated[Caller, Depends(moving)]) -> Response:
        setup = await registrar.setup(caller, account, guess=str(request.base_url))
        offers = registrar.offers(caller, but=setup.way.kind)
        return pages.page("_ways.html", offers=offers, at=f"/console/accounts/{setup.account}/move", moving=setup)

    @routes.get("/{kind}")
    async def form(account: str, kind: str, caller: Annotated[Caller, Depends(moving)]) -> Response:
        offer = offered(registrar, caller, kind)
        entries = entries_of(kind, platform=caller.platform, moving=True)
        told = await registrar.weigh(caller, account, kind)
        was, phone = way_of(told.was), shown(told.account.phone)
        return pages.page("_move.html", way=offer.way, entries=entries, told=told, was=was, phone=phone)

    @routes.post("/{kind}")
    async def move(request: Request, account: str, kind: str, caller: Annotated[Caller, Depends(moving)]) -> Response:
        offered(registrar, caller, kind)
        entries, given = entries_of(kind, platform=caller.platform, moving=True), await typed(request)
        if missing := lacking(entries, given):
            return refused(pages, missing)
        fields: Fields = {**read(entries, given), "transport": kind}
        try:
            moved = await registrar.move(caller, account, fields)
        except WafleetError as error:
            return refused(pages, [problem(error, entries)])
        setup = await registrar.setup(caller, account, guess=str(request.base_url))
        return setups.page(setup, title=f"Moved to {setup.way.label}", moved=moved)

    return routes
