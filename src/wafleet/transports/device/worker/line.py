"""What a worker and our side say to each other over their socket pair.

A frame is `!IIB`: length of its body, the client it is about (0: the worker itself), its kind. The body is fields, each
`!I` length and that many bytes. Numbers travel as decimal digits, texts as UTF-8.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeAlias

_HEADER: Final = struct.Struct("!IIB")
_FIELD: Final = struct.Struct("!I")

DISK, ALONE = 74, 75  # a worker's exit status: it cannot write into a folder; our side stood still
LARGEST_FILE: Final = 60 * 2**20  # bytes
LIMIT: Final = 64 * 2**20  # bytes of one frame: the largest file, with room to spare


class Kind(IntEnum):
    """What a frame says, and its fields."""

    # ours
    OPEN = 1  # folder, proxy
    CONNECT = 2  # props, jid
    CALL = 3  # number, reference, function, arguments ...
    CANCEL = 4  # number; let it never leave, unless it is named already
    STORED = 5  # message ids ...
    STOP = 6

    # the worker's
    READY = 32  # version of the library
    BEAT = 33  # client, when it last heard from WhatsApp (monotonic seconds) ...
    EVENT = 34  # code, sequence number, data
    QR = 35  # text
    NAMED = 36  # call number, reference, id
    SWALLOWED = 37  # id, sender
    NOTICED = 38  # xml
    RETURNED = 39  # error
    ANSWER = 40  # call number, data
    UNABLE = 41  # call number, words
    CANCELLED = 42  # call number
    STOPPED = 43


Frame: TypeAlias = tuple[int, Kind, list[bytes]]


class Garbage(Exception):
    """What came is no frame."""


def packed(client: int, kind: Kind, *fields: bytes | str | int) -> bytes:
    """Write one frame."""
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in fields]
    body = b"".join(_FIELD.pack(len(part)) + part for part in parts)
    return _HEADER.pack(len(body), client, kind) + body


class Splitter:
    """Cuts what comes in into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what came; give the frames that are whole now. Raises Garbage."""
        self._rest += data
        at = 0
        try:
            while len(self._rest) - at >= _HEADER.size:
                length, client, kind = _HEADER.unpack_from(self._rest, at)
                if length > LIMIT:
                    raise Garbage(f"a frame of {length} bytes")
                if len(self._rest) - at < _HEADER.size + length:
                    break
                at += _HEADER.size + length
                yield client, _kind(kind), _fields(bytes(self._rest[at - length : at]))
        finally:
            del self._rest[:at]


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError:
        raise Garbage(f"a frame of kind {number}") from None


def _fields(body: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(body):
        if at + _FIELD.size > len(body):
            raise Garbage("a field without a length")
        (length,) = _FIELD.unpack_from(body, at)
        at += _FIELD.size + length
        if at > len(body):
            raise Garbage("a field longer than its frame")
        found.append(body[at - length : at])
    return found
