"""The handshake that makes a connection secret, and says who is at the other end.

`Noise_XX_25519_AESGCM_SHA256`: the client sends a fresh key, we answer with ours and our certificates, it sends its
lasting key and who it wants to be. Clients that begin with a server's key which they have kept are refused: the library
does not. Source: noiseprotocol.org, revision 34; the messages are protobufs of WhatsApp.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from wafleet.clientlib.protos import wa6
from wafleet.emulator.keys import Key, hkdf
from wafleet.emulator.wire import Malformed

Receive = Callable[[], Awaitable[bytes]]
Send = Callable[[bytes], Awaitable[None]]

_NAME: Final = b"Noise_XX_25519_AESGCM_SHA256"
_HASH: Final = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server is: its lasting key, and the certificates that vouch for it."""

    static: Key
    certificates: bytes


class Cipher:
    """One direction of a connection after the handshake: every frame has the next number."""

    def __init__(self, key: bytes) -> None:
        self._cipher, self._number = AESGCM(key), 0

    def seal(self, plain: bytes) -> bytes:
        return self._cipher.encrypt(self._next(), plain, None)

    def unseal(self, sealed: bytes) -> bytes:
        """Return what was sealed. Raises Malformed when it was not sealed by the other end, or is out of turn."""
        try:
            return self._cipher.decrypt(self._next(), sealed, None)
        except InvalidTag:
            raise Malformed("a frame that was not sealed by this connection's key") from None

    def _next(self) -> bytes:
        number = self._number.to_bytes(12, "big")
        self._number += 1
        return number


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a handshake came to."""

    client: bytes  # the lasting key of the client
    payload: wa6.ClientPayload  # who it wants to be
    receiving: Cipher
    sending: Cipher


class Transcript:
    """All that was said so far, as both ends must see it, and the key that follows from it."""

    def __init__(self, header: bytes) -> None:
        self._hash = self._chain = self._key = _NAME.ljust(_HASH, b"\0")
        self._number = 0
        self.heard(header)

    def heard(self, data: bytes) -> None:
        """Take in what both ends saw."""
        self._hash = hashlib.sha256(self._hash + data).digest()

    def agreed(self, secret: bytes) -> None:
        """Take in a secret both ends share now."""
        both = hkdf(secret, 64, salt=self._chain)
        self._chain, self._key, self._number = both[:_HASH], both[_HASH:], 0

    def seal(self, plain: bytes) -> bytes:
        sealed = AESGCM(self._key).encrypt(self._next(), plain, self._hash)
        self.heard(sealed)
        return sealed

    def unseal(self, sealed: bytes) -> bytes:
        """Return what the other end sealed. Raises Malformed."""
        try:
            plain = AESGCM(self._key).decrypt(self._next(), sealed, self._hash)
        except (InvalidTag, ValueError):
            raise Malformed("a handshake that does not fit: another root key, or another protocol") from None
        self.heard(sealed)
        return plain

    def finish(self) -> tuple[Cipher, Cipher]:
        """Return the ciphers from the client and to it."""
        both = hkdf(b"", 64, salt=self._chain)
        return Cipher(both[:_HASH]), Cipher(both[_HASH:])

    def _next(self) -> bytes:
        number = self._number.to_bytes(12, "big")
        self._number += 1
        return number


async def accept(header: bytes, receive: Receive, send: Send, identity: Identity) -> Greeting:
    """Answer a client's handshake. `receive` and `send` carry frames. Raises Malformed."""
    try:
        hello = wa6.HandshakeMessage.FromString(await receive()).clientHello
        if hello.static:
            raise Malformed("a handshake that begins with a key the client has kept: only a whole one is taken here")
        return await _greet(Transcript(header), hello, receive, send, identity)
    except (DecodeError, ValueError) as e:
        raise e if isinstance(e, Malformed) else Malformed(f"a handshake that cannot be read: {e}") from e


async def _greet(
    transcript: Transcript, hello: wa6.HandshakeMessage.ClientHello, receive: Receive, send: Send, identity: Identity
) -> Greeting:
    fresh = Key()
    transcript.heard(hello.ephemeral)
    transcript.heard(fresh.public)
    transcript.agreed(fresh.agree(hello.ephemeral))
    static = transcript.seal(identity.static.public)
    transcript.agreed(identity.static.agree(hello.ephemeral))
    answer = wa6.HandshakeMessage.ServerHello(
        ephemeral=fresh.public, static=static, payload=transcript.seal(identity.certificates)
    )
    await send(wa6.HandshakeMessage(serverHello=answer).SerializeToString())
    last = wa6.HandshakeMessage.FromString(await receive()).clientFinish
    client = transcript.unseal(last.static)
    transcript.agreed(fresh.agree(client))
    payload = transcript.unseal(last.payload)
    return Greeting(client, wa6.ClientPayload.FromString(payload), *transcript.finish())
