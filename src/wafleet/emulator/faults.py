"""What goes wrong with linked devices: the faults of the world that they feel in ways of their own.

Most need nothing here: the world refuses a login, ends a session, is late or says nothing, and the stanzas follow.
Source of the codes and of what clients make of them: whatsmeow, connectionevents.go and types/events.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from wafleet.emulator import messaging
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.model import Account
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import SERVER, Node
from wafleet.simulator.faults import EVERYONE, Fault
from wafleet.simulator.model import Impossible

OPEN: Final = "open"  # in the detail of a stream error: the connection stays
TWICE: Final = "twice"  # in the detail of `undecryptable`: what is sent again cannot be read either
_SPOILED: Final = 10_000  # messages remembered as spoiled once
_PINGS: Final = ("w:p", "urn:xmpp:ping")
_OPTIONS: Final[Mapping[str, object]] = {  # as WhatsApp asks a browser, without allowed passkeys: nobody can answer it
    "challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "rpId": "whatsapp.com",
    "timeout": 600_000,
    "userVerification": "required",
    "allowCredentials": [],
}


def part(emulator: Emulator) -> Handlers:
    """Let linked devices feel the world's faults, and let the world's orders reach them."""
    faults = Faults(emulator)
    emulator.world.adopt(faults)
    emulator.refusals.append(faults.refusal)
    emulator.greeters.insert(0, faults.greet)
    emulator.watchers.append(faults.watch)
    emulator.filters.append(faults.leaving)
    emulator.scanned.append(faults.ask_for_passkey)
    return {}


class Faults:
    """The world's `Companions`: what its orders and faults mean for linked devices."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._board = emulator, emulator.world.board
        self._spoiled: dict[str, None] = {}
        self._feelings: Mapping[str, Callable[[Account, Fault], bool]] = {
            "abort": self._abort,
            "stream_error": self._stream_error,
            "logged_out": self._remove,
        }

    def holds(self, phone: str) -> bool:
        """Tell whether an account has linked devices here."""
        account = self._emulator.accounts.get(phone)
        return account is not None and bool(account.linked)

    def scan(self, phone: str, qr: str) -> None:
        """Have a phone scan the QR code a device shows. Raises Impossible."""
        self._in_time(phone)
        self._emulator.phones.scan(phone, qr)

    def enter(self, phone: str, code: str) -> None:
        """Have a phone take the pairing code a device shows. Raises Impossible."""
        self._in_time(phone)
        self._emulator.phones.enter(phone, code)

    def feel(self, phone: str, fault: Fault) -> bool:
        """Let devices feel a fault that strikes now; True: the world need not end their session itself."""
        feeling = self._feelings.get(fault.kind)
        return feeling is not None and feeling(self._emulator.account(phone), fault)

    def recover(self, phone: str) -> None:
        """Have devices log in anew: what was swallowed while the line was silent comes again then."""
        for connection in self._connections(self._emulator.account(phone)):
            connection.abort()

    def restart(self) -> None:
        """Cut off whoever is being linked."""
        for connection in list(self._emulator.connections):
            if connection.device is None:
                connection.abort()

    def type(self, customer: str, phone: str) -> None:
        """Show devices that a customer types to their account."""
        find = self._emulator.account
        messaging.of(self._emulator).presence.type(find(customer), find(phone), True)

    def refusal(self, connection: Connection, account: Account | None) -> Node | None:
        """Refuse a login with the very code of the fault."""
        fault = self._board.on(account.phone, "login_failure") if account else None
        return Node("failure", {"reason": fault.detail, "location": "emu"}) if fault else None

    async def greet(self, connection: Connection) -> bool:
        """Send away a client that wants to be linked while the network is away, or nobody's version is accepted."""
        if not connection.payload.HasField("devicePairingData"):
            return False
        if self._board.on(EVERYONE, "restart"):
            connection.abort()
        elif self._board.on(EVERYONE, "outdated"):
            connection.close(Node("failure", {"reason": "405", "location": "emu"}))
        return connection.closing

    def watch(self, connection: Connection, node: Node) -> bool:
        """Swallow what a device sends while nothing passes, and its pings while nobody answers them."""
        if connection.device is None:
            return False
        phone = connection.device.account.phone
        if self._is_silent(phone):
            return True
        is_ping = node.tag == "iq" and node.text("xmlns") in _PINGS
        return is_ping and self._board.on(phone, "pings_muted") is not None

    def leaving(self, connection: Connection, node: Node) -> Node | None:
        """Change what a device is sent, or keep it from leaving."""
        if connection.device is None:
            return self._hurried(connection, node) if node.child("pair-device") else node
        phone = connection.device.account.phone
        if self._is_silent(phone):
            return None
        return self._spoil(phone, node) if node.tag == "message" and self._board.any else node

    def ask_for_passkey(self, connection: Connection, account: Account) -> bool:
        """Ask the client for a passkey instead of linking it, while the world's phones demand one."""
        if not self._emulator.world.linking.passkey:
            return False
        options = Node("passkey_request_options", {}, msgspec.json.encode(_OPTIONS))
        attrs = {"from": SERVER, "type": "passkey_prologue_request", "id": self._emulator.next_id("passkey")}
        connection.send(Node("notification", {**attrs, "t": self._emulator.stamp}, [options]))
        return True

    def _in_time(self, phone: str) -> None:
        if self._board.on(phone, "qr_expiry"):
            raise Impossible("This code has expired: ask the device for a new one")

    def _is_silent(self, phone: str) -> bool:
        session = self._emulator.world.account(phone).session
        return session is not None and session.silent

    def _hurried(self, connection: Connection, node: Node) -> Node:
        fault = self._board.on(EVERYONE, "qr_expiry")
        if fault is None:
            return node
        self._emulator.world.agenda.after(fault.seconds, connection.close)
        only = node.need("pair-device")
        return replace(node, content=[replace(only, content=list(only.children)[:1])])

    def _spoil(self, phone: str, node: Node) -> Node:
        fault, id = self._board.hits(phone, "undecryptable"), node.text("id")
        if fault is None or (id in self._spoiled and fault.detail != TWICE):
            return node
        self._spoiled[id] = None
        if len(self._spoiled) > _SPOILED:
            del self._spoiled[next(iter(self._spoiled))]
        return replace(node, content=[_garbled(part) for part in node.children])

    def _abort(self, account: Account, _: Fault) -> bool:
        for connection in self._connections(account):
            connection.abort()
        return False

    def _stream_error(self, account: Account, fault: Fault) -> bool:
        code, _, how = fault.detail.partition(" ")
        node = Node("stream:error", {"code": code})
        for connection in self._connections(account):
            if how == OPEN:
                connection.send(node)
            else:
                connection.close(node)
        return True

    def _remove(self, account: Account, _: Fault) -> bool:
        account.credentials = None  # the world forgets them too, also while nobody is logged in
        for device in account.linked:
            self._emulator.remove(device)
        return False

    def _connections(self, account: Account) -> Iterator[Connection]:
        return (c for c in list(self._emulator.connections) if c.device and c.device.account is account)


def _garbled(part: Node) -> Node:
    if part.tag != "enc" or not part.data:
        return part
    middle = len(part.data) // 2  # within what is encrypted, whichever of the two forms it has
    changed = part.data[:middle] + bytes((part.data[middle] ^ 0xFF,)) + part.data[middle + 1 :]
    return replace(part, content=changed)
