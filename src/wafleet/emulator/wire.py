"""Stanzas, and the compact binary XML in which they cross a connection.

A stanza is a list: its tag, its attributes in pairs, and perhaps its content. Words of two tables (see tokens.py) take
one or two bytes; digits and hexadecimal digits are packed by twos; accounts and devices have forms of their own.
The first byte of a whole holds flags; 2 means that the rest is compressed.
Source: the protocol as its public clients speak it; the numbers below are the format's own.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

PEOPLE: Final = "s.whatsapp.net"  # the domain of phone numbers
LIDS: Final = "lid"  # the domain of the names that hide phone numbers
LARGEST: Final = 8 * 1024 * 1024  # bytes of one stanza, unpacked; what is larger is rubbish
_DEEPEST: Final = 64  # stanzas within stanzas


class Malformed(ValueError):
    """What came is not what the protocol allows; only its connection suffers."""


@dataclass(frozen=True, slots=True)
class Jid:
    """The name of an account, or of one of its devices. Device 0 is the phone."""

    user: str
    server: str = PEOPLE
    device: int = 0
    integrator: int = 0  # of the networks beside WhatsApp only

    @property
    def bare(self) -> "Jid":
        """The account, whichever of its devices this is."""
        return Jid(self.user, self.server, 0, self.integrator)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `user:device@server`. Raises Malformed."""
        found = re.fullmatch(r"(?:([^@:]*)(?::([0-9]{1,5}))?@)?([^@:]+)", text)
        if found is None:
            raise Malformed(f"not the name of an account: {text!r}")
        return cls(found[1] or "", found[3], int(found[2] or 0))

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}" if self.user else self.server


SERVER: Final = Jid("", PEOPLE)
Attribute = str | Jid


@dataclass(frozen=True, slots=True)
class Node:
    """One stanza, or a part of one."""

    tag: str
    attrs: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    content: "Sequence[Node] | bytes | None" = None

    @property
    def children(self) -> "Sequence[Node]":
        return () if self.content is None or isinstance(self.content, bytes) else self.content

    @property
    def data(self) -> bytes:
        """The bytes it holds; none when it holds parts or nothing."""
        return self.content if isinstance(self.content, bytes) else b""

    def child(self, *path: str) -> "Node | None":
        """Return the first part of this path; None when there is none."""
        node: Node | None = self
        for tag in path:
            node = next((part for part in node.children if part.tag == tag), None) if node else None
        return node

    def need(self, *path: str) -> "Node":
        """Return the first part of this path. Raises Malformed when there is none."""
        found = self.child(*path)
        if found is None:
            raise Malformed(f"<{self.tag}> lacks <{'/'.join(path)}>")
        return found

    def text(self, name: str, default: str = "") -> str:
        """Return an attribute as text."""
        return str(self.attrs.get(name, default))

    def jid(self, name: str) -> Jid:
        """Return an attribute that names an account. Raises Malformed."""
        value = self.attrs.get(name)
        if value is None:
            raise Malformed(f"<{self.tag}> lacks the attribute {name}")
        return value if isinstance(value, Jid) else Jid.parse(value)

    def with_attrs(self, more: Mapping[str, Attribute]) -> "Node":
        """Return the same stanza with more attributes; those of the same name are replaced."""
        return Node(self.tag, {**self.attrs, **more}, self.content)

    def __str__(self) -> str:
        attrs = "".join(f' {name}="{value}"' for name, value in self.attrs.items())
        if self.content is None:
            return f"<{self.tag}{attrs}/>"
        inner = f"[{len(self.data)} bytes]" if isinstance(self.content, bytes) else "".join(map(str, self.content))
        return f"<{self.tag}{attrs}>{inner}</{self.tag}>"


class Form(IntEnum):
    """How the next value is written."""

    EMPTY = 0
    DICTIONARY = 236  # and the three after it
    OTHER_NETWORK = 245
    MESSENGER = 246
    DEVICE = 247
    LIST_8 = 248
    LIST_16 = 249
    ACCOUNT = 250
    HEX = 251
    BYTES_8 = 252
    BYTES_20 = 253
    BYTES_32 = 254
    NIBBLES = 255


