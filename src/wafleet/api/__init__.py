"""The HTTP face: one app, made of every slice's router."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from wafleet.api import health
from wafleet.api.health import HealthSources
from wafleet.api.limits import RateLimit
from wafleet.api.middleware import BodyLimit, Frame, HeadAsGet, Measured
from wafleet.api.openapi import document
from wafleet.api.problems import Problem, ProblemResponse, add_handlers, problem, request_id
from wafleet.media import routes as media
from wafleet.tenants import Auth

__all__ = [
    "HealthSources",
    "HttpLimits",
    "Problem",
    "ProblemResponse",
    "build_http",
    "problem",
    "request_id",
]

PREFIX: Final = "/api/v1"
UPLOAD: Final = f"{PREFIX}{media.UPLOAD}"
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one caller may ask for at once."""

    body_bytes: int = 1_000_000
    upload_bytes: int = 101_000_000  # of a file, and the form around it
    requests_per_s: float = 2_000  # per token, cookie or address
    burst: float = 4_000


class _Http(FastAPI):
    """Hands requests to apps that answer for themselves, by the beginning of the path: nothing below sees them."""

    beside: Sequence[tuple[str, ASGIApp]] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for prefix, app in self.beside:
                if scope["path"].startswith(prefix):
                    return await app(scope, receive, send)
        return await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = document(version=self.version, routes=self.routes)
        return self.openapi_schema


def build_http(
    *,
    auth: Auth,
    health_sources: HealthSources,
    routers: Sequence[APIRouter],
    pages: Sequence[APIRouter] = (),
    plain: Sequence[BaseRoute] = (),
    beside: Mapping[str, ASGIApp] | None = None,
    limits: HttpLimits | None = None,
    https: bool = False,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Build the app.

    routers    of the slices; mounted under /api/v1 and shown in /openapi.json
    pages      of the console; mounted at / and not shown
    plain      routes and mounts that FastAPI leaves alone: static files
    beside     by prefix of the path: apps that take requests before anything else sees them, such as networks' calls
    https      people reach it over https, whatever this process sees: sends HSTS
    """
    limits = limits or HttpLimits()
    app = _Http(
        title="wafleet",
        version=health_sources.version,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
        middleware=[
            Middleware(Frame, https=https),
            Middleware(Measured, prefix=PREFIX),
            Middleware(RateLimit, clock=health_sources.clock, per_s=limits.requests_per_s, burst=limits.burst),
            Middleware(BodyLimit, most_bytes=limits.body_bytes, uploads={UPLOAD: limits.upload_bytes}),
            Middleware(HeadAsGet),
        ],
    )
    app.beside = tuple((beside or {}).items())
    add_handlers(app)
    app.include_router(health.router(health_sources, auth))
    for router in routers:
        app.include_router(router, prefix=PREFIX)
    for router in pages:
        app.include_router(router, include_in_schema=False)
    app.router.routes.extend(plain)
    return app


def _operation_id(route: APIRoute) -> str:
    """Name an operation by its tag and its function, as client libraries will: `tokens_create`."""
    return "_".join([*(str(tag) for tag in route.tags[:1]), route.name])
