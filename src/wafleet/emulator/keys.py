"""Keys of WhatsApp's cryptography: one private number that agrees on secrets and signs.

A signature over Curve25519 keys ("XEdDSA") is an Ed25519 signature in other clothes: the private number is the one that
Ed25519 makes of its seed, and the sign of the Edwards key, which the other form has no room for, travels in the last
byte. So ordinary Ed25519 does all the work. Source: Signal, The XEdDSA and VXEdDSA Signature Schemes, 2016.
"""

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_FIELD: Final = 2**255 - 19
_SIGN: Final = 0x80


class Key:
    """A key pair. The same seed makes the same pair; no seed makes a new one."""

    __slots__ = ("_edwards", "_exchange", "_sign", "public", "seed")

    def __init__(self, seed: bytes | None = None) -> None:
        self.seed = seed or os.urandom(32)
        self._edwards = Ed25519PrivateKey.from_private_bytes(self.seed)
        self._sign = self._edwards.public_key().public_bytes_raw()[31] & _SIGN
        self._exchange = X25519PrivateKey.from_private_bytes(_clamped(self.seed))
        self.public = self._exchange.public_key().public_bytes_raw()

    def agree(self, public: bytes) -> bytes:
        """Return the secret shared with the owner of another key. Raises ValueError when it is no key."""
        return self._exchange.exchange(X25519PublicKey.from_public_bytes(public))

    def sign(self, message: bytes) -> bytes:
        signature = bytearray(self._edwards.sign(message))
        signature[63] |= self._sign
        return bytes(signature)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the owner of a key signed this."""
    if len(public) != 32 or len(signature) != 64:
        return False
    u = int.from_bytes(public, "little") & ((1 << 255) - 1)
    edwards = bytearray(((u - 1) * pow(u + 1, _FIELD - 2, _FIELD) % _FIELD).to_bytes(32, "little"))
    edwards[31] |= signature[63] & _SIGN
    plain = signature[:63] + bytes((signature[63] & ~_SIGN & 0xFF,))
    try:
        Ed25519PublicKey.from_public_bytes(bytes(edwards)).verify(plain, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def hkdf(secret: bytes, length: int, *, salt: bytes = bytes(32), info: bytes = b"") -> bytes:
    """Stretch a secret into keys. Source: RFC 5869 with SHA-256."""
    seed = hmac.digest(salt, secret, "sha256")
    found, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(seed, block + info + bytes((number,)), "sha256")
        found += block
    return found[:length]


def _clamped(seed: bytes) -> bytes:
    number = bytearray(hashlib.sha512(seed).digest()[:32])
    number[0] &= 248
    number[31] = number[31] & 127 | 64
    return bytes(number)
