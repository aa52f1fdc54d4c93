"""Serve one wafleet until a signal comes."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import uvicorn

from wafleet.app import App, open_app
from wafleet.config import Settings
from wafleet.domain.errors import NotFound, SignInNeeded, Unavailable
from wafleet.tenants import EVERYTHING, Caller

log = structlog.get_logger(__name__)
ADDRESS_FILE: Final = "wafleet.json"
HTTP_CLOSE_S: Final = 2


class Address(msgspec.Struct):
    """Where the wafleet of a data folder listens, and how this user's commands are let in."""

    url: str
    token: str
    pid: int = 0


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: one place decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(settings: Settings, *, ready: Callable[[App, Address], Coroutine[Any, Any, None]]) -> None:
    """Run wafleet until SIGINT or SIGTERM; `ready` is called once it answers. A second signal ends it at once."""
    with _listening(settings.host, settings.port) as listener:
        stopping = _on_signals()
        async with open_app(settings) as app, _answering(app, listener) as url:
            address = await _publish(app, url)
            gc.collect()
            gc.freeze()
            greeting = asyncio.create_task(ready(app, address))
            await _first(stopping, app.stopping, failing=greeting)
            log.info("stopping")
            if not stopping.is_set():
                raise Unavailable("A part of wafleet died: its log says which and why. Start it again")


async def _first(*events: asyncio.Event, failing: "asyncio.Task[None]") -> None:
    """Return when one of the events is set; raise what `failing` raises. It is ended if it still runs."""
    ends = [asyncio.create_task(one.wait()) for one in events]
    try:
        await asyncio.wait([failing, *ends], return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (failing, *ends):
            task.cancel()


def _on_signals() -> asyncio.Event:
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop)
    return stopping


@contextlib.contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    """Take the port before anything else is started, so that a busy one costs nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        yield listener


@contextlib.asynccontextmanager
async def _answering(app: App, listener: socket.socket) -> AsyncGenerator[str]:
    config = uvicorn.Config(
        app.http, log_config=None, access_log=False, timeout_graceful_shutdown=HTTP_CLOSE_S, server_header=False
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
    try:
        yield f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    finally:
        app.stopping.set()
        server.should_exit = True
        await serving


async def _publish(app: App, url: str) -> Address:
    """Let commands of this user find and use this wafleet: its address and a token, in a file only they can read."""
    path = app.settings.data_dir / ADDRESS_FILE
    token = await _token(app, read_address(app.settings.data_dir))
    address = Address(url=url, token=token, pid=os.getpid())
    write_private(path, msgspec.json.encode(address))
    return address


async def _token(app: App, before: Address | None) -> str:
    tokens = app.slices.tenants.tokens
    if before is not None:
        with contextlib.suppress(SignInNeeded, NotFound):
            await tokens.caller_of(before.token)
            return before.token
    made = await tokens.make(
        Caller.local("start"), name="commands on this machine", tenant=None, scopes=sorted(EVERYTHING)
    )
    return made.secret


def read_address(folder: Path) -> Address | None:
    """Return where the wafleet of this data folder listens, or listened last."""
    try:
        return msgspec.json.decode((folder / ADDRESS_FILE).read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError):
        return None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(content)
    beside.replace(path)
