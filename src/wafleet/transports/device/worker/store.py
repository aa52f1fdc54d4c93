"""The two files a worker keeps in an account's private store, beside the library's own.

`sent.journal`, lines of text, only ever appended:
  `> REF ID`     our message REF is about to leave under the network's name ID (on disk before it leaves)
  `< REF ID`     the network took it
  `! REF WORDS`  the library answered with an error instead; WORDS is the error, on one line
A message without a `>` line never left. One with `>` alone may have left.

`inbound.spool`, records `!IQI`: length of the data, sequence number, event code; then the data. A record cut short at
the end was being written when the worker died: it was not acknowledged, so the network brings it again.

What is written is on the disk itself when a method returns, not only in the system's memory.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from .reading import message_id

JOURNAL: Final = "sent.journal"
SPOOL: Final = "inbound.spool"

_RECORD: Final = struct.Struct("!IQI")
_JOURNAL_BYTES: Final = 2**20  # of a longer one, the newer half is kept at the next start: about 6,000 messages
_SPOOL_BYTES: Final = 4 * 2**20  # a longer one is written anew without what is stored
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


def spooled(folder: Path) -> Iterator[tuple[int, int, bytes]]:
    """Read what was spooled and is not stored yet, in order: sequence number, code, data."""
    data = _read(folder / SPOOL)
    at = 0
    while at + _RECORD.size <= len(data):
        length, seq, code = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            return
        yield seq, code, data[at - length : at]


def journal(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Read the journal's whole lines, in order: mark, our reference, the network's name or the error."""
    whole, _, _ = _read(folder / JOURNAL).rpartition(b"\n")
    for line in whole.decode("utf-8", "replace").split("\n"):
        mark, _, rest = line.partition(" ")
        ref, _, value = rest.partition(" ")
        if mark in {">", "<", "!"} and ref:
            yield mark, ref, value


class Journal:
    """What of ours left this machine, under which name."""

    def __init__(self, folder: Path) -> None:
        path = folder / JOURNAL
        _shorten(path)
        self._file = _appending(path)

    def leaves(self, ref: str, id: str) -> None:
        self._write(f"> {ref} {id}")

    def taken(self, ref: str, id: str) -> None:
        self._write(f"< {ref} {id}")

    def failed(self, ref: str, error: str) -> None:
        self._write(f"! {ref} {' '.join(error.split())}")

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: str) -> None:
        _write(self._file, line.encode() + b"\n")


class _Kept:
    """One event in the spool."""

    __slots__ = ("code", "id", "record")

    def __init__(self, code: int, data: bytes, seq: int) -> None:
        self.code, self.id = code, message_id(data)
        self.record = _RECORD.pack(len(data), seq, code) + data


class Spool:
    """What came in and is not stored yet. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SPOOL
        self._kept = {seq: _Kept(code, data, seq) for seq, code, data in spooled(folder)}
        self._seq = max(self._kept, default=0)
        self._room = threading.Condition()
        self._file = self._written_anew()
        self._size = sum(len(one.record) for one in self._kept.values())

    def add(self, code: int, data: bytes) -> int:
        """Keep one event; return its sequence number."""
        with self._room:
            self._seq += 1
            kept = _Kept(code, data, self._seq)
            _write(self._file, kept.record)
            self._size += len(kept.record)
            self._kept[self._seq] = kept
            return self._seq

    def drop(self, ids: Iterable[str]) -> None:
        """Forget these messages: they are stored."""
        gone = set(ids)
        with self._room:
            self._kept = {seq: kept for seq, kept in self._kept.items() if kept.id not in gone}
            self._shrink()
            self._room.notify_all()

    def ids(self, code: int) -> list[str]:
        """Return the messages in it that came with an event of this code."""
        return [one.id for one in self._kept.values() if one.code == code]

    def wait_for_room(self, most: int) -> None:
        """Return when no more than `most` events are kept."""
        with self._room:
            self._room.wait_for(lambda: len(self._kept) <= most)

    def full(self, most: int) -> bool:
        return len(self._kept) > most

    def close(self) -> None:
        os.close(self._file)

    def _shrink(self) -> None:
        if not self._kept and self._size:
            os.ftruncate(self._file, 0)
            self._size = 0
        elif self._size > _SPOOL_BYTES:
            os.close(self._file)
            self._file = self._written_anew()
            self._size = sum(len(one.record) for one in self._kept.values())

    def _written_anew(self) -> int:
        anew = self._path.with_suffix(".anew")
        file = _appending(anew, os.O_TRUNC)
        _write(file, b"".join(one.record for one in self._kept.values()))
        anew.replace(self._path)
        return file


def _appending(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o600)


def _write(file: int, data: bytes) -> None:
    if os.write(file, data) != len(data):
        raise OSError("the disk took only a part of it")
    _sync(file)


def _shorten(path: Path) -> None:
    """Drop the older half of a long journal, and a line that was cut short."""
    data = _read(path)
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) > _JOURNAL_BYTES:
        whole = whole[whole.index(b"\n", len(whole) - _JOURNAL_BYTES // 2) + 1 :]
    if whole == data:
        return
    anew = path.with_suffix(".anew")
    file = _appending(anew, os.O_TRUNC)
    _write(file, whole)
    os.close(file)
    anew.replace(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
