"""The dialog that links a phone: a fragment that asks for its successor once a second until linking has ended."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from wafleet.console.needs import Desk, Door, LinkStep
from wafleet.console.pages import SAFE, Pages, permitted, routes_of
from wafleet.tenants import Caller, Scope

UNDER_WAY = frozenset({"starting", "scan"})


def router(*, door: Door, desk: Desk, pages: Pages) -> APIRouter:
    """Routes of the link dialog."""
    routes = APIRouter(prefix="/console/accounts/{account}/link", include_in_schema=False, route_class=routes_of(pages))
    looking, acting = permitted(door, Scope.READ), permitted(door, Scope.CONTROL)

    async def step(caller: Caller, account: str, seen: str = "") -> Response:
        link = await desk.link_step(caller, account)
        return Response(status_code=204, headers=dict(SAFE)) if seen == _mark(link) else shown(link, account)

    def shown(link: LinkStep, account: str) -> Response:
        mark = _mark(link)
        return pages.page("_link.html", link=link, mark=mark, account=account, ended=link.stage not in UNDER_WAY)

    @routes.post("")
    async def start_linking(account: str, caller: Annotated[Caller, Depends(acting)]) -> Response:
        await desk.link(caller, account)
        return await step(caller, account)

    @routes.get("")
    async def linking(account: str, caller: Annotated[Caller, Depends(looking)], seen: str = "") -> Response:
        return await step(caller, account, seen)

    @routes.post("/cancel")
    async def cancel_linking(account: str, caller: Annotated[Caller, Depends(acting)]) -> Response:
        await desk.cancel_link(caller, account)
        return await step(caller, account)

    return routes


def _mark(link: LinkStep) -> str:
    """Name what a step shows, so that a page that shows it already is told nothing."""
    shown = (link.stage, link.sentence, link.qr, link.code, str(link.expires_at))
    return hashlib.sha256("\0".join(shown).encode()).hexdigest()[:16]
