"""The little a worker must read of what the library says: a few fields, and the head of a stanza."""

import re
from typing import Final, NamedTuple

_HEAD: Final = re.compile(r'<([\w:.-]+)((?: [\w:.-]+="[^"]*")*)')
_ATTRIBUTE: Final = re.compile(r' ([\w:.-]+)="([^"]*)"')

MESSAGE, UNDECRYPTABLE = 17, 44  # event codes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # source: the protobuf encoding


class Stanza(NamedTuple):
    """The head of a stanza, as the library writes it to its log."""

    tag: str
    attributes: dict[str, str]


def stanza(xml: str) -> Stanza:
    """Read the first element of a stanza; attributes of the same name count once, the first."""
    head = _HEAD.match(xml)
    if not head:
        return Stanza("", {})
    return Stanza(head[1], {name: value for name, value in reversed(_ATTRIBUTE.findall(head[2]))})


def fields(data: bytes) -> dict[int, bytes]:
    """Read the texts, bytes and messages among a protobuf message's fields; of a repeated one the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        if key & 7 == _BYTES:
            length, at = _number(data, at)
            found[key >> 3] = data[at : at + length]
            at += length
        else:
            at = _after(data, at, key & 7)
    return found


def message_id(event: bytes) -> str:
    """Read the network's name of a message in the library's events 17 and 44: field 2 of field 1. Empty: unreadable."""
    try:
        return fields(fields(event).get(1, b"")).get(2, b"").decode("utf-8", "replace")
    except (ValueError, IndexError):
        return ""


def _after(data: bytes, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _number(data, at)[1]
    if kind in {_FIXED64, _FIXED32}:
        return at + (8 if kind == _FIXED64 else 4)
    raise ValueError(f"no protobuf field of kind {kind}")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
