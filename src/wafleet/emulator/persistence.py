"""What the emulator remembers of accounts, devices, keys and conversations: `kill -9` unlinks and loses nothing.

Before a stanza leaves, everything that anybody looked up since the last one is on disk: no client ever sees a key, a
session or a message that its server might forget. What customers wrote and what crossed is the world's own to keep.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from wafleet.emulator import messaging
from wafleet.emulator.appstate import AppState, AppStates
from wafleet.emulator.bridge import WorldBridge
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.keys import Key
from wafleet.emulator.model import Account, Device, PreKey, SignedKey
from wafleet.emulator.people import Memory, People, Phone, Written
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import Conversation, Pair
from wafleet.emulator.store import Rows
from wafleet.emulator.wire import Jid, Node

FILE: Final = "emulator.db"
_PAUSE_S: Final = 0.5  # between two looks for what has changed while nothing leaves
_LISTED: Final = 2_000  # of what a phone read or wrote: the newest
_SURPLUS: Final = 1_000


class _Account(msgspec.Struct, array_like=True):
    hidden_user: str
    seed: bytes
    name: str
    next_device: int
    credentials: bytes | None
    devices: "list[_Device]"


class _Device(msgspec.Struct, array_like=True):
    number: int
    identity: bytes
    registration: int
    noise: bytes
    proof: bytes
    removed: bool
    signed: tuple[int, bytes, bytes] | None


class _Phone(msgspec.Struct, array_like=True):
    """A phone's memory without its two long lists."""

    conversations: dict[str, Conversation]
    asked_again: dict[str, int]
    shared: set[int]
    one_times: dict[int, Pair]
    next_number: int
    signed: Pair | None


_encode = msgspec.msgpack.Encoder().encode
_LISTED_ONE: Final = msgspec.msgpack.Decoder(tuple[str, Written | None])
_ADDRESSES: Final = ("address", "")  # the list of all accounts' messages
_ADDRESS: Final = msgspec.msgpack.Decoder(tuple[str, str])
_PRE_KEYS: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes]])


def part(emulator: Emulator) -> Handlers:
    """Remember everything; it comes after the parts that have something to remember."""
    parts = messaging.of(emulator)
    persistence = Persistence(emulator, parts.people, parts.appstates, parts.bridge)
    emulator.spawn(persistence.run(), "memory")
    return {}


