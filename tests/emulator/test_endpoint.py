"""How clients are led to the emulator: words and patches, each found exactly once, and ports on this host alone."""

import json
import os
import ssl
from pathlib import Path

import msgspec
import pytest
from tests.emulator.rig import emulating, linked

from wafleet.clientlib import find
from wafleet.emulator import tokens as module
from wafleet.emulator.certificates import Authority
from wafleet.emulator.endpoint import ADDRESS, FILE, ROOT_KEY, Endpoint, patched
from wafleet.emulator.server import Emulator
from wafleet.emulator.tokens import Changed, tokens


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_the_words_of_the_installed_library_are_read_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_folders", lambda: (tmp_path / "missing" / "cache", tmp_path))
    words = await tokens()
    assert words.single[:3] == ["", "xmlstreamstart", "xmlstreamend"]
    assert [len(book) for book in words.double] == [256] * 4
    assert "pair-device" in {*words.single, *(word for book in words.double for word in book)}
    (kept,) = (tmp_path / "missing" / "cache").iterdir()
    changed = kept.stat().st_mtime_ns
    assert await tokens() == words
    assert kept.stat().st_mtime_ns == changed

    kept.write_bytes(b"half a file")
    assert await tokens() == words


async def test_a_program_without_the_words_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "neonize.so"
    program.write_bytes(b"no program at all")
    monkeypatch.setattr(module, "_folders", lambda: (tmp_path / "cache", tmp_path))
    monkeypatch.setattr(module, "find", lambda: type(find())("0", tmp_path, program))
    with pytest.raises(Changed, match=r"The words of neonize\.so were not found"):
        await tokens()


@pytest.mark.parametrize("times", [0, 2])
def test_a_program_in_which_something_is_not_found_exactly_once_is_explained(times: int) -> None:
    with pytest.raises(Changed, match=f"root key {times} times where once was expected"):
        patched(ROOT_KEY * times, {ROOT_KEY: bytes(32)}, "library.so")
    with pytest.raises(Changed, match=f"the address wss://web.whatsapp.com/ws/chat {times} times"):
        patched(ADDRESS * times, {ADDRESS: ADDRESS}, "library.so")


async def test_the_endpoint_names_two_programs_and_the_installed_one_is_untouched(emulator: Emulator) -> None:
    found = msgspec.json.decode((emulator.folder / FILE).read_bytes(), type=Endpoint)
    assert found == emulator.endpoint
    assert found.pid == os.getpid()
    original = find().program.read_bytes()
    assert original.count(ROOT_KEY) == 1
    plain, tls = read(found.plain.library), read(found.tls.library)
    assert len(plain) == len(tls) == len(original)
    assert plain.count(ROOT_KEY) == tls.count(ROOT_KEY) == plain.count(ADDRESS) == 0
    assert tls.count(ADDRESS) == 1
    assert json.loads((emulator.folder / FILE).read_text())["tls"]["proxy"].startswith("http://127.0.0.1:")


async def test_a_closed_emulator_is_not_found_and_starts_again_as_the_same(tmp_path: Path) -> None:
    async with emulating(tmp_path / "emulator") as emulator:
        first = emulator.authority
        ports = {"plain": emulator.ports.plain, "tls": emulator.ports.tls, "proxy": emulator.ports.proxy}
    assert not (tmp_path / "emulator" / FILE).exists()
    async with emulating(tmp_path / "emulator") as emulator:
        assert emulator.authority.root.public == first.root.public
        assert emulator.authority.ca.read_bytes()
        assert min(ports.values()) > 0


def test_clients_that_trust_its_authority_trust_its_certificate(tmp_path: Path) -> None:
    authority = Authority.of(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.ca))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(into, out, server_hostname="mmg.whatsapp.net")
    server = authority.tls.wrap_bio(out, into, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"


async def test_a_client_that_talks_rubbish_is_cut_off_alone(emulator: Emulator, tmp_path: Path) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with linked(emulator, tmp_path) as one:
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"WA\x06\x03\x00\x00\x05hello", b"WA\x06\x02" + bytes(99), "text"):
            async with connect(f"ws://127.0.0.1:{emulator.ports.plain}/ws/chat") as stranger:
                await stranger.send(rubbish)
                with pytest.raises(ConnectionClosed):
                    await stranger.recv()
        assert [name for name, _ in one.events].count("Disconnected") == 0
        assert len(emulator.connections) == 1
