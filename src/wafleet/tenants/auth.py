"""Who is calling: the one place where HTTP requests become callers."""

import hmac
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Query, Request, Response
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection

from wafleet.domain.errors import Forbidden, SignInNeeded
from wafleet.tenants.model import Caller, Scope
from wafleet.tenants.service import Tenants
from wafleet.tenants.signins import LASTS, SignedIn

COOKIE: Final = "wafleet"
SECURE_COOKIE: Final = "__Host-wafleet"  # browsers take it only over https, for this host alone
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

BEARER: Final = HTTPBearer(auto_error=False, description="An API token: `Authorization: Bearer wf_...`")
SIGN_IN: Final = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description=f"The cookie of a signed-in person (`{SECURE_COOKIE}` over https). Changes also need `{CSRF_HEADER}`.",
)
Dependency = Callable[..., Coroutine[Any, Any, Caller]]
TenantQuery = Annotated[
    str | None,
    Query(max_length=100, description="for callers who reach the whole fleet: only this tenant, by id or name"),
]


class Auth:
    """Turns a request's token or cookie into a Caller, and opens and ends sign-ins.

    public_url    where people reach wafleet; makes cookies secure when it is https and counts as our own origin
    """

    def __init__(self, tenants: Tenants, *, public_url: str | None = None) -> None:
        self._tenants, self._public = tenants, urlsplit(public_url or "")

    def may(self, scope: Scope) -> Dependency:
        """Return a dependency: the Caller of an API request, who has `scope`.

        `?tenant=` narrows a caller who reaches the whole fleet to one tenant. Raises SignInNeeded, Forbidden, NotFound.
        """

        known = self.known()

        async def permitted(caller: Annotated[Caller, Depends(known)], tenant: TenantQuery = None) -> Caller:
            caller.require(scope)
            return caller if tenant is None else await self._narrowed(caller, tenant)

        return permitted

    def known(self) -> Dependency:
        """Return a dependency: the Caller of an API request, whatever they may do. Raises SignInNeeded, Forbidden."""

        async def checked(
            request: Request,
            _bearer: Annotated[object, Depends(BEARER)] = None,
            _cookie: Annotated[object, Depends(SIGN_IN)] = None,
        ) -> Caller:
            return await self._checked(request)

        return checked

    def page(self, scope: Scope = Scope.READ) -> Dependency:
        """Return a dependency: the signed-in person of a console page; others are sent to /sign-in and come back."""

        async def shown(request: Request) -> Caller:
            try:
                caller = await self._checked(request)
            except SignInNeeded:
                raise _to_sign_in(request) from None
            caller.require(scope)
            return caller

        return shown

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who a connection is, without any check of what they may do. Raises SignInNeeded.

        For plain routes and sockets; those must check `from_our_pages` themselves where a cookie could be abused.
        """
        given = connection.headers.get("authorization")
        if given is not None:
            kind, _, secret = given.partition(" ")
            if kind.lower() != "bearer" or not secret.strip():
                raise SignInNeeded("Write the header as `Authorization: Bearer wf_...`", code="token_malformed")
            return await self._tenants.tokens.caller_of(secret.strip())
        secret = self.secret(connection)
        if secret is None:
            raise SignInNeeded("Send a token as `Authorization: Bearer wf_...`, or sign in")
        return await self._tenants.signins.caller_of(secret)

    def secret(self, connection: HTTPConnection) -> str | None:
        """Return the cookie of a sign-in, if one was sent."""
        return connection.cookies.get(SECURE_COOKIE if self.https(connection) else COOKIE)

    def csrf(self, connection: HTTPConnection) -> str:
        """Return what a page must send back with every change: the header X-CSRF-Token, or the field csrf_token.

        With htmx: `<body hx-headers='{"X-CSRF-Token": "..."}'>`. It belongs to the sign-in and ends with it.
        """
        secret = self.secret(connection)
        return _csrf(secret) if secret else ""

    def https(self, connection: HTTPConnection) -> bool:
        """Tell whether the browser speaks https with us, also through a proxy named by the public URL."""
        return self._public.scheme == "https" or connection.url.scheme in ("https", "wss")

    def from_our_pages(self, connection: HTTPConnection) -> bool:
        """Tell whether a browser says that one of our own pages asks; a program that is no browser says nothing."""
        site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
        if site is not None:
            return site in ("same-origin", "none")
        ours = {connection.headers.get("host", ""), self._public.netloc}
        return origin is None or urlsplit(origin).netloc in ours - {""}

    async def sign_in(self, request: Request, response: Response, *, email: str, password: str) -> SignedIn:
        """Open a sign-in and set its cookie. Raises SignInNeeded, TooMany, Forbidden."""
        self.require_our_pages(request)
        address = request.client.host if request.client else ""
        opened = await self._tenants.signins.sign_in(email, password, address=address)
        self._set_cookie(request, response, opened.secret, lasts=LASTS)
        return opened

    async def sign_out(self, request: Request, response: Response) -> None:
        """End the sign-in and take its cookie away. Raises Forbidden when another site asks."""
        secret = self.secret(request)
        if secret is not None:
            await self._require_csrf(request, secret)
            await self._tenants.signins.sign_out(secret)
        self._set_cookie(request, response, "", lasts=timedelta(0))

    def require_our_pages(self, connection: HTTPConnection) -> None:
        """Raise Forbidden when another site's page asks."""
        if not self.from_our_pages(connection):
            raise Forbidden("This came from another site's page: open wafleet's own and try again", code="cross_site")

    async def _checked(self, request: Request) -> Caller:
        caller = await self.caller(request)
        if request.method not in READS and "authorization" not in request.headers:
            await self._require_csrf(request, self.secret(request) or "")
        return caller

    async def _require_csrf(self, request: Request, secret: str) -> None:
        self.require_our_pages(request)
        given = request.headers.get(CSRF_HEADER) or await _field(request)
        if not hmac.compare_digest(given.encode(), _csrf(secret).encode()):
            raise Forbidden(f"Send the page's {CSRF_HEADER}: reload the page and try again", code="csrf")

    async def _narrowed(self, caller: Caller, tenant: str) -> Caller:
        found = await self._tenants.get(caller, tenant)
        return caller if caller.tenant == found.id else caller.looking_at(found.id)

    def _set_cookie(self, request: Request, response: Response, value: str, *, lasts: timedelta) -> None:
        https = self.https(request)
        response.set_cookie(
            SECURE_COOKIE if https else COOKIE,
            value,
            max_age=int(lasts.total_seconds()),  # unlike a date, independent of the browser's clock
            path="/",
            secure=https,
            httponly=True,
            samesite="lax",
        )


def _csrf(secret: str) -> str:
    return hmac.new(secret.encode(), b"csrf", "sha256").hexdigest()


async def _field(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith(FORMS):
        return ""
    form: Mapping[str, object] = await request.form()
    return str(form.get(CSRF_FIELD, ""))


def _to_sign_in(request: Request) -> HTTPException:
    """A page goes there; a part of a page, fetched by htmx, takes the whole page there."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request") == "true":
        return HTTPException(401, headers={"HX-Redirect": "/sign-in"})
    return HTTPException(303, headers={"Location": f"/sign-in?next={quote(back, safe='')}"})
