"""The simulator's process: one world behind the local protocol."""

import asyncio
import hmac
import logging
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from wafleet.simulator.frames import (
    FRAME_LIMIT,
    HELLO_LIMIT,
    Garbage,
    Hello,
    Message,
    Splitter,
    Welcome,
    pack,
    read_asking,
)
from wafleet.simulator.pulse import Pulse
from wafleet.simulator.switchboard import Line
from wafleet.simulator.world import World

log = logging.getLogger(__name__)

_UNREAD: Final = 64 * 1024 * 1024  # bytes a client may leave unread before it is cut off
_HELLO_S: Final = 5.0
_GATHER_S: Final = 0.002  # what is said within this time goes out as one write; networks are slower


class Server:
    """Serve one world to any number of clients that know the token."""

    def __init__(self, world: World, token: str) -> None:
        self._world, self._token = world, token
        self._clients: set[_Client] = set()
        self._listening: asyncio.Server | None = None
        self._pulse = Pulse.keep(world)
        self.port = 0

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept connections. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Client(self), host, port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Drop every client and stop; the world stays as it is."""
        if self._listening:
            self._listening.close()
        for client in list(self._clients):
            client.cut()
        if self._listening:
            await self._listening.wait_closed()
        self._pulse.stop()

    def joined(self, client: "_Client") -> Line:
        """A client showed the token: give it a line."""
        self._clients.add(client)
        loop = asyncio.get_running_loop()
        return Line(self._world, client.write, lambda flush: loop.call_later(_GATHER_S, flush))

    def left(self, client: "_Client") -> None:
        self._clients.discard(client)

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


class _Client(asyncio.Protocol):
    """One connection: a stranger until it has shown the token."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._splitter = Splitter(HELLO_LIMIT)
        self._line: Line | None = None
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._patience = asyncio.get_running_loop().call_later(_HELLO_S, self.cut)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._splitter.feed(data):
                messages = read_asking(body)
                if self._line is None:
                    messages = self._greet(messages)
                self._hand_over(messages)
        except (Garbage, msgspec.DecodeError) as e:
            log.warning("a client was cut off", extra={"reason": str(e)})
            self.cut()

    def _greet(self, messages: Sequence[Message]) -> Sequence[Message]:
        hello = messages[0] if messages else None
        if not isinstance(hello, Hello) or not self._server.knows(hello.token):
            raise Garbage("no token, or a wrong one")
        if self._patience:
            self._patience.cancel()
        self._splitter.limit = FRAME_LIMIT
        self._line = self._server.joined(self)
        self.write([Welcome()])
        return messages[1:]

    def _hand_over(self, messages: Sequence[Message]) -> None:
        assert self._line is not None
        if any(type(m) is Hello for m in messages):
            raise Garbage("a second hello")
        self._line.take(messages)

    def write(self, messages: Sequence[Message]) -> None:
        """Send messages as one write; a client that does not read is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(pack(messages))
        if transport.get_write_buffer_size() > _UNREAD:
            log.warning("a client that does not read was cut off")
            self.cut()

    def cut(self) -> None:
        if self._transport:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience:
            self._patience.cancel()
        self._server.left(self)
        if self._line is not None:
            self._line.lost()


async def serve(world: World, *, host: str = "127.0.0.1", port: int = 0, token: str) -> Server:
    """Serve a world; `port` of what is returned says where. Raises OSError when the port is taken."""
    server = Server(world, token)
    await server.listen(host, port)
    return server
