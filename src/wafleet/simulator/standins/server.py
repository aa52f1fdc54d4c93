"""The HTTP side of a stand-in: it listens on loopback, and can answer as ill as a provider on a bad day."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Final

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ILL: Final = ("500", "nonsense", "empty", "half", "never", "drip")  # answers after which nobody knows what happened
_HANGS_S: Final = 3600.0
_DRIP_S: Final = 0.05  # between two bytes of an answer that does not end
_CLOSE_S: Final = 1
_JSON: Final = [(b"content-type", b"application/json")]
_NONSENSE: Final = b"<html><body><h1>It works!</h1></body></html>"


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: its owner decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def answering(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve an app while this lasts; yields its base URL. Raises OSError when the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_CLOSE_S
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.ready.wait()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


class Ill(Exception):
    """The caller shall get an answer that tells nothing: one of `ILL`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind if kind in ILL else "500"


class IllAnswer(Response):
    """An answer that tells the caller nothing: one of `ILL`."""

    def __init__(self, kind: str) -> None:
        body = b"" if kind == "empty" else _NONSENSE
        super().__init__(body, 500 if kind == "500" else 200, media_type="text/html")
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._kind == "never":
            await asyncio.sleep(_HANGS_S)
        elif self._kind == "drip":
            await self._drip(receive, send)
        elif self._kind == "half":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _NONSENSE[:20], "more_body": True})
        else:
            await super().__call__(scope, receive, send)

    async def _drip(self, receive: Receive, send: Send) -> None:
        """Send byte after byte until the caller hangs up."""
        await send({"type": "http.response.start", "status": 200, "headers": _JSON})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.wait((gone,), timeout=_DRIP_S)
