"""The client over TCP: many accounts on one connection."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from wafleet.simulator.address import NotRunning, read_address
from wafleet.simulator.frames import FRAME_LIMIT, Garbage, Hello, Message, Splitter, Welcome, pack, read_telling
from wafleet.simulator.wire import Wire


class _Stream(asyncio.Protocol):
    """Bytes in and out; the connection above it reads messages."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._splitter = Splitter(FRAME_LIMIT)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.made(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._splitter.feed(data):
                self._connection.heard(read_telling(body))
        except (Garbage, msgspec.DecodeError):
            self._connection.broke()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.broke()


class Connection(Wire):
    """A connection to the simulator's process. When it breaks, every session on it closes with reason `network`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token
        self._transport: asyncio.Transport | None = None
        self.welcome: asyncio.Future[None] = self._loop.create_future()

    def made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.write(pack([Hello(self._token)]))

    def heard(self, messages: Sequence[Message]) -> None:
        if not self.welcome.done():
            if type(messages[0]) is not Welcome:
                raise Garbage("no welcome")
            self.welcome.set_result(None)
        self._take(messages)

    def broke(self) -> None:
        """End everything that waits on this connection."""
        if not self.welcome.done():
            self.welcome.set_exception(ConnectionError("the simulator did not let us in"))
        if self._transport:
            self._transport.abort()
        self._lose()

    async def close(self) -> None:
        """Say what is still to be said, then close."""
        self._flush()
        if self._transport:
            self._transport.close()
        self._lose()

    def _carry(self, messages: Sequence[Message]) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(pack(messages))


async def connect(host: str, port: int, token: str, *, limit: float = 5.0) -> Connection:
    """Connect to a simulator. Raises ConnectionError or TimeoutError."""
    connection = Connection(token)
    try:
        async with asyncio.timeout(limit):
            await asyncio.get_running_loop().create_connection(lambda: _Stream(connection), host, port)
            await connection.welcome
    except BaseException:
        if connection.welcome.done() and not connection.welcome.cancelled():
            connection.welcome.exception()
        connection.broke()
        raise
    return connection


async def connect_folder(folder: Path, *, limit: float = 5.0) -> Connection:
    """Connect to the simulator whose folder this is. Raises NotRunning, ConnectionError or TimeoutError."""
    address = read_address(folder)
    try:
        return await connect(address.host, address.port, address.token, limit=limit)
    except ConnectionRefusedError:
        raise NotRunning(folder) from None
