"""The worker's process: reads what our side asks for, says that it lives, and ends when our side does."""

import contextlib
import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final, NoReturn

from .account import Account
from .library import Library, sure
from .line import ALONE, Frame, Kind, Splitter, packed

_PR_SET_PDEATHSIG: Final = 1  # source: prctl(2)
_STACK: Final = 512 * 1024  # bytes of a thread's stack
_READ: Final = 2**18  # bytes at once
_GRACE_S: Final = 2.0  # to disconnect when our side is gone


class _Ended(Exception):
    """Our side is gone, or wants us to be."""


class Worker:
    """The process: one line to our side, one library, an account or several."""

    def __init__(self, line: socket.socket, library: Library) -> None:
        self._line, self._library = line, library
        self._telling, self._door = threading.Lock(), threading.Lock()
        self._accounts: dict[int, Account] = {}

    def run(self, beat_s: float) -> None:
        """Serve our side until it is gone."""
        self.tell(0, Kind.READY, self._library.version())
        waits, splitter = select.poll(), Splitter()
        waits.register(self._line, select.POLLIN)
        beat_at = 0.0
        while True:
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + beat_s
            if waits.poll(max(beat_at - time.monotonic(), 0) * 1000):
                for frame in splitter.feed(self._received()):
                    self._take(frame)

    def tell(self, client: int, kind: Kind, *fields: bytes | str | int) -> None:
        """Say one thing to our side; what cannot be said any more is in the journal and the spool."""
        frame = packed(client, kind, *fields)
        with self._telling, contextlib.suppress(OSError):
            self._line.sendall(frame)

    def stop(self) -> None:
        """Disconnect all accounts, as far as there is time."""
        stopping = [threading.Thread(target=sure(one.stop), daemon=True) for one in self._accounts.values()]
        until = time.monotonic() + _GRACE_S
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(max(until - time.monotonic(), 0))

    def _received(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            if data := self._line.recv(_READ):
                return data
        raise _Ended

    def _beat(self) -> None:
        heard = [word for number, one in self._accounts.items() for word in (number, repr(one.heard_at))]
        self.tell(0, Kind.BEAT, *heard)

    def _take(self, frame: Frame) -> None:
        client, kind, fields = frame
        if kind is Kind.OPEN:
            self._open(client, Path(os.fsdecode(fields[0])), fields[1])
            return
        account = self._accounts[client]
        if kind is Kind.CALL:
            account.call(int(fields[0]), fields[1].decode(), fields[2].decode(), fields[3:])
        elif kind is Kind.STORED:
            account.stored([id.decode() for id in fields])
        elif kind is Kind.CONNECT:
            account.connect(fields[0], fields[1])
        elif kind is Kind.CANCEL:
            account.cancel(int(fields[0]))
        elif kind is Kind.STOP:
            threading.Thread(target=sure(self._stop), args=(client, self._accounts.pop(client)), daemon=True).start()

    def _open(self, client: int, folder: Path, proxy: bytes) -> None:
        def tell(kind: Kind, *fields: bytes | str | int) -> None:
            self.tell(client, kind, *fields)

        self._accounts[client] = Account(client, folder, proxy, library=self._library, door=self._door, tell=tell)

    def _stop(self, client: int, account: Account) -> None:
        account.stop()
        self.tell(client, Kind.STOPPED)


def main() -> NoReturn:
    """Run a worker.

    Arguments: program, descriptors of the line and of the moment until which it may go on, process id of our side,
    seconds between two beats.
    """
    program, descriptor, alive, parent, beat_s = sys.argv[-5:]
    _guard(int(parent))
    until = memoryview(mmap.mmap(int(alive), mmap.PAGESIZE, prot=mmap.PROT_READ)).cast("d")
    threading.Thread(target=sure(_live), args=(until,), daemon=True).start()
    sure(_serve)(program, int(descriptor), float(beat_s))
    os._exit(0)  # the library's threads would keep an ordinary end waiting for ever


def _serve(program: str, descriptor: int, beat_s: float) -> None:
    worker = Worker(socket.socket(fileno=descriptor), Library(program))
    with contextlib.suppress(_Ended):
        worker.run(beat_s)
    worker.stop()


def _guard(parent: int) -> None:
    """End with our side, whatever ends it, and leave no picture of the memory behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(_STACK)
    signal.signal(signal.SIGTERM, _end)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _live(until: "memoryview[float]") -> NoReturn:
    """End at once when our side has stood still for too long: by then another one may run these accounts.

    A thread of its own, which says nothing: the others may wait until our side takes what they say.
    """
    while (left := until[0] - time.monotonic()) > 0:
        time.sleep(left)
    os._exit(ALONE)


def _end(*_: object) -> NoReturn:
    raise _Ended
