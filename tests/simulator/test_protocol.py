"""The local protocol against whoever connects."""

import asyncio
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.peer import ONE, PROMPT

from wafleet.simulator import frames, orders
from wafleet.simulator.client import connect
from wafleet.simulator.control import Control, NotDone
from wafleet.simulator.frames import HELLO_LIMIT, Garbage, Splitter, pack
from wafleet.simulator.server import Server, serve
from wafleet.simulator.world import World

HELLO = pack([frames.Hello("right")])


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    world = World(seed=1, manners=PROMPT)
    world.link(ONE)
    server = await serve(world, token="right")
    yield server
    await server.close()


async def is_cut_off(server: Server, *sent: bytes) -> bool:
    """Say something to the server; tell whether it closed the connection, without an answer to the nonsense."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for one in sent:
            writer.write(one)
        async with asyncio.timeout(5):
            rest = await reader.read()
        return rest in (b"", pack([frames.Welcome()]))
    except ConnectionResetError:
        return True
    finally:
        writer.close()


async def lives(server: Server) -> bool:
    control = Control(await connect("127.0.0.1", server.port, "right"))
    status = await control.status()
    await control.close()
    return [a.account for a in status.accounts] == [ONE]


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param([b"GET / HTTP/1.1\r\n\r\n"], id="another protocol"),
        pytest.param([b"\x00\x00\x00\x05hello"], id="not msgpack"),
        pytest.param([pack([frames.Hello("wrong")])], id="a wrong token"),
        pytest.param([pack([frames.Hello("")])], id="no token"),
        pytest.param([pack([])], id="nothing"),
        pytest.param([pack([frames.Login(1, 1, ONE, b"")])], id="no hello"),
        pytest.param([struct.pack(">I", HELLO_LIMIT + 1)], id="too much before hello"),
        pytest.param([HELLO, struct.pack(">I", 2**31)], id="a huge frame"),
        pytest.param([HELLO, HELLO], id="a second hello"),
        pytest.param([HELLO, b"\x00\x00\x00\x01\xc1"], id="msgpack that does not exist"),
        pytest.param([HELLO, pack([frames.Welcome()])], id="the wrong direction"),
        pytest.param([HELLO, b"\x00\x00\x00\x04" + msgspec.msgpack.encode([[99, 1]])], id="an unknown message"),
    ],
)
async def test_nonsense_ends_the_connection_and_nothing_else(server: Server, nonsense: list[bytes]) -> None:
    assert await is_cut_off(server, *nonsense)
    assert await lives(server)


async def test_a_wrong_token_is_a_connection_error(server: Server) -> None:
    with pytest.raises(ConnectionError):
        await connect("127.0.0.1", server.port, "wrong")
    assert await lives(server)


async def test_a_stranger_who_says_nothing_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wafleet.simulator.server._HELLO_S", 0.02)
    assert await is_cut_off(server)


async def test_a_client_that_does_not_read_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wafleet.simulator.server._UNREAD", 10_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=100)
    writer.write(HELLO)
    ask = pack([frames.Command(1, orders.Status())] * 500)

    async def ask_and_never_read() -> None:
        while True:
            writer.write(ask)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_and_never_read(), 20)
    writer.close()
    assert not reader.at_eof()
    assert await lives(server)


async def test_frames_for_sessions_that_never_were_are_refused(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    sent = [
        frames.Send(1, 7, b"r", ONE, "hello"),
        frames.Find(2, 7, []),
        frames.Ping(3, 7),
        frames.Acknowledge(7, ["x"]),
        frames.Leave(7),
        frames.Cancel(7),
    ]
    writer.write(HELLO + pack(sent))
    splitter, heard = Splitter(frames.FRAME_LIMIT), list[frames.Message]()
    async with asyncio.timeout(5):
        while len(heard) < 4:
            for body in splitter.feed(await reader.read(65536)):
                heard += frames.read_telling(body)
    writer.close()
    assert [m.reason for m in heard if isinstance(m, frames.Refused)] == ["not_open"] * 3


async def test_an_order_that_cannot_be_carried_out_says_why(server: Server) -> None:
    control = Control(await connect("127.0.0.1", server.port, "right"))
    with pytest.raises(NotDone, match="link it first"):
        await control.say("+971550000001", "+966500000099", "hello")
    with pytest.raises(NotDone, match="There is no fault 'flood'"):
        await control.start_fault(ONE, "flood")
    with pytest.raises(NotDone, match="needs an end"):
        await control.start_load(5)
    with pytest.raises(NotDone, match="No session is open"):
        await control.start_fault(ONE, "deaf")
    assert await control.status()
    await control.close()


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 64))
def test_a_stream_is_cut_into_the_same_frames_however_it_arrives(bodies: list[bytes], step: int) -> None:
    stream = b"".join(struct.pack(">I", len(b)) + b for b in bodies)
    splitter = Splitter(1000)
    assert [b for i in range(0, len(stream), step) for b in splitter.feed(stream[i : i + step])] == bodies


def test_a_frame_above_the_limit_is_not_even_waited_for() -> None:
    with pytest.raises(Garbage, match="1001 bytes"):
        list(Splitter(1000).feed(struct.pack(">I", 1001)))


def test_many_messages_are_spread_over_frames_of_a_bounded_size() -> None:
    longest = [frames.Send(1, 1, b"r" * 16, ONE, "𝕏" * 4096)] * 1300
    splitter = Splitter(frames.FRAME_LIMIT)
    assert sum(len(frames.read_asking(b)) for b in splitter.feed(pack(longest))) == 1300
