"""What the two sides of the local protocol say to each other.

A frame on the wire is a 4-byte length and a msgpack array of messages, so that a loop turn costs one write. A message
is an array that begins with its tag. `n` numbers a request and comes back in its answer; `session` is the number the
client gave a session when it logged in.
"""

from collections.abc import Iterator, Sequence
from struct import Struct as Layout
from typing import Any, Final

import msgspec

from wafleet.simulator.orders import Order

HELLO_LIMIT: Final = 4_096  # bytes a stranger may send before the token was seen
FRAME_LIMIT: Final = 16 * 1024 * 1024
_PER_FRAME: Final = 500  # messages; the longest text is 16 kB, so a frame stays below its limit
_HEAD: Final = Layout(">I")


class Message(msgspec.Struct, array_like=True, gc=False):
    """One message of the protocol."""


class Hello(Message, tag=1):
    token: str


class Login(Message, tag=2):
    n: int
    session: int
    phone: str
    credentials: bytes


class Send(Message, tag=3):
    n: int
    session: int
    ref: bytes  # the sender's own name for the message
    to: str
    text: str
    body: dict[str, Any] | None = None  # what is not plain text: a location, a contact card


class Acknowledge(Message, tag=4):
    session: int
    ids: list[str]


class Find(Message, tag=5):
    n: int
    session: int
    refs: list[bytes]


class Ping(Message, tag=6):
    n: int
    session: int


class Leave(Message, tag=7):
    session: int


class Link(Message, tag=8):
    n: int
    phone: str


class Cancel(Message, tag=9):
    n: int  # of the Link that is to end


class Unlink(Message, tag=10):
    n: int
    phone: str
    credentials: bytes


class Command(Message, tag=11):
    n: int
    order: Order


class Welcome(Message, tag=20): ...


class Done(Message, tag=21):
    n: int


class Taken(Message, tag=22):
    n: int
    id: str  # the network's name for what was sent


class Refused(Message, tag=23):
    n: int
    reason: str
    detail: str = ""
    wait: float = 0.0  # seconds after which trying again makes sense; 0: not said


class Found(Message, tag=24):
    n: int
    known: list[tuple[bytes, str, int]]  # ref, id, state
    absent: list[bytes]  # the network never had these


class Said(Message, tag=25):
    """A customer wrote."""

    session: int
    id: str
    sender: str
    name: str
    text: str
    body: dict[str, Any] | None
    at: float


class Receipt(Message, tag=26):
    session: int
    ref: bytes
    id: str
    state: int
    at: float


class Secret(Message, tag=27):
    """New credentials in place of the former ones."""

    session: int
    credentials: bytes


class Closed(Message, tag=28):
    session: int
    reason: str
    detail: str = ""
    wait: float = 0.0


class Shown(Message, tag=29):
    """What a phone must scan or type now to be linked."""

    n: int
    qr: str
    code: str
    seconds: float


class Linked(Message, tag=30):
    n: int
    credentials: bytes


class Result(Message, tag=31):
    n: int
    value: Any


SENT: Final = 1
DELIVERED: Final = 2
READ: Final = 3

Asking = Hello | Login | Send | Acknowledge | Find | Ping | Leave | Link | Cancel | Unlink | Command
Telling = (
    Welcome | Done | Taken | Refused | Found | Said | Receipt | Secret | Closed | Shown | Linked | Result
)  # fmt: skip

_encode = msgspec.msgpack.Encoder().encode
read_asking: Final = msgspec.msgpack.Decoder(list[Asking]).decode
read_telling: Final = msgspec.msgpack.Decoder(list[Telling]).decode


class Garbage(ValueError):
    """What arrived is not this protocol."""


def pack(messages: Sequence[Message]) -> bytes:
    """Write messages as frames, ready for the wire."""
    if len(messages) <= _PER_FRAME:
        body = _encode(messages)
        return _HEAD.pack(len(body)) + body
    return b"".join(pack(messages[i : i + _PER_FRAME]) for i in range(0, len(messages), _PER_FRAME))


class Splitter:
    """Cut a stream of bytes into frame bodies."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each body that is complete. Raises Garbage when a frame is larger than the limit."""
        rest = self._rest
        rest += data
        while len(rest) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(rest)
            if size > self.limit:
                raise Garbage(f"a frame of {size} bytes")
            end = _HEAD.size + size
            if len(rest) < end:
                return
            body = bytes(rest[_HEAD.size : end])
            del rest[:end]
            yield body
