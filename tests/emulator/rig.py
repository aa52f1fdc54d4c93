"""An emulator in this process, and the real library in processes of its own, driven step by step."""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from wafleet.clientlib.protos import e2e, told
from wafleet.emulator.endpoint import Way
from wafleet.emulator.pairing import Times
from wafleet.emulator.parts import build
from wafleet.emulator.server import Emulator
from wafleet.simulator.manners import Manners
from wafleet.simulator.world import World

PHONE: Final = "+491701110001"
CUSTOMER: Final = "+491601110002"
WAIT_S: Final = 20.0
# The library writes each of 812 keys in a transaction of its own: without a flush to disk for each, linking takes a
# tenth of a second instead of seconds. What it adds behind the name ends in `_rest`. A killed process loses nothing.
_QUICKLY: Final = "_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_rest="
QUICK: Final = Manners(
    login_s=(0.0, 0.0), answer_s=(0.0, 0.01), delivered_s=(0.0, 0.02), read_s=(0.02, 0.05), read_share=1.0
)
EVENTS: Final = {
    1: told.QR,
    2: told.PairStatus,
    3: told.Connected,
    4: told.KeepAliveTimeout,
    5: told.KeepAliveRestored,
    6: told.LoggedOut,
    7: told.StreamReplaced,
    8: told.TemporaryBan,
    9: told.ConnectFailure,
    10: told.ClientOutdated,
    11: told.StreamError,
    12: told.Disconnected,
    13: told.HistorySync,
    17: told.Message,
    18: told.Receipt,
    19: told.ChatPresence,
    20: told.Presence,
    24: told.IdentityChange,
    26: told.OfflineSyncPreview,
    27: told.OfflineSyncCompleted,
    44: told.UndecryptableMessage,
}


@asynccontextmanager
async def emulating(
    folder: Path, *, manners: Manners = QUICK, times: Times | None = None, journal: Path | None = None
) -> AsyncGenerator[Emulator]:
    """An emulator that listens, on a world of its own."""
    world = World(seed=1, manners=manners, journal=journal)
    try:
        async with build(world, folder, times=times) as emulator:
            yield emulator
    finally:
        world.close()
        for way in ("plain", "tls"):  # the patched copies are large, and written anew at the next start
            shutil.rmtree(folder / way, ignore_errors=True)


