"""Keys that agree on secrets and sign, and the handshake made of them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.clientlib.protos import wa6
from wafleet.emulator.keys import Key, hkdf, verify
from wafleet.emulator.noise import Greeting, Identity, Transcript, accept
from wafleet.emulator.wire import Malformed

HEADER = b"WA\x06\x03"
SEEDS = st.binary(min_size=32, max_size=32)


@given(SEEDS, SEEDS)
def test_two_keys_agree_on_one_secret(one: bytes, other: bytes) -> None:
    assert Key(one).agree(Key(other).public) == Key(other).agree(Key(one).public)


@given(SEEDS, st.binary(max_size=100), st.integers(0, 511))
def test_only_the_owner_of_a_key_can_sign(seed: bytes, message: bytes, flipped: int) -> None:
    key = Key(seed)
    signature = key.sign(message)
    assert verify(key.public, message, signature)
    assert not verify(key.public, message + b"!", signature)
    forged = bytearray(signature)
    forged[flipped // 8] ^= 1 << flipped % 8
    assert not verify(key.public, message, bytes(forged))


def test_what_has_the_wrong_length_was_signed_by_nobody() -> None:
    assert not verify(b"", b"", bytes(64))
    assert not verify(bytes(32), b"", b"")


def test_keys_are_stretched_as_the_standard_says() -> None:  # RFC 5869, A.1
    found = hkdf(bytes([0x0B] * 22), 42, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)))
    assert found.hex().startswith("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
    assert len(found) == 42


async def shake(identity: Identity, me: Key, *, misheard: bytes = b"", kept: bytes = b"") -> tuple[Greeting, bytes]:
    """Be the client of one handshake; return what the server made of it, and the server's certificates."""
    to_server, to_client = asyncio.Queue[bytes](), asyncio.Queue[bytes]()
    serving = asyncio.create_task(accept(HEADER, to_server.get, to_client.put, identity))
    payload, fresh, transcript = wa6.ClientPayload(username=49).SerializeToString(), Key(), Transcript(HEADER)
    hello = wa6.HandshakeMessage.ClientHello(ephemeral=fresh.public, static=kept)
    await to_server.put(wa6.HandshakeMessage(clientHello=hello).SerializeToString())
    transcript.heard(fresh.public)
    if kept:
        return await serving, b""
    said = wa6.HandshakeMessage.FromString(await to_client.get()).serverHello
    transcript.heard(said.ephemeral)
    transcript.agreed(fresh.agree(said.ephemeral))
    static = transcript.unseal(said.static)
    transcript.agreed(fresh.agree(static))
    certificates = transcript.unseal(said.payload)
    if misheard:
        transcript.heard(misheard)
    last = wa6.HandshakeMessage.ClientFinish(static=transcript.seal(me.public))
    transcript.agreed(me.agree(said.ephemeral))
    last.payload = transcript.seal(payload)
    await to_server.put(wa6.HandshakeMessage(clientFinish=last).SerializeToString())
    return await serving, certificates


async def test_a_handshake_tells_both_ends_who_the_other_is() -> None:
    me = Key()
    greeting, certificates = await shake(Identity(Key(), b"certificates"), me)
    assert certificates == b"certificates"
    assert greeting.client == me.public
    assert greeting.payload.username == 49


async def test_ends_that_did_not_see_the_same_do_not_understand_each_other() -> None:
    with pytest.raises(Malformed, match="does not fit"):
        await shake(Identity(Key(), b""), Key(), misheard=b"something else")


async def test_a_client_that_begins_with_a_key_it_has_kept_is_refused() -> None:
    with pytest.raises(Malformed, match="a key the client has kept"):
        await shake(Identity(Key(), b""), Key(), kept=bytes(48))
