"""Phones made of software: the ones of our accounts, and those of all their customers.

A phone is device 0 of its account. It encrypts and decrypts like any other device, so that what a linked device sends
is really read, and what it is told was really encrypted for it alone.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from wafleet.clientlib.protos import e2e
from wafleet.emulator.model import Account, Device, SignedKey
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import Bundle, Conversation, Keychain, Pair, Undecryptable
from wafleet.emulator.wire import Node
from wafleet.simulator.model import PHONE
from wafleet.simulator.sending import NOBODY

log = logging.getLogger(__name__)

_REMEMBERED: Final = 2_000  # messages, in each direction, of one phone
_REGISTRATIONS: Final = 16_380
_Value = TypeVar("_Value")
_TRIES: Final = 5  # so often a phone asks for the same message again


class Written(msgspec.Struct, frozen=True):
    """A message that a phone wrote, for when a device asks for it again."""

    message: bytes
    attrs: dict[str, str]


class Memory(msgspec.Struct):
    """What a phone knows besides its keys."""

    conversations: dict[str, Conversation] = {}  # by the other device
    read: dict[str, None] = {}  # messages that were read, by writer and id: a repeated one is not a new one
    written: dict[str, Written] = {}
    asked_again: dict[str, int] = {}  # messages that could not be read: how often they were asked for
    shared: set[int] = set()  # linked devices that have the key of the app's state
    one_times: dict[int, Pair] = {}
    next_number: int = 1
    signed: Pair | None = None


class Phone:
    """The phone of one account."""

    def __init__(self, account: Account, memory: Memory | None = None) -> None:
        self.account, self.memory = account, memory or Memory()
        registration = int.from_bytes(account.key.public[:4], "big") % _REGISTRATIONS + 1
        self.keychain = Keychain(account.key, registration, signed=self.memory.signed)
        self.keychain.one_times, self.keychain.next_number = self.memory.one_times, self.memory.next_number
        signed = SignedKey(self.keychain.signed_number, self.keychain.signed.public, self.keychain.signature)
        self.device = Device(account, 0, account.key.public, registration, signed_key=signed)

    def snapshot(self) -> Memory:
        """Return all that must survive a crash."""
        memory = self.memory
        memory.next_number, memory.signed = self.keychain.next_number, self.keychain.signed
        return memory

    def with_device(self, device: Device) -> Conversation:
        """Return the conversation with a device of anybody."""
        return self.memory.conversations.setdefault(_name(device), Conversation())

    def has_read(self, writer: Account, id: str) -> bool:
        return f"{writer.phone}/{id}" in self.memory.read

    def note_read(self, writer: Account, id: str) -> None:
        _remember(self.memory.read, f"{writer.phone}/{id}", None)
        self.memory.asked_again.pop(f"{writer.phone}/{id}", None)

    def may_ask_again(self, writer: Account, id: str) -> int:
        """Count one more time that a message is asked for; 0: it was asked for too often."""
        name = f"{writer.phone}/{id}"
        count = self.memory.asked_again.get(name, 0) + 1
        _remember(self.memory.asked_again, name, count)
        return count if count <= _TRIES else 0

    def note_written(self, id: str, message: e2e.Message, attrs: dict[str, str]) -> None:
        _remember(self.memory.written, id, Written(message.SerializeToString(), attrs))


class People:
    """All phones. A phone begins to exist when somebody addresses it or it has something to say.

    stock       takes the keys of a device out of the server's stock
    garbles     asked before each message to an account: True spoils it, so that no device of it can read it
    forgets     asked before each message of an account: True makes the customer's phone unable to read it
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.phones: dict[str, Phone] = {}
        self.stock: Callable[[Device], Bundle | None] = lambda _: None
        self.garbles: Callable[[Account], bool] = lambda _: False
        self.forgets: Callable[[Account], bool] = lambda _: False

    def phone(self, account: Account) -> Phone:
        """Return the phone of an account, which begins to exist if it did not."""
        return self.phones.get(account.phone) or self.put(Phone(account))

    def in_touch(self, account: Account) -> bool:
        """Say whether the phone itself reaches the network: its linked devices see by its receipts that it does."""
        return self._emulator.world.board.on(account.phone, "phone_away") is None

    def put(self, phone: Phone) -> Phone:
        """Have a phone known here."""
        self.phones[phone.account.phone] = phone
        phone.account.devices[0] = phone.device
        return phone

    def customer(self, number: str) -> Account | None:
        """Return whoever has this phone number; None when nobody who is on WhatsApp has it."""
        if not PHONE.fullmatch(number) or number.startswith(NOBODY):
            return None
        return self._emulator.account(number)

    def encrypt(self, writer: Account, reader: Device, message: e2e.Message) -> Node | None:
        """Encrypt for one device; None when it never brought keys."""
        phone = self.phone(writer)
        conversation = phone.with_device(reader)
        if not conversation.sessions and not self.begin(writer, reader):
            return None
        kind, data = conversation.encrypt(message.SerializeToString())
        if self.garbles(reader.account):
            data = data[:-1] + bytes((data[-1] ^ 0xFF,))
        return Node("enc", {"v": "2", "type": kind}, data)

    def begin(self, writer: Account, reader: Device, bundle: Bundle | None = None) -> bool:
        """Begin a session anew; False when the device never brought keys, or not its own."""
        phone = self.phone(writer)
        found = bundle or self.stock(reader)
        if found is None or found.identity != reader.identity:
            return False
        try:
            phone.with_device(reader).begin(phone.keychain, found)
        except Undecryptable as e:
            log.warning("a device's keys are unusable", extra={"device": _name(reader), "reason": str(e)})
            return False
        return True

    def decrypt(self, reader: Account, writer: Device, enc: Node) -> e2e.Message:
        """Decrypt what a linked device wrote to a phone. Raises Undecryptable."""
        phone = self.phone(reader)
        words = phone.with_device(writer).decrypt(phone.keychain, enc.text("type"), enc.data)
        try:
            return e2e.Message.FromString(words)
        except Exception as e:  # the library of these messages has errors of its own for each of its versions
            raise Undecryptable("not a message") from e


def _name(device: Device) -> str:
    return f"{device.account.phone}:{device.number}"


def _remember(memory: dict[str, _Value], name: str, value: _Value) -> None:
    memory.pop(name, None)
    memory[name] = value
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
