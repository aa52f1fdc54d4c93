"""The dialog that links a phone: a fragment that asks for its successor once a second until linking has ended."""

import hashlib

from fastapi import APIRouter, Request
from starlette.responses import Response

from wafleet.console.needs import Desk, Door, LinkStep
from wafleet.console.pages import SAFE, Pages, routes_of
from wafleet.tenants.model import Caller, Scope

ENDED = frozenset({"linked", "expired", "cancelled", "refused", "failed"})


def router(*, door: Door, desk: Desk, pages: Pages) -> APIRouter:
    """Routes of the link dialog."""
    routes = APIRouter(prefix="/console/accounts/{account}/link", include_in_schema=False, route_class=routes_of(pages))
    looking, acting = door.may(Scope.READ), door.may(Scope.CONTROL)

    async def step(caller: Caller, account: str, seen: str = "") -> Response:
        link = await desk.link_step(caller, account)
        mark = _mark(link)
        if seen == mark:
            return Response(status_code=204, headers=dict(SAFE))
        return pages.page("_link.html", link=link, mark=mark, account=account, ended=link.stage in ENDED)

    @routes.post("")
    async def start_linking(request: Request, account: str) -> Response:
        caller = await acting(request)
        await desk.link(caller, account)
        return await step(caller, account)

    @routes.get("")
    async def linking(request: Request, account: str, seen: str = "") -> Response:
        return await step(await looking(request), account, seen)

    @routes.post("/cancel")
    async def cancel_linking(request: Request, account: str) -> Response:
        caller = await acting(request)
        await desk.cancel_link(caller, account)
        return await step(caller, account)

    return routes


def _mark(link: LinkStep) -> str:
    """Name what a step shows, so that a page that shows it already is told nothing."""
    shown = (link.stage, link.sentence, link.qr, link.code, str(link.expires_at))
    return hashlib.sha256("\0".join(shown).encode()).hexdigest()[:16]