class Client:
    """One process with the real library.

    events  what it told, as (name, message), oldest first; `mark` and `since` look at the later ones only
    codes   the QR codes it showed
    logs    what it logged, when asked to
    """

    def __init__(self, way: Way, database: Path, proxy_for_all: str = "") -> None:
        self.way, self.database = way, database
        self._safety = proxy_for_all
        self.events: list[tuple[str, Any]] = []
        self.codes: list[str] = []
        self.logs: list[Any] = []
        self.ended: str | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, *, logs: bool = False) -> None:
        """Start the process, without connecting."""
        program = Path(__file__).with_name("client_program.py")
        environment = {**os.environ, "NEONIZE_BOT_TAG": "off"}
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
            environment.pop(name, None)
        environment["SSL_CERT_FILE"] = self.way.ca
        environment["HTTPS_PROXY"] = self._safety  # whatever it calls, it stays on this host
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(program), self.way.library, "logs" if logs else "quiet"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            limit=64 * 1024 * 1024,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def start(self) -> None:
        """Connect: a linked one logs in, another one shows QR codes."""
        await self.call("start", f"{self.database}?{_QUICKLY}", self.way.proxy)

    async def call(self, do: str, *args: bytes | str | int) -> Any:
        """Call a function of the library; bytes it gives come back as bytes, text as str."""
        process = self._process
        assert process
        assert process.stdin
        number = len(self._answers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        given = [_b64(arg) if isinstance(arg, bytes) else arg for arg in args]
        process.stdin.write(json.dumps({"n": number, "do": do, "args": given}).encode() + b"\n")
        async with asyncio.timeout(WAIT_S):
            return await answer

    async def qr(self, at: int = 0) -> str:
        """Return the QR code it shows, the `at`-th."""
        await self._until(lambda: len(self.codes) > at, "no QR code")
        return self.codes[at]

    async def event(self, name: str, where: Callable[[Any], bool] = lambda _: True, *, since: int = 0) -> Any:
        """Wait for what it tells, and return it."""

        def found() -> Any:
            return next((m for n, m in self.events[since:] if n == name and where(m)), None)

        await self._until(lambda: found() is not None, f"no {name} among", since)
        return found()

    def mark(self) -> int:
        """Return the place from which `since` counts."""
        return len(self.events)

    async def pair_code(self, phone: str) -> str:
        """Ask for a code to type into a phone."""
        params = told.PairPhoneParams(
            phone=phone.removeprefix("+"), clientDisplayName="Firefox (Linux)", clientType=3, showPushNotification=True
        ).SerializeToString()
        answer = told.PairPhoneReturnFunction.FromString(await self.call("PairPhone", params, len(params)))
        assert not answer.Error, answer.Error
        return answer.Code

    async def send(self, phone: str, message: e2e.Message) -> Any:
        """Send a message; return the library's answer, whose `Error` says what went wrong."""
        to = jid(phone.removeprefix("+"), "s.whatsapp.net")
        data = message.SerializeToString()
        answer = await self.call("SendMessage", to, len(to), data, len(data))
        return told.SendMessageReturnFunction.FromString(answer)

    async def say(self, phone: str, text: str) -> str:
        """Send a text that must arrive; return its id."""
        answer = await self.send(phone, e2e.Message(conversation=text))
        assert not answer.Error, answer.Error
        return answer.SendResponse.ID

    async def kill(self) -> None:
        """End the process as a crash would."""
        process = self._process
        if process and process.returncode is None:
            process.kill()
        await self.close()

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        if self._reading:
            await asyncio.gather(self._reading, return_exceptions=True)
        if process.stdin:
            process.stdin.close()
            with suppress(ConnectionError):
                await process.stdin.wait_closed()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            self._take(json.loads(line))
            async with self._news:
                self._news.notify_all()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the client's process ended"))
                answer.exception()

    def _take(self, said: dict[str, Any]) -> None:
        if "n" in said:
            answer = self._answers[said["n"]]
            if "error" in said:
                answer.set_exception(RuntimeError(said["error"]))
            else:
                answer.set_result(_plain(said["value"]))
        elif "event" in said:
            kind = EVENTS.get(said["event"])
            if kind is not None:
                self.events.append((kind.DESCRIPTOR.name, kind.FromString(_plain(said["data"]))))
        elif "qr" in said:
            self.codes.append(said["qr"])
        elif "log" in said:
            self.logs.append(told.LogEntry.FromString(_plain(said["log"])))
        elif "ended" in said:
            self.ended = said["ended"]

    async def _until(self, true: Callable[[], bool], trouble: str, since: int = 0) -> None:
        try:
            async with asyncio.timeout(WAIT_S), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"{trouble} {[name for name, _ in self.events[since:]]}") from None


@asynccontextmanager
async def client(
    emulator: Emulator, folder: Path, name: str = "one", *, way: str = "plain", logs: bool = False
) -> AsyncGenerator[Client]:
    """The real library, connecting. The same folder and name resume what was linked before."""
    endpoint = emulator.endpoint
    found = Client(endpoint.plain if way == "plain" else endpoint.tls, folder / f"{name}.db", endpoint.tls.proxy)
    await found.open(logs=logs)
    try:
        await found.start()
        yield found
    finally:
        await found.close()


@asynccontextmanager
async def linked(
    emulator: Emulator, folder: Path, phone: str = PHONE, *, way: str = "plain", name: str = "one", logs: bool = False
) -> AsyncGenerator[Client]:
    """The real library, linked by QR and logged in."""
    async with client(emulator, folder, name, way=way, logs=logs) as found:
        emulator.phones.scan(phone, await found.qr())
        await found.event("Connected")
        yield found


async def until(true: Callable[[], Any], trouble: str = "it did not come to pass", *, within: float = WAIT_S) -> None:
    """Wait until something is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not true():
        assert loop.time() < end, trouble
        await asyncio.sleep(0.01)


def jid(user: str, server: str) -> bytes:
    """Return the name of an account as the library wants it."""
    return told.JID(User=user, Server=server, RawAgent=0, Device=0, Integrator=0, IsEmpty=False).SerializeToString()


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def _plain(value: Any) -> Any:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value
