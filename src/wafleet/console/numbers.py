"""Adding a number: a way to WhatsApp is chosen, its form filled in, its provider told where to call."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wafleet.accounts import Fields
from wafleet.console.answering import refused, typed
from wafleet.console.forms import TENANT, lacking, problem, read
from wafleet.console.needs import Door, Offer, Registrar
from wafleet.console.pages import SAFE, Pages, permitted, routes_of
from wafleet.console.setup import Setups
from wafleet.console.ways import entries_of
from wafleet.domain.errors import Conflict, NotFound, WafleetError
from wafleet.tenants import Caller, Scope


def router(*, door: Door, registrar: Registrar, pages: Pages, setups: Setups) -> APIRouter:
    """Routes that add a number."""
    routes = APIRouter(prefix="/console/numbers", include_in_schema=False, route_class=routes_of(pages))
    adding = permitted(door, Scope.ADMIN)

    @routes.get("/new")
    async def choose(caller: Annotated[Caller, Depends(adding)]) -> Response:
        return pages.page("_ways.html", offers=registrar.offers(caller), at="/console/numbers/new", moving=None)

    @routes.get("/new/{kind}")
    async def form(kind: str, caller: Annotated[Caller, Depends(adding)]) -> Response:
        offer = offered(registrar, caller, kind)
        entries = entries_of(kind, platform=caller.platform)
        return pages.page("_add.html", way=offer.way, entries=entries, tenants=await registrar.tenants(caller))

    @routes.post("/new/{kind}")
    async def add(request: Request, kind: str, caller: Annotated[Caller, Depends(adding)]) -> Response:
        offered(registrar, caller, kind)
        entries, given = entries_of(kind, platform=caller.platform), await typed(request)
        if missing := lacking(entries, given):
            return refused(pages, missing)
        try:
            fields = _fields(kind, read(entries, given), given)
            account = await registrar.add(
                caller, fields, tenant=given.get(TENANT, ""), new_tenant=given.get("new_tenant", "")
            )
        except WafleetError as error:
            return refused(pages, [problem(error, entries)])
        return await _after(request, caller, account)

    async def _after(request: Request, caller: Caller, account: str) -> Response:
        setup = await registrar.setup(caller, account, guess=str(request.base_url))
        if setup.called:
            return setups.page(setup, title="One step is left")
        headers = {"HX-Reswap": "none", "HX-Trigger": json.dumps({"link-phone": {"id": account}}), **SAFE}
        return Response(headers=headers)

    return routes


def offered(registrar: Registrar, caller: Caller, kind: str, *, but: str = "") -> Offer:
    """Return a way that may be taken. Raises NotFound, and Conflict with the reason why it cannot be."""
    found = next((one for one in registrar.offers(caller, but=but) if one.way.kind == kind), None)
    if found is None:
        raise NotFound("There is no such transport here")
    if found.why_not:
        raise Conflict(found.why_not)
    return found


def _fields(kind: str, fields: Fields, given: dict[str, str]) -> Fields:
    wanted = "enabled" in given or "may_wait" not in given
    return {**fields, "transport": kind, "enabled": wanted}
