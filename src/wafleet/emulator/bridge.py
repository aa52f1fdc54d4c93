"""The way between linked devices and the simulator's world: its customers, its ledger and its faults.

What a device sends is read by the software phone of whom it is for, and then crosses the world under the id that the
device gave it; the world's answer becomes the network's. What a customer says in the world, their software phone
encrypts for every linked device; it is acknowledged to the world when the first of them has confirmed it.

Between two accounts that both have linked devices a message crosses the world too and is encrypted anew by the phone
of its writer, under the same id: so both sides, and the ledger, know it by one name.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from wafleet.clientlib.protos import e2e
from wafleet.emulator import contents
from wafleet.emulator.media import Files
from wafleet.emulator.model import Account, Device
from wafleet.emulator.people import People
from wafleet.emulator.post import bring
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Jid, Node
from wafleet.simulator.frames import READ, Receipt, Said
from wafleet.simulator.wire import Gone, NoAnswer, Refusal

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")
_ANSWER_S: Final = 180.0  # longer than any client waits
_REMEMBERED: Final = 20_000  # ids, of all accounts
_CODES: Final = {"reach_out_lock": "463", "throttled": "429", "too_long": "479"}
_REFUSED: Final = "400"


class WorldBridge:
    """Bring messages and receipts from the world to devices, and messages of devices to the world."""

    def __init__(self, emulator: Emulator, people: People, files: Files) -> None:
        self._emulator, self.people, self.files = emulator, people, files
        self.confirmed: dict[str, None] = {}  # messages of customers that a device has confirmed
        self.addresses: dict[str, Jid] = {}  # whom a message was addressed to, and by which name
        self.noted: Callable[[str, Jid], None] = lambda id, to: None  # told of each address before its message crosses
        self._late: dict[tuple[str, Jid, int], list[Receipt]] = {}  # receipts of this turn, by account, name and state
        self.last: dict[str, tuple[Account, str]] = {}  # the newest message to each account: from whom, and its id

    def said(self, account: Account, said: Said) -> None:
        """Bring what a customer said to every linked device."""
        if said.sender == account.phone:
            return  # a message of the account to itself comes back to its other devices only
        if said.id in self.confirmed:
            self.acknowledge(account, [said.id])
            return
        self._emulator.remove_absent(account)
        devices = account.linked if self._comes_twice(account) else _lacking(account, said.id)
        if not devices:
            return  # it comes to each device until that has confirmed it, however often the world says it
        writer = self._emulator.account(said.sender)
        writer.name = said.name or writer.name
        message = contents.write(said.text, said.body, self.files, by=str(writer.hidden()), to=str(account.hidden()))
        self.last[account.phone] = (writer, said.id)
        attrs = {"t": str(int(said.at)), **_described(message)}
        self.people.phone(writer).note_written(said.id, message, attrs)
        for device in devices:
            self.bring(writer, device, said.id, message, attrs)

    def bring(self, writer: Account, device: Device, id: str, message: e2e.Message, attrs: dict[str, str]) -> None:
        """Encrypt a customer's message for one device, and keep it until that has confirmed it."""
        enc = self.people.encrypt(writer, device, message)
        if enc is None:
            log.warning("a device has no keys: a message does not reach it", extra={"device": str(device.jid)})
            return
        kind = {"mediatype": found} if (found := contents.media_type(message)) else {}
        stanza = {"from": writer.hidden(), "id": id, **attrs, "sender_pn": writer.jid()}
        named = {"notify": writer.name} if writer.name else {}
        bring(device, Node("message", {**stanza, **named}, [Node("enc", {**enc.attrs, **kind}, enc.content)]))

    def acknowledge(self, account: Account, ids: Sequence[str]) -> None:
        """Tell the world that a device has confirmed messages of customers."""
        for id in ids:
            _remember(self.confirmed, id, None)
        if account.channel is not None:
            account.channel.acknowledge(ids)

    async def send(self, device: Device, id: str, to: Account | Jid, said: contents.Said) -> str | None:
        """Let a device's message cross the world; return the code of its refusal, or an empty text.

        None when the world does not answer: then the network does not either.
        """
        account, (text, body) = device.account, said
        if account.channel is None:
            return None
        ref = id.encode("ascii", "replace")
        if self._emulator.world.has_crossed(account.phone, ref):
            return ""  # a client that lost its connection sends again what it has no answer to, under the same id
        phone = to.phone if isinstance(to, Account) else f"+{to.user}"
        try:
            await account.channel.send(ref, phone, text, body, _ANSWER_S)
        except Refusal as e:
            return None if e.reason in ("not_open", "network") else _code(e)
        except (Gone, NoAnswer):
            return None
        return ""

    def addressed(self, id: str, to: Jid) -> None:
        """Note by which name somebody was addressed: the receipts of the message come from that name."""
        if self.addresses.get(id) != to.bare:
            _remember(self.addresses, id, to.bare)
            self.noted(id, to.bare)

    def receipt(self, account: Account, receipt: Receipt) -> None:
        """Bring a receipt to every linked device, together with all others of this turn from the same customer."""
        name = self.addresses.get(receipt.ref.decode("ascii", "replace"), account.hidden())
        if not self._late:
            asyncio.get_running_loop().call_soon(self._bring_receipts)
        self._late.setdefault((account.phone, name, receipt.state), []).append(receipt)

    def _bring_receipts(self) -> None:
        late, self._late = self._late, {}
        for (phone, name, state), receipts in late.items():
            account = self._emulator.account(phone)
            ids = [receipt.ref.decode("ascii", "replace") for receipt in receipts]
            node = receipt_node(name, ids, int(receipts[0].at), "read" if state == READ else "")
            for device in account.linked:
                bring(device, node)

    def _comes_twice(self, account: Account) -> bool:
        return self._emulator.world.board.on(account.phone, "duplicates") is not None


def _lacking(account: Account, id: str) -> list[Device]:
    """Return the devices for which a message does not wait yet."""
    return [device for device in account.linked if not device.queue.has("message", id)]


def receipt_node(name: Jid, ids: Sequence[str], at: int, kind: str = "") -> Node:
    """Write one receipt for one message or many."""
    attrs = {"from": name, "id": ids[0], "t": str(at), **({"type": kind} if kind else {})}
    more = [Node("item", {"id": id}) for id in ids[1:]]
    return Node("receipt", attrs, [Node("list", {}, more)] if more else None)


def _code(refusal: Refusal) -> str:
    """Return the code of a refusal: its own where the world names one."""
    named = refusal.detail.partition(" ")[0]
    return _CODES.get(refusal.reason) or (named if named.isdecimal() else _REFUSED)


def _described(message: e2e.Message) -> dict[str, str]:
    mark = contents.edit_mark(message)
    return {"type": contents.kind_of(message), **({"edit": mark} if mark else {})}


def _remember(memory: dict[str, _Value], name: str, value: _Value) -> None:
    memory.pop(name, None)
    memory[name] = value
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
