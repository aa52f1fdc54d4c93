"""Listening on this host alone: each who comes in is served by a task, and nobody is left when it closes."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
ON_THE_WAY: Final = 4  # turns of the event loop from accepting a connection to hearing of it
_FLUSH_S: Final = 5.0  # for the last bytes to somebody who does not read
_BROKEN: Final = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listening:
    """A port, and those who came in by it. `serve` need not close what it is given, whatever happens to it."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._guests: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._closing = False
        self._server: asyncio.Server

    @classmethod
    async def open(cls, serve: Serve, *, port: int = 0, tls: ssl.SSLContext | None = None) -> Self:
        """Listen. A port that is taken is replaced by any free one. Raises OSError."""
        made = cls(serve)
        try:
            made._server = await asyncio.start_server(made._enter, HOST, port, ssl=tls)
        except OSError:
            made._server = await asyncio.start_server(made._enter, HOST, 0, ssl=tls)
        return made

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and cut off whoever is here or comes in meanwhile."""
        self._closing = True
        await accept_no_more(self._server.sockets)
        self._server.close()
        guests = dict(self._guests)
        for task in guests:
            task.cancel()
        await asyncio.gather(*guests, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in guests.values()), return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closing:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._see_to(reader, writer), name="guest of the emulator")
        self._guests[task] = writer
        task.add_done_callback(self._left)

    async def _see_to(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except _BROKEN as error:
            log.debug("a guest of the emulator went", extra={"reason": repr(error)})
        writer.close()
        with suppress(*_BROKEN):
            async with asyncio.timeout(_FLUSH_S):
                await writer.wait_closed()

    def _left(self, task: "asyncio.Task[None]") -> None:
        """Let go of the connection: also of one whose task was cancelled before its first step."""
        self._guests.pop(task).transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a guest of the emulator could not be served", exc_info=error)


async def accept_no_more(sockets: "Iterable[FileDescriptorLike]") -> None:
    """Stop accepting at these sockets; return when all have come in that were accepted before.

    Whoever was accepted and has not come in when a server closes would never be closed: asyncio forgets them.
    """
    loop = asyncio.get_running_loop()
    for one in sockets:
        loop.remove_reader(one)
    for _ in range(ON_THE_WAY):
        await asyncio.sleep(0)
