"""Files that go with messages: encrypted for whoever has the message, and kept by a host that cannot read them.

Source: the protocol as its public clients speak it. A random key is stretched into a vector, a cipher key and a key of
the proof; the file is AES-CBC encrypted, and ten bytes of an HMAC over vector and cipher text follow it.
"""

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from wafleet.emulator.keys import hkdf
from wafleet.emulator.signal import decrypt, encrypt

LARGEST: Final = 128 * 1024 * 1024  # bytes of one file
_PROOF: Final = 10
# kind of content: what the key is stretched with, and the folder of the host it lies in
KINDS: Final[Mapping[str, tuple[bytes, str]]] = {
    "image": (b"WhatsApp Image Keys", "image"),
    "sticker": (b"WhatsApp Image Keys", "image"),
    "video": (b"WhatsApp Video Keys", "video"),
    "audio": (b"WhatsApp Audio Keys", "audio"),
    "document": (b"WhatsApp Document Keys", "document"),
}


class Broken(ValueError):
    """A file is missing, or is not what its message says."""


class Enclosed(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of its file."""

    path: str  # at the host
    key: bytes
    sha256: bytes
    encrypted_sha256: bytes
    size: int


class Files:
    """What the host of media keeps, and what the software phones have opened of it. Both lie in a folder.

    An opened file is named by the SHA-256 of its content, as hexadecimal digits.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes) -> str:
        """Keep a file for customers to send; return its name."""
        name = hashlib.sha256(content).hexdigest()
        self._write(name, content)
        return name

    def opened(self, name: str) -> bytes:
        """Return a file that was kept or came with a message. Raises Broken."""
        return self._read(name)

    def take(self, kind: str, token: str, data: bytes) -> str:
        """Take an encrypted file from a client; return its path. Raises Broken when it is not what its token says."""
        if token not in (_token(data), _token(data).rstrip("=")):
            raise Broken("the file is not the one that was announced")
        return self._put(kind, data)

    def fetch(self, path: str) -> bytes:
        """Return the encrypted file of a path. Raises Broken."""
        return self._read(hashlib.sha256(path.partition("?")[0].encode()).hexdigest() + ".enc")

    def enclose(self, kind: str, name: str) -> Enclosed:
        """Encrypt a file for one message, with a key of its own. Raises Broken when there is no such file."""
        content, key = self._read(name), os.urandom(32)
        vector, cipher, proof = _keys(kind, key)
        words = encrypt(cipher, vector, content)
        data = words + hmac.digest(proof, vector + words, "sha256")[:_PROOF]
        return Enclosed(
            path=self._put(KINDS[kind][1], data),
            key=key,
            sha256=hashlib.sha256(content).digest(),
            encrypted_sha256=hashlib.sha256(data).digest(),
            size=len(content),
        )

    def open(self, kind: str, enclosed: Enclosed) -> str:
        """Fetch and decrypt the file of a message; return its name. Raises Broken."""
        data = self.fetch(enclosed.path)
        if hashlib.sha256(data).digest() != enclosed.encrypted_sha256:
            raise Broken("the encrypted file is another")
        vector, cipher, proof = _keys(kind, enclosed.key)
        words, given = data[:-_PROOF], data[-_PROOF:]
        if not hmac.compare_digest(hmac.digest(proof, vector + words, "sha256")[:_PROOF], given):
            raise Broken("the proof of the file is wrong")
        try:
            content = decrypt(cipher, vector, words)
        except ValueError as e:
            raise Broken(str(e)) from e
        if hashlib.sha256(content).digest() != enclosed.sha256 or len(content) != enclosed.size:
            raise Broken("the file is another than its message says")
        return self.keep(content)

    def _put(self, folder: str, data: bytes) -> str:
        path = f"/v/t62.7118-24/{folder}/{_token(data).rstrip('=')}.enc"
        self._write(hashlib.sha256(path.encode()).hexdigest() + ".enc", data)
        return f"{path}?ccb=11-4"  # clients put more behind it, and count on the question mark

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / name).write_bytes(content)

    def _read(self, name: str) -> bytes:
        if not name or "/" in name or name.startswith("."):
            raise Broken("there is no such file")
        try:
            return (self._folder / name).read_bytes()
        except OSError as e:
            raise Broken("there is no such file") from e


def _token(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


def _keys(kind: str, key: bytes) -> tuple[bytes, bytes, bytes]:
    made = hkdf(key, 112, info=KINDS[kind][0])
    return made[:16], made[16:48], made[48:80]
