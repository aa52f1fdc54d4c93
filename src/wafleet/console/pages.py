"""Templates, the headers that keep pages safe, and errors as pages or notices."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from wafleet.console.assets import Assets
from wafleet.console.needs import Door
from wafleet.domain.errors import SignInNeeded, Unavailable, WafleetError
from wafleet.engine.db import DatabaseAway
from wafleet.tenants import Caller, Scope

SIGN_IN: Final = "/sign-in"
SAFE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Pages:
    """Renders templates; every name a person chose is escaped."""

    def __init__(self, assets: Assets) -> None:
        self._env = Environment(
            loader=PackageLoader("wafleet.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.globals["asset"] = assets.url  # pyright: ignore[reportArgumentType]

    def page(self, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        text = self._env.get_template(template).render(values)
        return HTMLResponse(text, status_code=status, headers=dict(SAFE))

    def notice(self, tone: str, sentence: str, *, status: int = 200) -> HTMLResponse:
        """A fragment for the corner of the page where news appears."""
        return self.page("_notice.html", status=status, tone=tone, sentence=sentence)


def permitted(door: Door, scope: Scope) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """Return a dependency: the caller of a page, who has `scope`."""
    known = door.known()

    async def checked(caller: Annotated[Caller, Depends(known)]) -> Caller:
        caller.require(scope)
        return caller

    return checked


def is_fragment(request: Request) -> bool:
    """Tell whether a script asks for a part of a page, rather than a person for a page."""
    return request.headers.get("hx-request") == "true"


def routes_of(pages: Pages) -> type[APIRoute]:
    """Return the kind of route whose errors are shown to people: a redirect, a page, or a notice."""

    def shown(request: Request, error: WafleetError) -> Response:
        if isinstance(error, SignInNeeded):
            return _to_sign_in(request)
        if is_fragment(request):
            return pages.notice("bad", error.sentence, status=error.status)
        return pages.page("error.html", status=error.status, sentence=error.sentence, code=error.status)

    class Shown(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Response:
                try:
                    return await inner(request)
                except WafleetError as error:
                    return shown(request, error)
                except DatabaseAway:
                    return shown(request, Unavailable("The database does not answer. Try again in a moment."))

            return handler

    return Shown


def _to_sign_in(request: Request) -> Response:
    if is_fragment(request):
        return Response(status_code=401, headers={"HX-Redirect": SIGN_IN, **SAFE})
    accepted = request.headers.get("accept", "*/*")
    if request.method == "GET" and ("text/html" in accepted or "*/*" in accepted):
        return RedirectResponse(f"{SIGN_IN}?{_back(request)}", status_code=303, headers=dict(SAFE))
    return Response(status_code=401, headers=dict(SAFE))


def _back(request: Request) -> str:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return urlencode({"next": here})
