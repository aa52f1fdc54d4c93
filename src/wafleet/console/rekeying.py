"""Entering a number's credentials anew, where its provider refuses those that are stored."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wafleet.console.answering import refused, typed
from wafleet.console.forms import lacking, problem, read
from wafleet.console.needs import Door, Registrar, Setup
from wafleet.console.pages import Pages, permitted, routes_of
from wafleet.console.setup import Setups
from wafleet.console.ways import secrets_of
from wafleet.domain.errors import WafleetError
from wafleet.tenants import Caller, Scope


def router(*, door: Door, registrar: Registrar, pages: Pages, setups: Setups) -> APIRouter:
    """Routes that replace a number's credentials."""
    prefix = "/console/accounts/{account}/credentials"
    routes = APIRouter(prefix=prefix, include_in_schema=False, route_class=routes_of(pages))
    changing = permitted(door, Scope.ADMIN)

    async def now(request: Request, caller: Caller, account: str) -> Setup:
        return await registrar.setup(caller, account, guess=str(request.base_url))

    @routes.get("")
    async def form(request: Request, account: str, caller: Annotated[Caller, Depends(changing)]) -> Response:
        setup = await now(request, caller, account)
        return pages.page("_credentials.html", setup=setup, entries=secrets_of(setup.way.kind))

    @routes.post("")
    async def rekey(request: Request, account: str, caller: Annotated[Caller, Depends(changing)]) -> Response:
        entries = secrets_of((await now(request, caller, account)).way.kind)
        given = await typed(request)
        if missing := lacking(entries, given):
            return refused(pages, missing)
        try:
            await registrar.rekey(caller, account, read(entries, given))
        except WafleetError as error:
            return refused(pages, [problem(error, entries)])
        return setups.page(await now(request, caller, account))

    return routes
