"""The HTTP face: one app, made of every slice's router."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from wafleet.api import health
from wafleet.api.health import HealthSources
from wafleet.api.limits import RateLimit
from wafleet.api.middleware import BodyLimit, Frame, HeadAsGet, Measured
from wafleet.api.openapi import document
from wafleet.api.problems import Problem, ProblemResponse, add_handlers, problem, request_id
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
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one caller may ask for at once."""

    body_bytes: int = 1_000_000
    requests_per_s: float = 2_000  # per token, cookie or address
    burst: float = 4_000


class _Http(FastAPI):
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
    limits: HttpLimits | None = None,
    https: bool = False,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Build the app.

    routers    of the slices; mounted under /api/v1 and shown in /openapi.json
    pages      of the console; mounted at / and not shown
    plain      routes and mounts that FastAPI leaves alone: providers' webhooks, static files
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
            Middleware(BodyLimit, most_bytes=limits.body_bytes),
            Middleware(HeadAsGet),
        ],
    )
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
