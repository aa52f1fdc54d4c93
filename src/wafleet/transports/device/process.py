"""One worker process: how it is started, its line, and how it ends."""

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, cast

import psutil

from wafleet.transports.device.ears import Gone, Why
from wafleet.transports.device.worker.line import ALONE, DISK, Frame, Garbage, Kind, Splitter, packed

log = logging.getLogger(__name__)

PLACE: Final = Path(__file__).parent  # where the package `worker` lies
_START: Final = "import sys; sys.path.append(sys.argv[1]); from worker.main import main; main()"
_PASSED_ON: Final = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_LAST_WORDS: Final = re.compile(r"^(?:fatal error|panic|SIG\w+):.*$|^\w*(?:Error|Exception)\b.*$", re.M)
_KEPT: Final = 8192  # bytes of what it last said
_FLOOD: Final = 20_000  # frames between two looks; an account in a hurry sends some hundreds
_EXIT_S: Final = 3.0  # from the end of its line to its end


class Hears(Protocol):
    """A client, as its process speaks to it."""

    def frame(self, kind: Kind, fields: list[bytes]) -> None:
        """Take what the worker says of this client. Raises ValueError or IndexError where it makes no sense."""
        ...

    def ended(self, why: Why, detail: str) -> None:
        """Learn that the process is no more."""
        ...

    async def renew(self, why: Why, detail: str) -> None:
        """End in good order, and say why."""
        ...


