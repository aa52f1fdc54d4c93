"""Who is online and who is typing, as far as linked devices show it and wish to see it.

Source: words of XMPP (RFC 6121, XEP-0085), in the stanzas that the library sends and hears.
"""

from collections.abc import Callable

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.model import Account, Device
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Attribute, Node

Typing = Callable[[Account, Account, bool], None]  # who, to whom, whether they type now


class Presence:
    """Pass presence on. Nothing of it is kept: it is no longer true when somebody comes back.

    typing  told when a device shows that it types to somebody
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.available: set[str] = set()  # phones
        self.typing: list[Typing] = []
        self._watched: dict[str, set[Device]] = {}  # devices that wish to know of a phone

    def show(self, account: Account, available: bool) -> None:
        """Show that somebody is online, or no longer."""
        (self.available.add if available else self.available.discard)(account.phone)
        for device in self._watched.get(account.phone, ()):
            self._tell(device, account)

    def type(self, writer: Account, to: Account, on: bool) -> None:
        """Show that somebody types to an account, or no longer."""
        node = Node("chatstate", {"from": writer.hidden()}, [Node("composing" if on else "paused")])
        for device in to.linked:
            _send(device, node)

    async def presence(self, connection: Connection, node: Node) -> None:
        """Take what a device says of itself, or what it wishes to know of others."""
        device = connection.device
        if device is None:
            return
        kind = node.text("type", "available")
        if kind in ("subscribe", "unsubscribe"):
            self._watch(device, node, kind == "subscribe")
            return
        device.account.name = node.text("name") or device.account.name
        self.show(device.account, kind == "available")

    async def chatstate(self, connection: Connection, node: Node) -> None:
        """Take what a device shows of its typing."""
        device, to = connection.device, self._emulator.find(node.jid("to"))
        if device is None or to is None:
            return
        on = node.child("composing") is not None
        for hook in self.typing:
            hook(device.account, to, on)
        for other in to.linked:
            _send(other, Node("chatstate", {"from": device.account.hidden()}, node.content))

    def gone(self, device: Device) -> None:
        """With its last device an account is no longer online."""
        if not any(other.online for other in device.account.linked):
            self.show(device.account, False)
        for watchers in self._watched.values():
            watchers.discard(device)

    def _watch(self, device: Device, node: Node, wished: bool) -> None:
        account = self._emulator.find(node.jid("to"))
        if account is None:
            return
        watchers = self._watched.setdefault(account.phone, set())
        if wished:
            watchers.add(device)
            self._tell(device, account)
        else:
            watchers.discard(device)

    def _tell(self, device: Device, account: Account) -> None:
        attrs: dict[str, Attribute] = {"from": account.hidden()}
        if account.phone not in self.available:
            attrs |= {"type": "unavailable", "last": self._emulator.stamp}
        _send(device, Node("presence", attrs))


def _send(device: Device, node: Node) -> None:
    if device.connection is not None:
        device.connection.send(node)


def handlers(presence: Presence) -> Handlers:
    return {("presence", "", ""): presence.presence, ("chatstate", "", ""): presence.chatstate}
