"""Where the emulator listens, always on this host alone: a plain port, a TLS port, and a proxy to it for any host."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve

from wafleet.emulator.certificates import Authority
from wafleet.emulator.listening import HOST, Listening, accept_no_more

_quiet = logging.getLogger(f"{__name__}.websocket")  # a line for every connection that comes and goes is too much
_quiet.setLevel(logging.WARNING)

USABLE: Final = range(10_000, 65_536)  # the patched copy has room for a port of five digits, no more and no less
PORTS: Final = f"{USABLE.start} to {USABLE.stop - 1}"
_TRIES: Final = 50
_HEAD_S: Final = 10.0  # for the request to the proxy
_LARGEST: Final = 16 * 1024 * 1024  # bytes of one WebSocket message
_AT_ONCE: Final = 65_536  # bytes

Serve = Callable[[ServerConnection], Awaitable[None]]


class Ports:
    """The listening sockets. `routes` leads hosts whose names end so to other ports than the WebSocket's."""

    def __init__(self, plain: Server, tls: Server, sockets: "_Sockets") -> None:
        self._servers, self._sockets = (plain, tls), sockets
        self.plain, self.tls = _port(plain), _port(tls)
        self.proxy = 0
        self.routes: dict[str, int] = {}
        self._proxy: Listening

    @classmethod
    async def open(cls, handler: Serve, authority: Authority, wanted: Mapping[str, int]) -> Self:
        """Listen. `wanted` names ports by `plain`, `tls` and `proxy`; one that is taken is replaced by any free one."""
        sockets = _Sockets(handler)
        plain = await _listen(sockets, wanted.get("plain", 0))
        tls = await _listen(sockets, wanted.get("tls", 0), authority)
        ports = cls(plain, tls, sockets)
        ports._proxy = await Listening.open(ports._tunnel, port=wanted.get("proxy", 0))
        ports.proxy = ports._proxy.port
        return ports

    async def close(self) -> None:
        """Stop listening, cut what is open or opens meanwhile, and wait until nobody is served any more."""
        await self._proxy.close()
        self._sockets.cut()
        await accept_no_more(socket for server in self._servers for socket in server.sockets)
        for server in self._servers:
            server.close(close_connections=False)
        for server in self._servers:
            await server.wait_closed()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        verb, _, rest = head.partition(b" ")
        if verb != b"CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        host = rest.split(b" ")[0].rpartition(b":")[0].decode("ascii", "replace")
        port = next((port for ending, port in self.routes.items() if host.endswith(ending)), self.tls)
        inner_reader, inner_writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            async with asyncio.TaskGroup() as both:
                both.create_task(_relay(reader, inner_writer))
                both.create_task(_relay(inner_reader, writer))
        finally:
            inner_writer.transport.abort()
            with suppress(OSError):
                await inner_writer.wait_closed()


class _Sockets:
    """Every WebSocket there is, from its first byte on: the library names only those that are open already."""

    def __init__(self, handler: Serve) -> None:
        self.handler = handler
        self._transports: set[asyncio.BaseTransport] = set()
        self._cut = False

    def cut(self) -> None:
        """Abort all, and whoever comes from now on."""
        self._cut = True
        for transport in list(self._transports):
            _abort(transport)

    def entered(self, transport: asyncio.BaseTransport) -> None:
        self._transports.add(transport)
        if self._cut:
            _abort(transport)

    def left(self, transport: asyncio.BaseTransport) -> None:
        self._transports.discard(transport)

    @property
    def kind(self) -> type[ServerConnection]:
        """A connection that tells of its beginning and its end."""
        sockets = self

        class Watched(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                sockets.entered(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                sockets.left(self.transport)
                super().connection_lost(exc)

        return Watched


async def _listen(sockets: _Sockets, port: int, authority: Authority | None = None) -> Server:
    for wanted in (port, *(0 for _ in range(_TRIES))):
        try:
            server = await serve(
                sockets.handler,
                HOST,
                wanted,
                ssl=authority.tls if authority else None,
                compression=None,
                max_size=_LARGEST,
                ping_interval=None,
                create_connection=sockets.kind,
                logger=_quiet,
            )
        except OSError:
            continue
        if _port(server) in USABLE:
            return server
        server.close()
        await server.wait_closed()
    raise OSError("no free port of five digits on this host")


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def _abort(transport: asyncio.BaseTransport) -> None:
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until one side goes; the other is let go then."""
    with suppress(OSError):
        while data := await reader.read(_AT_ONCE):
            writer.write(data)
            await writer.drain()
    writer.close()
