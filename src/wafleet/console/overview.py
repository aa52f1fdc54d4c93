"""The Overview page, its live line, and the actions that need no dialog."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from wafleet.console.cards import embedded
from wafleet.console.live import Live
from wafleet.console.needs import Desk, Door, Registrar
from wafleet.console.pages import SAFE, Pages, permitted, routes_of
from wafleet.console.words import LOOKS, TRANSPORTS, UNAIDED
from wafleet.tenants import Caller, Scope

DONE = {
    "reconnect": "Reconnecting. Its state follows here.",
    "enable": "Enabled. It connects now.",
    "disable": "Disabled. Its messages wait until it is enabled again.",
}


def router(*, door: Door, desk: Desk, registrar: Registrar, live: Live, pages: Pages) -> APIRouter:
    """Routes of the Overview."""
    routes = APIRouter(prefix="/console", include_in_schema=False, route_class=routes_of(pages))

    looking, acting = permitted(door, Scope.READ), permitted(door, Scope.CONTROL)

    @routes.get("")
    async def overview(request: Request, caller: Annotated[Caller, Depends(looking)]) -> Response:
        fleet, mark = await live.view(caller)
        return pages.page(
            "overview.html",
            person=caller.actor.removeprefix("user:"),
            place=await desk.place(caller),
            csrf=door.csrf(request),
            fleet=embedded(fleet),
            mark=mark,
            admin=Scope.ADMIN in caller.scopes,
            words=_words(caller, registrar),
        )

    @routes.get("/signed-in", dependencies=[Depends(looking)])
    async def signed_in() -> Response:
        return Response(status_code=204, headers=dict(SAFE))

    @routes.get("/live")
    async def live_line(request: Request, caller: Annotated[Caller, Depends(looking)], seen: str = "") -> Response:
        frames = live.follow(caller, seen=request.headers.get("last-event-id") or seen)
        headers = {**SAFE, "X-Accel-Buffering": "no"}
        return StreamingResponse(frames, media_type="text/event-stream", headers=headers)

    def action(name: str, act: Callable[[Caller, str], Awaitable[None]]) -> None:
        @routes.post(f"/accounts/{{account}}/{name}")
        async def do(account: str, caller: Annotated[Caller, Depends(acting)]) -> Response:  # pyright: ignore[reportUnusedFunction]
            await act(caller, account)
            return pages.notice("good", DONE[name])

    action("reconnect", desk.reconnect)
    action("enable", desk.enable)
    action("disable", desk.disable)
    return routes


def _words(caller: Caller, registrar: Registrar) -> str:
    """What the page's scripts need besides the fleet: how states read, and what this caller may do."""
    admin = Scope.ADMIN in caller.scopes
    words = {
        "states": {str(state): look for state, look in LOOKS.items()},
        "transports": TRANSPORTS,
        "unaided": UNAIDED,
        "control": admin or Scope.CONTROL in caller.scopes,
        "admin": admin,
        "called": registrar.called,
        "several": len(registrar.offers(caller)) > 1,
    }
    return embedded(words)