class Persistence:
    """Keep an emulator's memory in its folder, and bring it back."""

    def __init__(self, emulator: Emulator, people: People, states: AppStates, bridge: WorldBridge) -> None:
        self._emulator, self._people, self._states, self._bridge = emulator, people, states, bridge
        self._rows = Rows(emulator.folder / FILE)
        self._newest: dict[tuple[str, str], str] = {}  # of each list of a phone
        self._stock: dict[str, tuple[int, int, int]] = {}  # of one-time keys: how many, the first, the last
        self._next = 0  # number in any list
        self._closed = False
        self._restore()
        emulator.touched.clear()
        emulator.filters.insert(0, self._before)
        emulator.changed.append(emulator.touched.add)
        bridge.noted = self._addressed

    async def run(self) -> None:
        """Keep what changes while nothing leaves; at the end keep everything."""
        try:
            while True:
                await asyncio.sleep(_PAUSE_S)
                self.flush()
        finally:
            self._emulator.touched.update(self._emulator.accounts.values())
            self.flush()
            self._closed = True
            self._rows.close()

    def flush(self) -> None:
        """Put on disk what has changed."""
        if self._closed:
            return
        touched = self._emulator.touched
        while touched:
            self._keep(touched.pop())
        self._rows.commit()

    def _before(self, _: Connection, node: Node) -> Node:
        self.flush()
        return node

    def _addressed(self, id: str, to: Jid) -> None:
        """Keep whom a message is for before it crosses: its receipts come from there."""
        self._next += 1
        self._rows.append(*_ADDRESSES, self._next, _encode((id, str(to))))
        if self._next % _SURPLUS == 0:
            self._shorten(*_ADDRESSES)
        self._rows.commit()

    def _keep(self, account: Account) -> None:
        self._rows.put("account", account.phone, _encode(_written(account)))
        for device in account.linked:
            self._keep_stock(device)
        for number, device in account.devices.items():
            if number:
                self._keep_queue(device)
        if phone := self._people.phones.get(account.phone):
            self._keep_phone(phone)
        if state := self._states.states.get(account.phone):
            self._rows.put("state", account.phone, _encode(state))

    def _keep_stock(self, device: Device) -> None:
        keys, name = device.pre_keys, str(device.jid)
        mark = (len(keys), keys[0].number, keys[-1].number) if keys else (0, 0, 0)
        if self._stock.get(name) != mark:
            self._stock[name] = mark
            self._rows.put("keys", name, _encode([(key.number, key.public) for key in keys]))

    def _keep_queue(self, device: Device) -> None:
        name = str(device.jid)
        for number, node in device.queue.changes():
            if node is None:
                self._rows.take("queue", name, number)
            else:
                self._rows.append("queue", name, number, self._emulator.codec.encode(node))

    def _keep_phone(self, phone: Phone) -> None:
        memory, name = phone.snapshot(), phone.account.phone
        core = _Phone(
            memory.conversations,
            memory.asked_again,
            memory.shared,
            memory.one_times,
            memory.next_number,
            memory.signed,
        )
        self._rows.put("phone", name, _encode(core))
        self._keep_list("read", name, memory.read)
        self._keep_list("written", name, memory.written)

    def _keep_list(self, kind: str, name: str, list_: dict[str, None] | dict[str, Written]) -> None:
        newest, new = self._newest.get((kind, name)), list[str]()
        for one in reversed(list_):
            if one == newest:
                break
            new.append(one)
        for one in reversed(new):
            self._next += 1
            self._rows.append(kind, name, self._next, _encode((one, list_[one])))
            self._newest[kind, name] = one
            if self._next % _SURPLUS == 0:
                self._shorten(kind, name)

    def _shorten(self, kind: str, name: str) -> None:
        numbers = [number for number, _ in self._rows.list(kind, name)]
        if len(numbers) > _LISTED:
            self._rows.shorten(kind, name, numbers[-_LISTED])

    def _restore(self) -> None:
        for phone, data in self._rows.all("account"):
            self._emulator.put(self._account(phone, msgspec.msgpack.decode(data, type=_Account)))
        stocks = dict(self._rows.all("keys"))
        for account in list(self._emulator.accounts.values()):
            for device in account.devices.values():
                self._restore_device(device, stocks.get(str(device.jid), b"\x90"))
        for phone, data in self._rows.all("phone"):
            self._people.put(self._phone(self._emulator.accounts[phone], msgspec.msgpack.decode(data, type=_Phone)))
        self._shorten(*_ADDRESSES)
        for number, data in self._rows.list(*_ADDRESSES):
            id, to = _ADDRESS.decode(data)
            self._next, self._bridge.addresses[id] = max(self._next, number), Jid.parse(to)
        for phone, data in self._rows.all("state"):
            self._states.states[phone] = msgspec.msgpack.decode(data, type=AppState)

    def _account(self, phone: str, kept: _Account) -> Account:
        account = Account(
            phone,
            kept.hidden_user,
            key=Key(kept.seed),
            name=kept.name,
            next_device=kept.next_device,
            credentials=kept.credentials,
        )
        account.devices = {device.number: _device(account, device) for device in kept.devices}
        return account

    def _restore_device(self, device: Device, stock: bytes) -> None:
        device.pre_keys = deque(PreKey(number, public) for number, public in _PRE_KEYS.decode(stock))
        for number, data in self._rows.list("queue", str(device.jid)):
            device.queue.put(number, self._emulator.codec.decode(data))

    def _phone(self, account: Account, kept: _Phone) -> Phone:
        memory = Memory(
            conversations=kept.conversations,
            asked_again=kept.asked_again,
            shared=kept.shared,
            one_times=kept.one_times,
            next_number=kept.next_number,
            signed=kept.signed,
        )
        memory.read = {one: None for one, _ in self._listed("read", account.phone)}
        memory.written = {one: value for one, value in self._listed("written", account.phone) if value}
        return Phone(account, memory)

    def _listed(self, kind: str, name: str) -> Iterator[tuple[str, Written | None]]:
        for number, data in list(self._rows.list(kind, name))[-_LISTED:]:
            self._next = max(self._next, number)
            one, value = _LISTED_ONE.decode(data)
            self._newest[kind, name] = one
            yield one, value


def _written(account: Account) -> _Account:
    devices = [_written_device(device) for number, device in sorted(account.devices.items()) if number]
    seed, after = account.key.seed, account.next_device
    return _Account(account.hidden_user, seed, account.name, after, account.credentials, devices)


def _written_device(device: Device) -> _Device:
    signed = device.signed_key
    return _Device(
        device.number,
        device.identity,
        device.registration,
        device.noise,
        device.proof,
        device.removed,
        (signed.number, signed.public, signed.signature) if signed else None,
    )


def _device(account: Account, kept: _Device) -> Device:
    return Device(
        account,
        kept.number,
        kept.identity,
        registration=kept.registration,
        noise=kept.noise,
        proof=kept.proof,
        removed=kept.removed,
        signed_key=SignedKey(*kept.signed) if kept.signed else None,
    )
