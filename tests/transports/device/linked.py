"""Real workers with the real library, linked to an emulator in this process."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from tests.emulator.rig import CUSTOMER, PHONE
from tests.transports.device.workers import Heard, until

from wafleet.clientlib.protos import e2e, registration, told
from wafleet.emulator.server import Emulator
from wafleet.transports.device.keeper import Client, Keeper
from wafleet.transports.device.worker.reading import MESSAGE, message_id
from wafleet.transports.device.worker.store import spooled

CONNECTED: Final = 3
PROPS: Final = registration.DeviceProps(os="wafleet", platformType=registration.DeviceProps.CHROME).SerializeToString()


class Device:
    """One account in a worker, and what it told.

    keeps  customers' messages are stored as soon as they are heard; others always are
    """

    def __init__(self, client: Client, heard: Heard, folder: Path) -> None:
        self.client, self.heard, self.folder = client, heard, folder
        self.keeps = True
        heard.on_event, heard.on_swallowed = self._event, self._swallowed

    @property
    def got(self) -> list[str]:
        """The messages of customers it handed over, in order."""
        return [message_id(data) for code, data, _ in self.heard.events if code == MESSAGE and not _own(data)]

    @property
    def on_disk(self) -> list[str]:
        """The messages of customers that are in the spool, in order."""
        return [message_id(data) for _, _, data in spooled(self.folder) if not _own(data)]

    async def connected(self) -> None:
        await until(lambda: CONNECTED in self.heard.codes)

    async def send(self, text: str, *, ref: str, to: str = CUSTOMER, limit_s: float = 10) -> str:
        """Send a text; return its id. Raises what `Client.call` raises; the library's own errors are ValueError."""
        jid = told.JID(
            User=to.removeprefix("+"), Server="s.whatsapp.net", RawAgent=0, Device=0, Integrator=0, IsEmpty=False
        )
        message = e2e.Message(conversation=text).SerializeToString()
        data = await self.client.call("SendMessage", jid.SerializeToString(), message, limit_s=limit_s, ref=ref)
        answer = told.SendMessageReturnFunction.FromString(data)
        if answer.Error:
            raise ValueError(answer.Error)
        return answer.SendResponse.ID

    async def names_one_more(self) -> None:
        """Wait until a message has its name, and has perhaps not left."""
        before = len(self.heard.names)
        await until(lambda: len(self.heard.names) > before)

    def _event(self, code: int, data: bytes) -> None:
        if code == MESSAGE and (self.keeps or _own(data)):
            self.client.stored([message_id(data)])

    def _swallowed(self, id: str) -> None:
        if self.keeps:
            self.client.stored([id])


def _own(data: bytes) -> bool:
    """The account's own phone writes to its devices too."""
    return told.Message.FromString(data).Info.MessageSource.IsFromMe


def _prepare(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir()
        with closing(sqlite3.connect(folder / "session.db")) as store:
            store.execute("pragma journal_mode=wal")


async def device(
    keeper: Keeper, emulator: Emulator, folder: Path, *, way: str = "plain", keeps: bool = True, connect: bool = True
) -> Device:
    """Give an account a worker; one that is linked logs in."""
    _prepare(folder)
    heard = Heard()
    found = emulator.endpoint.plain if way == "plain" else emulator.endpoint.tls
    client = await keeper.client(
        folder=folder, program=Path(found.library), ears=heard, proxy=found.proxy or None, ca=Path(found.ca)
    )
    made = Device(client, heard, folder)
    made.keeps = keeps
    if connect:
        client.connect(props=PROPS)
    return made


@asynccontextmanager
async def linked(
    keeper: Keeper, emulator: Emulator, folder: Path, *, phone: str = PHONE, way: str = "plain"
) -> AsyncGenerator[Device]:
    """A device that was linked by QR and is online."""
    one = await device(keeper, emulator, folder, way=way)
    await until(lambda: one.heard.qrs)
    emulator.phones.scan(phone, one.heard.qrs[-1])
    await one.connected()
    try:
        yield one
    finally:
        await one.client.kill()