_DICTIONARIES: Final = 4
_NIBBLES: Final = "0123456789-."
_HEX: Final = "0123456789ABCDEF"
_PACKED: Final = 127  # bytes at most; the highest bit of the length says that the last half is unused
_DOMAINS: Final = {0: PEOPLE, 1: LIDS, 128: "hosted", 129: "hosted.lid"}
_NUMBERS: Final = {server: number for number, server in _DOMAINS.items()}
_SMALL_DEVICE: Final = 255
_ONLY_NIBBLES: Final = re.compile(r"[0-9.\-]{1,253}")
_ONLY_HEX: Final = re.compile(r"[0-9A-F]{1,253}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words that have numbers. `single[0]` stands for nothing."""

    single: Sequence[str]
    double: Sequence[Sequence[str]]


class Codec:
    """Write stanzas as bytes and read them again."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._written: dict[str, bytes] = {
            word: bytes((Form.DICTIONARY + book, number))
            for book, words in enumerate(tokens.double)
            for number, word in enumerate(words)
        }
        self._written |= {word: bytes((number,)) for number, word in enumerate(tokens.single) if number}

    def encode(self, node: Node) -> bytes:
        """Write a stanza. Raises Malformed when it cannot be written."""
        out = bytearray((0,))
        self._node(out, node)
        return bytes(out)

    def decode(self, data: bytes) -> Node:
        """Read a stanza. Raises Malformed."""
        if not data:
            raise Malformed("an empty stanza")
        body = _inflated(data[1:]) if data[0] & 2 else data[1:]
        reader = _Reader(body, self._tokens)
        try:
            node = reader.node(0)
        except (IndexError, UnicodeDecodeError) as e:
            raise Malformed(f"a stanza that breaks off or is no text, at byte {reader.at}") from e
        if reader.at != len(body):
            raise Malformed(f"{len(body) - reader.at} bytes after the end of a stanza")
        return node

    def _node(self, out: bytearray, node: Node) -> None:
        _list(out, 1 + 2 * len(node.attrs) + (node.content is not None))
        self._text(out, node.tag)
        for name, value in node.attrs.items():
            self._text(out, name)
            self._value(out, value)
        if isinstance(node.content, bytes):
            _bytes(out, node.content)
        elif node.content is not None:
            _list(out, len(node.content))
            for part in node.content:
                self._node(out, part)

    def _value(self, out: bytearray, value: Attribute) -> None:
        if isinstance(value, Jid):
            self._jid(out, value)
        else:
            self._text(out, value)

    def _jid(self, out: bytearray, jid: Jid) -> None:
        domain = _NUMBERS.get(jid.server)
        if jid.server == "interop":
            out.append(Form.OTHER_NETWORK)
            self._text(out, jid.user)
            out += jid.device.to_bytes(2, "big") + jid.integrator.to_bytes(2, "big")
        elif jid.server == "msgr":
            out.append(Form.MESSENGER)
            self._text(out, jid.user)
            out += jid.device.to_bytes(2, "big")
        elif domain is not None and jid.user and 0 < jid.device <= _SMALL_DEVICE:
            out += bytes((Form.DEVICE, domain, jid.device))
            self._text(out, jid.user)
            return
        else:
            if jid.device:
                raise Malformed(f"{jid} has no form on the wire")
            out.append(Form.ACCOUNT)
            if jid.user:
                self._text(out, jid.user)
            else:
                out.append(Form.EMPTY)
        self._text(out, jid.server)

    def _text(self, out: bytearray, text: str) -> None:
        written = self._written.get(text)
        if written:
            out += written
        elif _ONLY_NIBBLES.fullmatch(text):
            _pack(out, Form.NIBBLES, _NIBBLES, text)
        elif _ONLY_HEX.fullmatch(text):
            _pack(out, Form.HEX, _HEX, text)
        else:
            _bytes(out, text.encode())


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, LARGEST)
    except zlib.error as e:
        raise Malformed("a stanza whose compression is broken") from e
    if not inflater.eof:
        raise Malformed("a stanza that is too large, or breaks off")
    return found


def _list(out: bytearray, length: int) -> None:
    if length == 0:
        out.append(Form.EMPTY)
    elif length < 1 << 8:
        out += bytes((Form.LIST_8, length))
    else:
        out.append(Form.LIST_16)
        out += length.to_bytes(2, "big")


def _bytes(out: bytearray, data: bytes) -> None:
    if len(data) < 1 << 8:
        out += bytes((Form.BYTES_8, len(data)))
    elif len(data) < 1 << 20:
        out.append(Form.BYTES_20)
        out += len(data).to_bytes(3, "big")
    else:
        out.append(Form.BYTES_32)
        out += len(data).to_bytes(4, "big")
    out += data


def _pack(out: bytearray, form: Form, alphabet: str, text: str) -> None:
    odd = len(text) % 2
    halves = [alphabet.index(letter) for letter in text] + [15] * odd
    out += bytes((form, len(halves) // 2 | odd << 7))
    out += bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


class _Reader:
    """Read values one after another. Raises IndexError where the bytes end."""

    def __init__(self, data: bytes, tokens: Tokens) -> None:
        self._data, self._tokens = data, tokens
        self.at = 0

    def node(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise Malformed("stanzas within stanzas without end")
        length = self._length(self._number())
        if length == 0:
            raise Malformed("a stanza without a tag")
        tag = self._text()
        attrs = {self._text(): self._attribute() for _ in range((length - 1) // 2)}
        return Node(tag, attrs, self._content(depth) if length % 2 == 0 else None)

    def _number(self, size: int = 1) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise IndexError(end)
        found, self.at = self._data[self.at : end], end
        return found

    def _length(self, form: int) -> int:
        if form == Form.EMPTY:
            return 0
        if form in (Form.LIST_8, Form.LIST_16):
            return self._number(1 if form == Form.LIST_8 else 2)
        raise Malformed(f"{form} where a list begins, at byte {self.at}")

    def _content(self, depth: int) -> Sequence[Node] | bytes | None:
        form = self._number()
        if form == Form.EMPTY:
            return []
        if form in (Form.LIST_8, Form.LIST_16):
            return [self.node(depth + 1) for _ in range(self._length(form))]
        if form in (Form.BYTES_8, Form.BYTES_20, Form.BYTES_32):
            return self._raw(form)
        return str(self._value(form)).encode()

    def _text(self) -> str:
        return str(self._value(self._number()))

    def _attribute(self) -> Attribute:
        return self._value(self._number())

    def _value(self, form: int) -> Attribute:
        if form == Form.EMPTY:
            return ""
        if form in (Form.BYTES_8, Form.BYTES_20, Form.BYTES_32):
            return self._raw(form).decode()
        if form in (Form.NIBBLES, Form.HEX):
            return self._packed(form)
        if form in (Form.ACCOUNT, Form.DEVICE, Form.MESSENGER, Form.OTHER_NETWORK):
            return self._jid(form)
        return self._token(form)

    def _raw(self, form: int) -> bytes:
        if form == Form.BYTES_20:
            return self._take(self._number(3) & 0xFFFFF)
        return self._take(self._number(1 if form == Form.BYTES_8 else 4))

    def _packed(self, form: int) -> str:
        head = self._number()
        letters = (_NIBBLES if form == Form.NIBBLES else _HEX).ljust(16, "\0")
        found = "".join(letters[byte >> 4] + letters[byte & 15] for byte in self._take(head & _PACKED))
        found = found[:-1] if head & 128 else found
        if "\0" in found:
            raise Malformed(f"packed digits that are none, at byte {self.at}")
        return found

    def _jid(self, form: int) -> Jid:
        if form == Form.DEVICE:
            domain, device = self._number(), self._number()
            if domain not in _DOMAINS:
                raise Malformed(f"a device of the unknown domain {domain}")
            return Jid(self._text(), _DOMAINS[domain], device)
        user = self._text()
        if form == Form.ACCOUNT:
            return Jid(user, self._text())
        device = self._number(2)
        integrator = self._number(2) if form == Form.OTHER_NETWORK else 0
        return Jid(user, self._text(), device, integrator)

    def _token(self, form: int) -> str:
        if form < Form.DICTIONARY:
            return self._tokens.single[form]
        if form < Form.DICTIONARY + _DICTIONARIES:
            return self._tokens.double[form - Form.DICTIONARY][self._number()]
        raise Malformed(f"the unknown form {form}, at byte {self.at}")
