"""What linked devices confirm: that a message arrived, was read, or could not be read and is wanted again.

Source: stanzas as the library sends and expects them; the kinds of receipts are whatsmeow's, types.ReceiptType.
"""

import logging
from collections.abc import Sequence
from typing import Final

from wafleet.clientlib.protos import e2e
from wafleet.emulator.bridge import WorldBridge, receipt_node
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.keybundles import brought
from wafleet.emulator.model import Account, Device
from wafleet.emulator.post import bring_all
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import Bundle
from wafleet.emulator.wire import Attribute, Node

log = logging.getLogger(__name__)

_ARRIVED: Final = frozenset({"", "inactive", "read", "played", "server-error"})
_READ: Final = frozenset({"read", "played"})
_REMEMBERED: Final = 20_000  # ids
_TRIES: Final = 5  # so often a phone sends the same message to a device that cannot read it


class Receipts:
    """Take receipts of linked devices."""

    def __init__(self, emulator: Emulator, bridge: WorldBridge) -> None:
        self._emulator, self._bridge, self._people = emulator, bridge, bridge.people
        self.read: dict[str, None] = {}  # messages of customers that a device said were read, the newest

    async def receipt(self, connection: Connection, node: Node) -> None:
        """Take one receipt, for one message or many."""
        device = connection.device
        if device is None:
            return
        kind = node.text("type")
        if kind == "retry":
            self._again(device, node)
        else:
            self._confirmed(device, node, kind)
        connection.send(_taken(node, kind))

    async def acknowledged(self, connection: Connection, node: Node) -> None:
        """Stop keeping what a device has acknowledged."""
        if connection.device is not None:
            connection.device.queue.take(node.text("class"), [node.text("id")])

    def touch(self, account: Account) -> bool:
        """Have an account's own phone read the newest message: its devices see that it is in touch."""
        last = self._bridge.last.get(account.phone)
        if last is None or not self._people.in_touch(account):
            return False
        writer, id = last
        node = receipt_node(account.hidden(), [id], int(self._emulator.now()), "read-self")
        bring_all(account, node.with_attrs({"recipient": writer.hidden()}))
        return True

    def _confirmed(self, device: Device, node: Node, kind: str) -> None:
        ids, account = _ids(node), device.account
        device.queue.take("message", ids)
        if self._emulator.find(node.jid("to")) is account:
            return
        if kind in _ARRIVED:
            self._bridge.acknowledge(account, ids)
        if kind in _READ:
            self._note_read(ids)
            copy: dict[str, Attribute] = {"recipient": node.jid("to")}
            own = receipt_node(account.hidden(device.number), ids, int(self._emulator.now()), "read-self")
            bring_all(account, own.with_attrs(copy), but=device)

    def _note_read(self, ids: Sequence[str]) -> None:
        self.read.update(dict.fromkeys(ids))
        while len(self.read) > _REMEMBERED:
            del self.read[next(iter(self.read))]

    def _again(self, device: Device, node: Node) -> None:
        """Encrypt a message anew for a device that could not read it."""
        id, writer = node.text("id"), self._emulator.find(node.jid("to"))
        device.queue.take("message", [id])
        retry = node.need("retry")
        written = self._people.phone(writer).memory.written.get(id) if writer else None
        if writer is None or written is None or int(retry.text("count", "1")) > _TRIES:
            log.warning("a message that is wanted again is not known any more", extra={"message": id})
            return
        self._people.begin(writer, device, _keys(node))
        self._bridge.bring(writer, device, id, e2e.Message.FromString(written.message), written.attrs)


def _keys(node: Node) -> Bundle | None:
    keys = node.child("keys")
    return brought(keys, int.from_bytes(node.need("registration").data, "big")) if keys else None


def _ids(node: Node) -> Sequence[str]:
    """Return the messages that a receipt is for."""
    more = node.child("list")
    return [node.text("id"), *(item.text("id") for item in (more.children if more else ()))]


def _taken(node: Node, kind: str) -> Node:
    attrs: dict[str, Attribute] = {"class": "receipt", "id": node.text("id"), "from": node.jid("to")}
    return Node("ack", {**attrs, "type": kind} if kind else attrs)


def handlers(receipts: Receipts) -> Handlers:
    return {("receipt", "", ""): receipts.receipt, ("ack", "", ""): receipts.acknowledged}
