"""Businesses at a provider's stand-in: their webhooks, and waiting for what they hear."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wafleet.simulator.standins.server import answering

Answer = TypeVar("Answer")


@dataclass
class Heard:
    """One call of a webhook."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Shop:
    """A business whose webhooks answer what a test wants."""

    url: str = ""
    calls: list[Heard] = field(default_factory=list[Heard])
    statuses: list[int] = field(default_factory=list[int])  # of the next answers; 200 once they are used up
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict[str, tuple[bytes, str]])
    challenge: Callable[[Request], Response] | None = None

    async def take(self, request: Request) -> Response:
        if "hub.mode" in request.query_params and self.challenge:
            return self.challenge(request)
        if request.method == "GET":
            content, mime = self.files.get(request.url.path, (b"", ""))
            return Response(content, 200 if mime else 404, media_type=mime or None)
        status = self.statuses.pop(0) if self.statuses else 200
        self.calls.append(Heard(request.url.path, await request.body(), dict(request.headers)))
        return Response(status_code=status)


@asynccontextmanager
async def open_shop() -> AsyncGenerator[Shop]:
    shop = Shop()
    async with answering(Starlette(routes=[Route("/{rest:path}", shop.take, methods=["GET", "POST"])])) as shop.url:
        yield shop


async def until(met: Callable[[], object], within: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within):
        while not met():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.005)


async def aside(work: Callable[[], Answer]) -> Answer:
    """Run a client that blocks beside this loop, where the stand-in lives."""
    assert threading.current_thread() is threading.main_thread()
    return await asyncio.to_thread(work)
