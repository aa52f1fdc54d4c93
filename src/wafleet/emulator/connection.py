"""One WebSocket connection of a client: the handshake, then stanzas both ways until it ends.

A frame is its length in three bytes and what is sealed. Source: the first bytes and frames that the library sends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from wafleet.clientlib.protos import wa6
from wafleet.emulator.model import Device
from wafleet.emulator.noise import Cipher, Identity, accept
from wafleet.emulator.wire import SERVER, Codec, Malformed, Node

log = logging.getLogger(__name__)

Handler = Callable[["Connection", Node], Awaitable[None]]
Key = tuple[str, str, str]  # tag, xmlns, tag of the first part; "" stands for any of the last two
Handlers = Mapping[Key, Handler]

_PROLOGUE: Final = b"WA\x06\x03"  # the protocol, and the version of the tables of words
_ROUTING: Final = b"ED"  # some clients say first where they would like to be routed
_HANDSHAKE_S: Final = 20.0
_IDLE_S: Final = 180.0  # clients ask for a sign of life every 20 to 30 s
_LAST_WORD_S: Final = 0.25  # clients that are cut off at once take it for a broken network and come back
_CLOSE_S: Final = 2.0  # for the last words to a client that does not read
_UNSENT: Final = 10_000  # stanzas that may wait for a client that does not read
_UNANSWERED: Final = 1_000  # questions of ours


class Desk(Protocol):
    """Who decides what a connection may do, and what its stanzas mean."""

    @property
    def codec(self) -> Codec: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def handlers(self) -> Handlers: ...
    async def greeted(self, connection: "Connection") -> None: ...
    async def heard(self, connection: "Connection", node: Node) -> bool:
        """Watch a stanza come; True: somebody saw to it, and its handler is not asked."""
        ...

    def leaving(self, connection: "Connection", node: Node) -> Node | None:
        """Look at a stanza that is about to leave; what is returned leaves in its place, None: nothing does."""
        ...

    def left(self, connection: "Connection") -> None: ...


class Connection:
    """One client. Its stanzas are handled one after another, in the order in which they came.

    payload  who it said it is
    client   its lasting key
    device   which device it is, once it has logged in
    closing  its last word is said or on its way: nothing it still sends counts
    """

    def __init__(self, socket: ServerConnection, desk: Desk) -> None:
        self._socket, self._desk = socket, desk
        self._buffer = bytearray()
        self._out: asyncio.Queue[Node | None] = asyncio.Queue()
        self._answers: dict[str, Handler] = {}
        self.payload = wa6.ClientPayload()
        self.client = b""
        self.device: Device | None = None
        self.closing = False

    def __str__(self) -> str:
        return str(self.device.jid) if self.device else "a client that has not logged in"

    async def run(self) -> None:
        """Serve the client until one of the two goes."""
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                receiving, sending = await self._greet()
            writing = asyncio.create_task(self._write(sending))
            try:
                await self._desk.greeted(self)
                await self._read(receiving)
            finally:
                await self._end(writing)
        except Malformed as e:
            log.warning("a client of the emulator was cut off", extra={"client": str(self), "reason": str(e)})
        except (ConnectionClosed, TimeoutError):
            log.debug("a client of the emulator went", extra={"client": str(self)})
        finally:
            self._desk.left(self)
            self.abort()

    def send(self, node: Node) -> None:
        """Put a stanza on its way, after all that were sent before. Never waits; a client that never reads is cut."""
        if self.closing:
            return
        if self._out.qsize() >= _UNSENT:
            log.warning("a client of the emulator does not read and was cut off", extra={"client": str(self)})
            self.abort()
            return
        self._out.put_nowait(node)

    def close(self, *last: Node, after: float = _LAST_WORD_S) -> None:
        """Say a last word, and close `after` seconds, in which the client hears it; at once where there is none."""
        for node in last:
            self.send(node)
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_later(after if last else 0.0, self._out.put_nowait, None)

    def abort(self) -> None:
        """Cut the connection without a word, as a broken network would."""
        self.closing = True
        transport = self._socket.transport
        transport.abort()

    def ask(self, node: Node, then: Handler) -> None:
        """Send an iq of our own, which has an id; `then` is given the client's answer."""
        if len(self._answers) >= _UNANSWERED:
            self._answers.pop(next(iter(self._answers)))
        self._answers[node.text("id")] = then
        self.send(node)

    def result(self, asked: Node, *content: Node) -> None:
        """Answer an iq."""
        attrs = {"from": SERVER, "type": "result", "id": asked.text("id")}
        self.send(Node("iq", attrs, content or None))

    def refuse(self, asked: Node, code: int, text: str) -> None:
        """Answer an iq with an error."""
        attrs = {"from": SERVER, "type": "error", "id": asked.text("id")}
        self.send(Node("iq", attrs, [Node("error", {"code": str(code), "text": text})]))

    async def _greet(self) -> tuple[Cipher, Cipher]:
        header = await self._header()
        greeting = await accept(header, self._frame, self._write_frame, self._desk.identity)
        self.client, self.payload = greeting.client, greeting.payload
        return greeting.receiving, greeting.sending

    async def _header(self) -> bytes:
        header = await self._bytes(4)
        if header.startswith(_ROUTING):
            await self._bytes(int.from_bytes(await self._bytes(3), "big"))
            header = await self._bytes(4)
        if header != _PROLOGUE:
            raise Malformed(f"not the protocol of linked devices: it begins with {header.hex()}")
        return header

    async def _bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await self._socket.recv()
            if isinstance(data, str):
                raise Malformed("text where bytes belong")
            self._buffer += data
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    async def _frame(self) -> bytes:
        return await self._bytes(int.from_bytes(await self._bytes(3), "big"))

    async def _write_frame(self, data: bytes) -> None:
        await self._socket.send(len(data).to_bytes(3, "big") + data)

    async def _read(self, receiving: Cipher) -> None:
        while True:
            async with asyncio.timeout(_IDLE_S):
                frame = await self._frame()
            node = self._desk.codec.decode(receiving.unseal(frame))
            if self.closing:  # who was replaced has nothing more to say
                continue
            if not await self._desk.heard(self, node):
                await self._handle(node)

    async def _handle(self, node: Node) -> None:
        try:
            handler = self._handler(node)
            if handler is not None:
                await handler(self, node)
            elif node.tag == "iq":
                self.refuse(node, 501, "feature-not-implemented")
        except (Malformed, ConnectionClosed):
            raise
        except Exception:
            log.exception("a stanza failed", extra={"client": str(self), "stanza": node.tag})
            if node.tag == "iq":
                self.refuse(node, 500, "internal-server-error")

    def _handler(self, node: Node) -> Handler | None:
        if node.tag == "iq" and node.text("type") in ("result", "error"):
            return self._answers.pop(node.text("id"), None)
        handlers, xmlns = self._desk.handlers, node.text("xmlns")
        first = node.children[0].tag if node.children else ""
        for key in ((node.tag, xmlns, first), (node.tag, xmlns, ""), (node.tag, "", "")):
            if key in handlers:
                return handlers[key]
        return None

    async def _write(self, sending: Cipher) -> None:
        try:
            while (node := await self._out.get()) is not None:
                leaving = self._desk.leaving(self, node)
                if leaving is not None:
                    await self._write_frame(sending.seal(self._desk.codec.encode(leaving)))
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close()
        except (ConnectionClosed, TimeoutError):
            self.abort()
        except Exception:
            log.exception("a stanza could not be written", extra={"client": str(self)})
            self.abort()

    async def _end(self, writing: asyncio.Task[None]) -> None:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
