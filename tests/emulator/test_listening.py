"""The emulator's ports: whatever comes in while it closes, nothing of it is left open."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from tests.emulator.rig import until
from websockets.asyncio.server import ServerConnection

from wafleet.emulator.certificates import Authority
from wafleet.emulator.listening import HOST, ON_THE_WAY, Listening
from wafleet.emulator.ports import Ports

CONNECT = b"CONNECT web.whatsapp.com:443 HTTP/1.1\r\n\r\n"
UPGRADE = (
    b"GET /ws/chat HTTP/1.1\r\nHost: web.whatsapp.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    async def serve(connection: ServerConnection) -> None:
        await connection.wait_closed()

    ports = await Ports.open(serve, Authority.of(tmp_path), {})
    yield ports
    await ports.close()


@pytest.fixture
def strangers() -> Iterator[contextlib.ExitStack]:
    """Sockets of programs that know nothing of an event loop."""
    with contextlib.ExitStack() as open:
        yield open


def knock(strangers: contextlib.ExitStack, port: int, *say: bytes) -> socket.socket:
    one = strangers.enter_context(socket.create_connection((HOST, port)))
    for words in say:
        one.sendall(words)
    return one


def open_here() -> int:
    return psutil.Process().num_fds()


async def heard(one: socket.socket, words: bytes) -> None:
    one.setblocking(False)
    said = b""
    while words not in said:
        said += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 1000), 20)


@pytest.mark.parametrize("turns", range(ON_THE_WAY + 1))
async def test_connections_in_every_stage_end_with_the_ports(
    ports: Ports, strangers: contextlib.ExitStack, turns: int
) -> None:
    before = open_here()
    opened = [
        knock(strangers, ports.plain),
        knock(strangers, ports.plain, UPGRADE[:20]),
        knock(strangers, ports.tls),
        knock(strangers, ports.tls, b"\x16\x03\x01"),
        knock(strangers, ports.proxy, CONNECT[:10]),
    ]
    ready, tunnel = knock(strangers, ports.plain, UPGRADE), knock(strangers, ports.proxy, CONNECT)
    await heard(ready, b"101")
    await heard(tunnel, b"200 OK")
    late = [knock(strangers, port) for port in (ports.plain, ports.tls, ports.proxy)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await ports.close()
    strangers.close()
    assert len([*opened, ready, tunnel, *late]) == 10
    await until(lambda: open_here() <= before - 3, "a connection of the emulator was left open")


async def test_a_tunnel_to_somebody_who_does_not_read_ends_with_the_ports(
    ports: Ports, strangers: contextlib.ExitStack
) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(100_000))
            await writer.drain()

    endless = await Listening.open(talk)
    ports.routes["whatsapp.com"] = endless.port
    deaf = knock(strangers, ports.proxy, CONNECT)
    await heard(deaf, b"200 OK")
    async with asyncio.timeout(20):
        await ports.close()
        await endless.close()


@pytest.mark.parametrize("turns", range(ON_THE_WAY + 1))
async def test_whoever_comes_while_it_closes_is_turned_away(strangers: contextlib.ExitStack, turns: int) -> None:
    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    listening = await Listening.open(serve)
    before = open_here()
    for _ in range(20):
        knock(strangers, listening.port)
    for _ in range(turns):
        await asyncio.sleep(0)
    await listening.close()
    strangers.close()
    await until(lambda: open_here() < before, "somebody was let in and forgotten")


async def test_a_guest_that_fails_is_let_go_and_the_others_stay(
    strangers: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"fail\n":
            raise LookupError("as asked")
        writer.write(b"well\n")

    listening = await Listening.open(serve)
    failing, well = knock(strangers, listening.port, b"fail\n"), knock(strangers, listening.port)
    failing.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(failing, 10) == b""
    well.sendall(b"go on\n")
    await heard(well, b"well\n")
    await listening.close()
    assert "could not be served" in caplog.text
