"""The ledger on disk: an append-only file that survives `kill -9` of its writer.

A block is a length, a checksum, and a msgpack array of records: what happened within one turn of the event loop.
A last block that is torn or damaged is cut off. Nothing is synced: it need not survive the machine's death.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct as Layout
from typing import Any, Final

import msgspec

from wafleet.simulator.orders import LedgerLine

_HEAD: Final = Layout(">II")


class Record(msgspec.Struct, array_like=True, gc=False):
    """One thing that happened."""


class Founded(Record, tag=1):
    epoch: str  # part of every id, so that a network founded anew never repeats one
    number: int  # ids above this one are free


class Linked(Record, tag=2):
    account: str
    credentials: bytes
    former: bytes | None = None


class Unlinked(Record, tag=3):
    account: str


class Letter(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message for another account, which shall have it even if the network stops before it was delivered."""

    to: str
    text: str
    body: dict[str, Any] | None


class Crossed(Record, tag=4):
    """A message of an account crossed; `times` is 0 where it was hidden and did not."""

    account: str
    ref: bytes
    id: str
    number: int
    at: float
    times: int = 1
    hidden: bool = False
    canary: bool = False
    letter: Letter | None = None


class Offered(Record, tag=5):
    """A customer wrote."""

    account: str
    number: int
    id: str
    sender: str
    name: str
    text: str
    body: dict[str, Any] | None
    at: float


class Received(Record, tag=6):
    account: str
    ids: list[str]


class Counted(Record, tag=7):
    """Where an account's counts stand; the counts of `Crossed`, `Offered` and `Received` records come on top."""

    counts: LedgerLine


class Remembered(Record, tag=8):
    """Crossings and offers kept when the journal was rewritten: already in the counts."""

    crossed: list[Crossed]
    offers: list[tuple[str, str]]
    horizon: bytes


class Waits(Record, tag=9):
    """Messages that waited, and customers who had written, when the journal was rewritten."""

    account: str
    offers: list[Offered]
    knows: list[str]


AnyRecord = Founded | Linked | Unlinked | Crossed | Offered | Received | Counted | Remembered | Waits

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[AnyRecord]).decode


class Journal:
    """Append records to a file; they are on their way to it when `flush` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._buffer: list[Record] = []
        self.size = 0
        self.add = self._buffer.append

    def replay(self) -> Iterator[AnyRecord]:
        """Yield every whole record, then stand at the end, ready to append; a torn tail is cut off."""
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        while (block := _block(data, self.size)) is not None:
            records, self.size = block
            yield from records
        os.ftruncate(self._file, self.size)
        os.lseek(self._file, self.size, os.SEEK_SET)

    def flush(self) -> None:
        """Write what was added since the last call, as one block. Raises OSError, having written none of it."""
        if not self._buffer:
            return
        before = self.size
        try:
            self._write(self._file, self._buffer)
        except OSError:  # the disk is full: a torn block must not lie before what is written later
            self.size = before
            os.ftruncate(self._file, before)
            os.lseek(self._file, before, os.SEEK_SET)
            raise
        self._buffer.clear()

    def rewrite(self, records: Sequence[Record]) -> None:
        """Put these records in place of all that was written; a crash, or OSError, leaves the old file."""
        self.flush()
        beside = self.path.with_suffix(".new")
        file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        before, self.size = self.size, 0
        try:
            self._write(file, records)
            beside.replace(self.path)
        except OSError:
            self.size = before
            os.close(file)
            beside.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file = file

    def close(self) -> None:
        self.flush()
        os.close(self._file)

    def _write(self, file: int, records: Sequence[Record]) -> None:
        body = _encode(records)
        block = memoryview(_HEAD.pack(len(body), zlib.crc32(body)) + body)
        self.size += len(block)
        while block:
            block = block[os.write(file, block) :]


def _block(data: bytes, start: int) -> tuple[list[AnyRecord], int] | None:
    """Read the block at `start`: its records and where it ends; None if no whole block is there."""
    if len(data) < start + _HEAD.size:
        return None
    size, checksum = _HEAD.unpack_from(data, start)
    body = data[start + _HEAD.size : start + _HEAD.size + size]
    if len(body) < size or zlib.crc32(body) != checksum:
        return None
    try:
        return _decode(body), start + _HEAD.size + size
    except msgspec.DecodeError:
        return None