class Process(asyncio.Protocol):
    """One worker process. It lives until its line ends; whatever ends the line ends the process."""

    def __init__(self, *, place: Path, program: Path, ca: Path | None, alive: int) -> None:
        loop = asyncio.get_running_loop()
        self._place, self.program, self.ca, self._alive = place, program, ca, alive
        self.started_at = loop.time()
        self.clients: dict[int, Hears] = {}
        self.retiring = False  # no further clients
        self.closing = False  # nor calls
        self.over: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._why, self._detail = Why.CRASHED, ""
        self._last, self._silent, self._frames = 0, 0, 0
        self._said = _LastWords()
        self._splitter = Splitter()

    async def start(self, *, beat_s: float, limit_s: float) -> None:
        """Start it. Raises Gone. Called in a thread that lasts: a worker ends with the thread that started it."""
        await self._spawn(beat_s)
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.kill(Why.STUCK, "")
            raise Gone(f"The worker did not start within {limit_s:g} s") from None
        except asyncio.CancelledError:
            self.condemn(Why.STOPPED, "")
            raise

    async def _spawn(self, beat_s: float) -> None:
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            given = (self.program, theirs.fileno(), self._alive, os.getpid(), beat_s)
            command = [*_command(self._place), *map(str, given)]
            self._child = _spawned(command, self.ca, [theirs.fileno(), self._alive], writing)
        except OSError as e:
            ours.close()
            os.close(reading)
            raise Gone(f"The worker did not start: {e}") from e
        finally:
            theirs.close()
            os.close(writing)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: self._said, os.fdopen(reading, "rb", 0))
        await loop.create_unix_connection(lambda: self, sock=ours)

    @property
    def pid(self) -> int:
        return self._child.pid

    def admit(self, client: Hears) -> int:
        """Give a client its number."""
        self._last += 1
        self.clients[self._last] = client
        return self._last

    def tell(self, client: int, kind: Kind, *fields: bytes | str | int) -> None:
        if not self._line.is_closing():
            self._line.write(packed(client, kind, *fields))

    async def leave(self, client: int) -> None:
        """Let go of a client that has stopped. With the last one the process ends in good order."""
        self.clients.pop(client, None)
        if not self.clients:
            self.closing = True
            self._line.close()
            await asyncio.shield(self.over)

    async def kill(self, why: Why, detail: str) -> None:
        """End it at once; its clients learn why. Returns when it is gone."""
        self.condemn(why, detail)
        await asyncio.shield(self.over)

    def condemn(self, why: Why, detail: str) -> None:
        """Kill it without waiting for its end."""
        if not self.over.done():
            self._why, self._detail, self.closing = why, detail, True
            self._child.kill()
            self._line.abort()

    def silence(self) -> int:
        """Count one more look at it; tell how many there were since it last said anything."""
        self._silent, self._frames = self._silent + 1, 0
        return self._silent

    def memory(self, most: float) -> float:
        """Its memory in megabytes; only where that may be above `most`, what it shares is counted in shares."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            rss = process.memory_info().rss / 2**20
            if rss <= most:
                return rss
            full = process.memory_full_info()
            return float(getattr(full, "pss", full.uss)) / 2**20
        return 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what the worker says; one that says nonsense, or says it without end, is killed."""
        self._silent = 0
        try:
            for frame in self._splitter.feed(data):
                self._take(frame)
        except (Garbage, ValueError, IndexError) as e:
            log.warning("a worker said what none says", exc_info=True)
            self.condemn(Why.GARBLED, f"it said what no worker says: {e}")
        if self._frames > _FLOOD:
            self.condemn(Why.GARBLED, f"it said more than {_FLOOD} things at once")

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._ending = asyncio.create_task(self._end(), name="worker ends")

    def _take(self, frame: Frame) -> None:
        client, kind, fields = frame
        self._frames += 1
        if kind is Kind.READY and not self._ready.done():
            self._ready.set_result(None)
        elif kind is Kind.BEAT:
            for number, heard in zip(fields[::2], fields[1::2], strict=True):
                self._hand(int(number), kind, [heard])
        else:
            self._hand(client, kind, fields)

    def _hand(self, client: int, kind: Kind, fields: list[bytes]) -> None:
        if found := self.clients.get(client):
            found.frame(kind, fields)

    async def _end(self) -> None:
        """See it out: nothing that lost its line runs on."""
        status = await self._exited()
        if status == DISK and self._why is Why.CRASHED:
            self._why = Why.DISK
        detail = self._detail or _ended(status, await self._said.all())
        log.debug("worker ended", extra={"pid": self.pid, "detail": detail})
        if not self._ready.done():
            self._ready.set_exception(Gone(f"The worker did not start: {detail}"))
            self._ready.exception()
        self.over.set_result(None)
        for client in list(self.clients.values()):
            client.ended(self._why, detail)
        self.clients.clear()

    async def _exited(self) -> int:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(None, self._child.wait, _EXIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return await loop.run_in_executor(None, self._child.wait)


class _LastWords(asyncio.Protocol):
    """Reads what a worker writes to its standard error, and keeps the end of it."""

    def __init__(self) -> None:
        self._kept = b""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def all(self) -> str:
        """What it wrote last, when it is no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._over)
        self._pipe.close()
        return self._kept.decode("utf-8", "replace")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pipe = transport

    def data_received(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-_KEPT:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set_result(None)


def _command(place: Path) -> list[str]:
    """Without the site's packages and the user's settings: the worker is to stay small, and the same everywhere."""
    return [sys.executable, "-I", "-S", "-c", _START, str(place)]


def _environment(ca: Path | None) -> dict[str, str]:
    """Little, and nothing of ours: what wafleet is told by its environment is no business of the library."""
    names = [*_PASSED_ON, *_PROXIES, *(name.lower() for name in _PROXIES)]
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"NEONIZE_BOT_TAG": "off", "MALLOC_ARENA_MAX": "2", "GOTRACEBACK": "single"}
    return environment | ({"SSL_CERT_FILE": str(ca)} if ca else {})


def _spawned(command: list[str], ca: Path | None, passed: Sequence[int], words: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603
        command,
        env=_environment(ca),
        pass_fds=passed,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the library prints messages there
        stderr=words,
        start_new_session=True,  # Ctrl-C in a terminal is for us, and we end it in good order
    )


def _ended(status: int, words: str) -> str:
    if status == ALONE:
        return "this node stood still for so long that another one might have taken its accounts"
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    said = _LAST_WORDS.findall(words)
    return f"{how}: {said[0][:200]}" if said else how
