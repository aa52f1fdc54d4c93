"""Linked accounts on an emulator in this process, by the real library in real workers."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulator.rig import CUSTOMER, PHONE, emulating
from tests.transports.heard import Heard, outgoing, until

from wafleet.config import DevicesSettings
from wafleet.domain.ids import AccountId, new_id
from wafleet.domain.message import Content
from wafleet.emulator.server import Emulator
from wafleet.simulator.orders import Say, StartFault
from wafleet.transports.base import About, Number, Outgoing, Pairing
from wafleet.transports.device.driver import Device
from wafleet.transports.device.session import DeviceSession

WAIT_S = 20.0


class Shelf:
    """Keeps what is fetched, as the media store would."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def __call__(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        self.files[name] = content
        return name


class Phone:
    """Scans the first code it is shown."""

    def __init__(self, emulator: Emulator, phone: str) -> None:
        self._emulator, self._phone = emulator, phone
        self.pairings: list[Pairing] = []

    def pairing(self, pairing: Pairing) -> None:
        self.pairings.append(pairing)
        if len(self.pairings) == 1:
            self._emulator.phones.scan(self._phone, pairing.qr)


@dataclass
class One:
    """One account, linked, and its sessions."""

    emulator: Emulator
    transport: Device
    number: Number
    secret: bytes
    heard: Heard = field(default_factory=Heard)
    opened: DeviceSession | None = None

    @property
    def session(self) -> DeviceSession:
        assert self.opened is not None
        return self.opened

    async def open(self) -> DeviceSession:
        self.heard = Heard()
        session: Any = await self.transport.open(self.number, self.secret, self.heard)
        self.opened = session
        return session

    def newest(self) -> bytes:
        return self.heard.secrets[-1] if self.heard.secrets else self.secret

    async def send(
        self, content: Content | str = "hello", *, to: str = CUSTOMER, about: About | None = None, file: bytes = b""
    ) -> str:
        plain = outgoing(content, to=to)
        return await self.session.send(Outgoing(plain.id, plain.to, plain.content, about, file))

    def say(self, text: str, **more: Any) -> str:
        return self.emulator.world.say(
            Say(customer=CUSTOMER, account=self.number.phone, text=text, name="Layla", **more)
        )

    def fault(self, kind: str, **how: Any) -> None:
        self.emulator.world.start_fault(StartFault(account=self.number.phone, kind=kind, **how))

    async def ended(self) -> tuple[str, str, Any]:
        await until(lambda: self.heard.ends, limit_s=WAIT_S)
        return self.heard.ends[0]


def number(phone: str = PHONE, **settings: Any) -> Number:
    return Number(AccountId(new_id()), phone, settings)


def device(folder: Path, *, kind: str = "plain", shelf: Shelf | None = None, **settings: Any) -> Device:
    chosen = DevicesSettings.model_validate({"emulator": folder / "emulator", "checkpoint_s": 0.2, **settings})
    return Device(folder=folder / "devices", settings=chosen, keep_media=shelf or Shelf(), kind=kind)


@asynccontextmanager
async def on_an_emulator(folder: Path, **settings: Any) -> AsyncGenerator[tuple[Emulator, Device]]:
    async with emulating(folder / "emulator") as emulator, device(folder, **settings) as transport:
        yield emulator, transport


async def link(emulator: Emulator, transport: Device, account: Number) -> tuple[bytes, Phone]:
    phone = Phone(emulator, account.phone)
    return await transport.link(account, phone), phone


@asynccontextmanager
async def linked(folder: Path, **settings: Any) -> AsyncGenerator[One]:
    """An account that is linked, and its session open."""
    async with on_an_emulator(folder, **settings) as (emulator, transport):
        account = number()
        secret, _ = await link(emulator, transport, account)
        one = One(emulator, transport, account, secret)
        await one.open()
        yield one
