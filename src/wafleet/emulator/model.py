"""What the emulator knows of accounts and their devices."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from wafleet.clientlib.protos import adv
from wafleet.emulator.keys import Key
from wafleet.emulator.mailbox import Mailbox
from wafleet.emulator.wire import LIDS, Jid, Node
from wafleet.simulator.wire import Channel

RAW_ID: Final = 4242  # names an account's set of keys; it changes when a phone is set up anew, which none here does
_KEY_LIST: Final = b"\x06\x02"  # what an account signs besides: the list of its devices


class Link(Protocol):
    """The connection of a device that is online."""

    def send(self, node: Node) -> None:
        """Put a stanza on its way, after all that were sent before. Never waits."""
        ...

    def close(self, *last: Node, after: float = 0.0) -> None:
        """Say a last word and close, `after` seconds later."""
        ...


@dataclass(frozen=True, slots=True)
class PreKey:
    """One public key of a device that begins one conversation."""

    number: int
    public: bytes


@dataclass(frozen=True, slots=True)
class SignedKey:
    """The public key of a device that begins conversations when all others are used up."""

    number: int
    public: bytes
    signature: bytes


@dataclass(eq=False, slots=True)
class Device:
    """One device of an account: number 0 is the phone, others are linked.

    queue  what it has not confirmed, whether it was sent before or not
    """

    account: "Account"
    number: int
    identity: bytes
    registration: int = 0
    noise: bytes = b""  # its key of the handshake: who has it is this device
    signed_key: SignedKey | None = None
    pre_keys: deque[PreKey] = field(default_factory=deque[PreKey])
    proof: bytes = b""  # the identity as signed by account and device
    queue: Mailbox = field(default_factory=Mailbox)
    connection: Link | None = None
    removed: bool = False

    @property
    def jid(self) -> Jid:
        return self.account.jid(self.number)

    @property
    def lid(self) -> Jid:
        return self.account.hidden(self.number)

    @property
    def online(self) -> bool:
        return self.connection is not None


@dataclass(eq=False, slots=True)
class Account:
    """One WhatsApp account, an account of ours or a customer: it has a phone number and a name that hides it.

    phone        as the world writes it, +491701234567
    credentials  what the world gave when the first device was linked
    channel      the world's session, shared by all devices that are online; None while none is
    """

    phone: str
    hidden_user: str
    key: Key = field(default_factory=Key)
    name: str = ""
    devices: dict[int, Device] = field(default_factory=dict[int, Device])
    next_device: int = 1
    credentials: bytes | None = None
    channel: Channel | None = None

    @property
    def user(self) -> str:
        return self.phone.removeprefix("+")

    def jid(self, device: int = 0) -> Jid:
        return Jid(self.user, device=device)

    def hidden(self, device: int = 0) -> Jid:
        """The account, or one of its devices, by the name that hides its phone number."""
        return Jid(self.hidden_user, LIDS, device)

    @property
    def linked(self) -> list[Device]:
        """The linked devices, without the phone and without those that were removed."""
        return [device for number, device in sorted(self.devices.items()) if number and not device.removed]

    def key_list(self, at: int) -> bytes:
        """Return the signed list of this account's devices, by which others tell genuine ones. `at`: Unix seconds."""
        numbers = [0, *(device.number for device in self.linked)]
        details = adv.ADVKeyIndexList(
            rawID=RAW_ID, timestamp=at, currentIndex=max(numbers), validIndexes=numbers
        ).SerializeToString()
        return adv.ADVSignedKeyIndexList(
            details=details, accountSignature=self.key.sign(_KEY_LIST + details), accountSignatureKey=self.key.public
        ).SerializeToString()
