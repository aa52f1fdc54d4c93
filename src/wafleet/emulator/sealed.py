"""The two outer forms of an encrypted message: one that opens a session, and one of a session that is open.

Source: the Signal protocol's WhisperTextProtocol, version 3. A form is its version byte, a protobuf message and, for
the second, a code of eight bytes that proves who wrote it.
"""

from typing import Final

import msgspec

from wafleet.emulator.wire import Malformed

VERSION: Final = 0x33  # version 3 of it, and 3 is the newest its writer knows
KEY_TYPE: Final = b"\x05"  # written before every public key: Curve25519
PROOF: Final = 8  # bytes of the proof at the end
_KEY: Final = 33
_VARINT, _BYTES = 0, 2


class Sealed(msgspec.Struct, frozen=True):
    """One message of a session that is open."""

    ratchet: bytes
    number: int
    before: int  # the last number of the chain before this one
    words: bytes  # encrypted
    signed: bytes  # what the proof is made of
    proof: bytes = b""


class Opening(msgspec.Struct, frozen=True):
    """What the receiver of a first message needs, to have the session its sender has."""

    registration: int
    one_time: int | None  # number of the receiver's key that is used up; None: there was none left
    signed: int  # number of the receiver's longer-lived key
    base: bytes  # the sender's key made for this session
    identity: bytes  # the sender's


def write_sealed(ratchet: bytes, number: int, before: int, words: bytes) -> bytes:
    """Write a message up to where its proof belongs."""
    fields = (_field(1, KEY_TYPE + ratchet), _field(2, number), _field(3, before), _field(4, words))
    return bytes((VERSION,)) + b"".join(fields)


def read_sealed(data: bytes) -> Sealed:
    """Read a message of an open session. Raises Malformed."""
    body, proof = data[:-PROOF], data[-PROOF:]
    found = _read(body)
    return Sealed(
        _key(found.get(1)), _number(found.get(2, 0)), _number(found.get(3, 0)), _bytes(found.get(4)), body, proof
    )


def write_opening(opening: Opening, message: bytes) -> bytes:
    """Write the first form around a message of the second."""
    one_time = b"" if opening.one_time is None else _field(1, opening.one_time)
    fields = (
        one_time,
        _field(2, KEY_TYPE + opening.base),
        _field(3, KEY_TYPE + opening.identity),
        _field(4, message),
        _field(5, opening.registration),
        _field(6, opening.signed),
    )
    return bytes((VERSION,)) + b"".join(fields)


def read_opening(data: bytes) -> tuple[Opening, bytes]:
    """Read a message that opens a session: what opens it, and the message inside. Raises Malformed."""
    found = _read(data)
    one_time = found.get(1)
    opening = Opening(
        registration=_number(found.get(5, 0)),
        one_time=None if one_time is None else _number(one_time),
        signed=_number(found.get(6, 0)),
        base=_key(found.get(2)),
        identity=_key(found.get(3)),
    )
    return opening, _bytes(found.get(4))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return bytes((number << 3 | _VARINT,)) + _varint(value)
    return bytes((number << 3 | _BYTES,)) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read(data: bytes) -> dict[int, int | bytes]:
    if not data or data[0] != VERSION:
        raise Malformed("not version 3 of the Signal protocol")
    found: dict[int, int | bytes] = {}
    at = 1
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, at = _read_varint(data, at)
        if tag & 7 == _VARINT:
            found[tag >> 3] = number
        elif tag & 7 == _BYTES and at + number <= len(data):
            found[tag >> 3] = data[at : at + number]
            at += number
        else:
            raise Malformed(f"field {tag >> 3} is cut off or of a kind this protocol does not have")
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise Malformed("a number has no end")


def _key(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes) or len(value) != _KEY or value[:1] != KEY_TYPE:
        raise Malformed("a key is missing")
    return value[1:]


def _bytes(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("the words are missing")
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise Malformed("a number is missing")
    return value
