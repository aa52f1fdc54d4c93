"""The host that keeps encrypted files, over HTTPS on loopback: clients upload to it and download from it.

A client asks the server for its name, which is an address with a port: so the client reaches it with and without a
proxy, and trusts it by the same authority as the server.
Source: the requests that the library was seen to make, and the answers it took.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.listening import HOST, Listening
from wafleet.emulator.media import KINDS, LARGEST, Broken, Files
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node

log = logging.getLogger(__name__)

_REQUEST_S: Final = 120.0
_FOLDERS: Final = {folder for _, folder in KINDS.values()}
_PHRASES: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Too Large"}

Answer = tuple[int, bytes]


class MediaHost:
    """Serve files while the emulator runs."""

    def __init__(self, emulator: Emulator, files: Files) -> None:
        self._emulator, self._files = emulator, files
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Listen until cancelled."""
        listening = await Listening.open(self._serve, tls=self._emulator.authority.tls)
        self._port.set_result(listening.port)
        try:
            await asyncio.Event().wait()
        finally:
            await listening.close()

    async def named(self, connection: Connection, node: Node) -> None:
        """Tell a client where files are kept."""
        port = await self._port
        self._emulator.ports.routes[HOST] = port
        attrs = {"auth": "emulator", "ttl": "3600", "auth_ttl": "21600", "max_buckets": "12"}
        host = Node("host", {"hostname": f"{HOST}:{port}"})
        connection.result(node, Node("media_conn", attrs, [host]))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ValueError):  # a size that is no number: hung up, as a web server would
            async with asyncio.timeout(_REQUEST_S):
                status, body = await self._answer(reader)
                head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
                head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")
        verb, _, rest = line.partition(" ")
        path = urlsplit(rest.rpartition(" ")[0]).path
        if verb == "GET":
            return await asyncio.to_thread(self._download, path)
        if verb == "POST":
            return await self._upload(reader, path, fields)
        return 405, b""

    def _download(self, path: str) -> Answer:
        try:
            return 200, self._files.fetch(path)
        except Broken:
            return 404, b""

    async def _upload(self, reader: asyncio.StreamReader, path: str, fields: list[str]) -> Answer:
        sizes = [int(f.partition(":")[2]) for f in fields if f.lower().startswith("content-length:")]
        parts = path.strip("/").split("/")
        if not sizes or len(parts) != 3 or parts[1] not in _FOLDERS:
            return 400, b""
        if not 0 < sizes[0] <= LARGEST:
            return 413, b""
        data = await reader.readexactly(sizes[0])
        try:
            kept = await asyncio.to_thread(self._files.take, parts[1], parts[2], data)
        except Broken as e:
            log.warning("an upload was refused", extra={"reason": str(e)})
            return 400, b""
        address = f"https://{HOST}:{await self._port}{kept}"
        return 200, msgspec.json.encode({"url": address, "direct_path": kept, "handle": "", "object_id": ""})


def handlers(host: MediaHost) -> Handlers:
    return {("iq", "w:m", "media_conn"): host.named}
