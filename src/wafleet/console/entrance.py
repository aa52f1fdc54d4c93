"""Coming in and going out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from wafleet.console.needs import Door
from wafleet.console.pages import SAFE, SIGN_IN, Pages, routes_of
from wafleet.domain.errors import SignInNeeded, TooMany, WafleetError

HOME = "/console"


def router(*, door: Door, pages: Pages) -> APIRouter:
    """Routes of the sign-in page."""
    routes = APIRouter(include_in_schema=False, route_class=routes_of(pages))

    @routes.get("/sign-in")
    async def form(request: Request, next: str = HOME) -> Response:
        if await _is_in(door, request):
            return _away(inside(next))
        return pages.page("sign_in.html", next=inside(next), email="", trouble="", wait_s=0)

    @routes.post("/sign-in")
    async def sign_in(
        request: Request,
        email: Annotated[str, Form(max_length=320)] = "",
        password: Annotated[str, Form(max_length=1024)] = "",
        next: Annotated[str, Form(max_length=2000)] = HOME,
    ) -> Response:
        response = _away(inside(next))
        again = {"next": inside(next), "email": email}
        try:
            await door.sign_in(request, response, email=email.strip(), password=password)
        except SignInNeeded as wrong:
            return pages.page("sign_in.html", status=401, trouble=wrong.sentence, wait_s=0, **again)
        except TooMany as many:
            wait = max(1, round(many.retry_after_s))
            refused = pages.page("sign_in.html", status=429, trouble=many.sentence, wait_s=wait, **again)
            refused.headers["Retry-After"] = str(wait)
            return refused
        return response

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        response = _away(SIGN_IN)
        await door.sign_out(request, response)
        return response

    return routes


def inside(next: str) -> str:
    """Return where to go after signing in: only a page of this console, never another site."""
    plain = next.startswith(HOME) and next[len(HOME) : len(HOME) + 1] in ("", "/", "?") and "\\" not in next
    return next if plain and next.isprintable() and not next.startswith(SIGN_IN) else HOME


def _away(to: str) -> RedirectResponse:
    return RedirectResponse(to, status_code=303, headers=dict(SAFE))


async def _is_in(door: Door, request: Request) -> bool:
    try:
        await door.caller(request)
    except WafleetError:
        return False
    return True
