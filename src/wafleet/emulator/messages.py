"""Messages that linked devices send: encrypted once for every device of whoever they are for, and of their own account.

`<message to id type><participants><to jid><enc/></to>...</participants></message>` is a new message; one whose `<enc>`
lies in it directly is for one device: a message that was asked for again, or a word to the own phone.
Source: stanzas as the library sends and expects them; the error codes are those its callers report (463, 479).
"""

import logging
from typing import Final

from wafleet.clientlib.protos import e2e
from wafleet.emulator import contents
from wafleet.emulator.appstate import AppStates
from wafleet.emulator.bridge import WorldBridge
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.keybundles import written
from wafleet.emulator.model import Account, Device
from wafleet.emulator.post import bring
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import Repeated, Undecryptable
from wafleet.emulator.wire import LIDS, PEOPLE, Attribute, Jid, Node

log = logging.getLogger(__name__)

_NOWHERE: Final = "400"  # there is no such place to send to
_UNREADABLE: Final = "479"  # nothing in it that the receiver could read


class Messages:
    """Take messages of linked devices, answer them and bring them on."""

    def __init__(self, emulator: Emulator, bridge: WorldBridge, appstates: AppStates) -> None:
        self._emulator, self._bridge, self._people, self._appstates = emulator, bridge, bridge.people, appstates
        self.repeated: dict[str, int] = {}  # by account: messages that came again under an id their reader had seen
        self._crossing = set[tuple[str, str]]()  # account and id of messages that the world has not answered yet

    async def message(self, connection: Connection, node: Node) -> None:
        """Take one message."""
        device, to = connection.device, node.jid("to")
        if device is None:
            return
        whom: Account | Jid | None = self._whom(to)
        if whom is None:
            self._answer(device, node, _NOWHERE)
        elif whom is device.account and node.child("enc") is not None:
            self._to_own_phone(device, node)
        else:
            self._bridge.addressed(node.text("id"), to)
            await self._to_somebody(device, node, whom)

    def _whom(self, to: Jid) -> Account | Jid | None:
        """Return who is addressed; somebody who is not on WhatsApp by their name only."""
        if to.server == LIDS:
            return self._emulator.find(to)
        if to.server != PEOPLE or not to.user:
            return None
        return self._emulator.find(to) or self._people.customer(f"+{to.user}") or to

    async def _to_somebody(self, device: Device, node: Node, whom: Account | Jid) -> None:
        id = node.text("id")
        if (device.account.phone, id) in self._crossing:  # it is answered once it is known what became of it
            return
        try:
            message = self._read(device, node, whom)
        except Undecryptable as e:
            if isinstance(e, Repeated) and self._people.phone(_reader(device, whom)).has_read(device.account, id):
                self._note_repeated(device)
                self._answer(device, node)
            else:
                self._not_read(device, node, whom, str(e))
            return
        said = contents.read(message, self._bridge.files)
        if said is None:
            self._taken(device, node, whom)
            return
        self._crossing.add((device.account.phone, id))
        self._emulator.spawn(self._cross(device, node, whom, said), f"message {id}")

    async def _cross(self, device: Device, node: Node, whom: Account | Jid, said: contents.Said) -> None:
        id = node.text("id")
        try:
            error = await self._bridge.send(device, id, whom, said)
        finally:
            self._crossing.discard((device.account.phone, id))
        if error:
            self._answer(device, node, error)
        elif error is not None:
            self._taken(device, node, whom)

    def _taken(self, device: Device, node: Node, whom: Account | Jid) -> None:
        """Note a message as read only now: one that a crash kept from crossing must not count as repeated."""
        self._people.phone(_reader(device, whom)).note_read(device.account, node.text("id"))
        self._confirm(device, node, whom)

    def _confirm(self, device: Device, node: Node, whom: Account | Jid) -> None:
        self._answer(device, node)
        self._copy(device, node, whom)

    def _read(self, device: Device, node: Node, whom: Account | Jid) -> e2e.Message:
        """Have the phone of whom it is for read it, and the own phone where it is for nobody. Raises Undecryptable."""
        id = node.text("id")
        reader = _reader(device, whom)
        phone = self._people.phone(reader)
        if phone.has_read(device.account, id) and node.child("participants") is not None:
            raise Repeated(f"{id} was read before")
        enc = self._for_phone(node, reader)
        if enc is None:
            raise Undecryptable("nothing in it is for the phone")
        if self._people.forgets(device.account):
            phone.with_device(device).sessions.clear()
        message = self._people.decrypt(reader, device, enc)
        if phone.has_read(device.account, id):
            raise Repeated(f"{id} was read before")
        return message

    def _for_phone(self, node: Node, reader: Account) -> Node | None:
        participants = node.child("participants")
        if participants is None:
            return node.child("enc")
        for target in participants.children:
            name = target.jid("jid")
            if name.device == 0 and self._emulator.find(name) is reader:
                return target.child("enc")
        return None

    def _not_read(self, device: Device, node: Node, whom: Account | Jid, reason: str) -> None:
        """The network knows nothing of it: the message is on its way, and its reader asks for it again."""
        reader = _reader(device, whom)
        if self._for_phone(node, reader) is None:
            self._answer(device, node, _UNREADABLE)
            return
        log.info("a phone asks for a message again", extra={"message": node.text("id"), "reason": reason})
        self._confirm(device, node, whom)
        count = self._people.phone(reader).may_ask_again(device.account, node.text("id"))
        if count:
            bring(device, self._asking_again(reader, node, count))

    def _asking_again(self, reader: Account, node: Node, count: int) -> Node:
        phone, id = self._people.phone(reader), node.text("id")
        registration, *keys = written(phone.keychain.bundle())
        named = {"v": "1", "count": str(count), "id": id, "t": node.text("t") or self._emulator.stamp}
        attrs: dict[str, Attribute] = {"from": node.jid("to").bare, "id": id, "t": self._emulator.stamp}
        return Node("receipt", {**attrs, "type": "retry"}, [Node("retry", named), registration, Node("keys", {}, keys)])

    def _to_own_phone(self, device: Device, node: Node) -> None:
        """A word to the own phone, which no customer sees."""
        self._answer(device, node)
        try:
            message = self._people.decrypt(device.account, device, node.need("enc"))
        except Undecryptable as e:
            log.info("a phone could not read its device", extra={"device": str(device.jid), "reason": str(e)})
            return
        if message.protocolMessage.type == e2e.ProtocolMessage.APP_STATE_SYNC_KEY_REQUEST:
            self._appstates.share(device)

    def _copy(self, device: Device, node: Node, whom: Account | Jid) -> None:
        """Bring what was encrypted for the other devices of the own account to them; its phone confirms it."""
        participants = node.child("participants")
        self._emulator.remove_absent(device.account)
        for target in participants.children if participants else ():
            name = target.jid("jid")
            if self._emulator.find(name) is device.account and name.device != device.number:
                self._copy_to(device, node, whom, target)

    def _copy_to(self, device: Device, node: Node, whom: Account | Jid, target: Node) -> None:
        name, account = target.jid("jid"), device.account
        if name.device == 0:
            self._phone_confirms(device, node, whom)
            return
        other = account.devices.get(name.device)
        if other is None:
            return
        proof = [child for child in node.children if child.tag == "device-identity"]
        attrs: dict[str, Attribute] = {
            "from": account.hidden(device.number) if name.server == LIDS else account.jid(device.number),
            "id": node.text("id"),
            "type": node.text("type"),
            "t": self._emulator.stamp,
            "recipient": node.jid("to").bare,
        }
        if name.server == LIDS and isinstance(whom, Account):
            attrs["peer_recipient_pn"] = whom.jid()
        bring(other, Node("message", attrs, [*target.children, *proof]))

    def _phone_confirms(self, device: Device, node: Node, whom: Account | Jid) -> None:
        """The own phone says that it has seen what a device sent: by this a device knows that it is in touch."""
        account = device.account
        if whom is account or not self._people.in_touch(account):
            return
        attrs: dict[str, Attribute] = {
            "from": account.hidden() if node.jid("to").server == LIDS else account.jid(),
            "recipient": node.jid("to").bare,
            "id": node.text("id"),
            "t": self._emulator.stamp,
            "type": "sender",
        }
        bring(device, Node("receipt", attrs))

    def _note_repeated(self, device: Device) -> None:
        phone = device.account.phone
        self.repeated[phone] = self.repeated.get(phone, 0) + 1

    def _answer(self, device: Device, node: Node, error: str = "") -> None:
        """Tell the device that the network has its message, or why not."""
        attrs: dict[str, Attribute] = {
            "class": "message",
            "id": node.text("id"),
            "from": node.jid("to"),
            "t": self._emulator.stamp,
        }
        if device.connection is not None:
            device.connection.send(Node("ack", {**attrs, "error": error} if error else attrs))


def _reader(device: Device, whom: Account | Jid) -> Account:
    return whom if isinstance(whom, Account) else device.account


def handlers(messages: Messages) -> Handlers:
    return {("message", "", ""): messages.message}
