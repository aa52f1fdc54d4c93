"""Small files that begin as what they are."""

import zlib
from struct import pack
from typing import Final


def _chunk(name: bytes, body: bytes) -> bytes:
    return pack(">I", len(body)) + name + body + pack(">I", zlib.crc32(name + body))


PNG: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + _chunk(b"IEND", b"")
)
PDF: Final = b"%PDF-1.4\n%%EOF\n"
OGG: Final = b"OggS" + bytes(60)
WEBP: Final = b"RIFF\x1a\0\0\0WEBPVP8L" + bytes(14)
MP4: Final = b"\0\0\0\x18ftypisom" + bytes(40)
