"""How long a message is read but not yet on disk, seen from outside: by the writes to a device's private store."""

import asyncio
import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path

from benchmarks.place import Place, until
from wafleet.transports.device.worker.store import SPOOL

_MODIFIED = 0x2  # source: inotify(7), as all below
_HEAD = struct.Struct("iIII")
_QUIET_S = 0.05  # between two messages nothing is written for longer than this


class Watch(threading.Thread):
    """Notes when each file of a folder is written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), _MODIFIED) < 0:
            raise OSError(ctypes.get_errno(), "the folder cannot be watched", str(folder))
        self.seen: list[tuple[float, str]] = []  # monotonic seconds, file
        self._over = False

    def run(self) -> None:
        while not self._over:
            if not select.select([self._fd], [], [], 0.2)[0]:
                continue
            data, now, at = os.read(self._fd, 65536), time.monotonic(), 0
            while at < len(data):
                length = _HEAD.unpack_from(data, at)[3]
                at += _HEAD.size + length
                self.seen.append((now, data[at - length : at].rstrip(b"\0").decode()))

    def stop(self) -> None:
        self._over = True
        self.join()
        os.close(self._fd)


async def windows(place: Place, phone: str, account: str, count: int) -> list[float]:
    """Have customers write one after another; return for each message the seconds from its reading to its storing."""
    watch = Watch(place.folder / "devices" / account)
    watch.start()
    for number in range(count):
        await place.control.say(f"+97155{number % 5:07d}", phone, f"message {number}")
        await _stored(place, account, number + 1)
        await asyncio.sleep(_QUIET_S * 3)
    await asyncio.to_thread(watch.stop)
    return _gaps(watch.seen)


async def _stored(place: Place, account: str, count: int) -> None:
    stored = "select count(*) from messages where direction = 'in' and account_id = %(account)s"
    await until(lambda: place.count(stored, account=account), lambda seen: seen >= count)


def _gaps(seen: list[tuple[float, str]]) -> list[float]:
    """Pair each write of the spool with the first write of keys since it was last quiet."""
    gaps: list[float] = []
    first = last = -1.0
    for at, file in seen:
        if at - last > _QUIET_S:
            first = -1.0
        last = at
        if file.startswith("session.db"):
            first = at if first < 0 else first
        elif file == SPOOL and first >= 0:
            gaps.append(at - first)
            first = -1.0
    return gaps
