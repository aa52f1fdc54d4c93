"""What clients ask of other accounts: who is on WhatsApp, by which names, and with which devices.

Source: questions as the library asks them, and answers as it was seen to accept them.
"""

import re
from typing import Final

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.model import Account
from wafleet.emulator.people import People
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import LIDS, PEOPLE, Jid, Malformed, Node

_MOST: Final = 2_000  # accounts in one question


class Usync:
    """Answer questions about accounts."""

    def __init__(self, emulator: Emulator, people: People) -> None:
        self._emulator, self._people = emulator, people

    async def asked(self, connection: Connection, node: Node) -> None:
        """Answer one question, which may be about many accounts."""
        usync = node.need("usync")
        query, users = usync.need("query"), usync.need("list").children
        if len(users) > _MOST:
            raise Malformed(f"a question about {len(users)} accounts")
        facts = [Node(protocol.tag) for protocol in query.children]
        found = [self._user(user, query) for user in users]
        answer = [Node("result", {}, facts), Node("list", {}, found)]
        connection.result(node, Node("usync", usync.attrs, answer))

    def _user(self, user: Node, query: Node) -> Node:
        contact = user.child("contact")
        if contact is not None and contact.data:
            return self._by_number(contact.data.decode("utf-8", "replace"), query)
        name = user.jid("jid")
        account = self._account(name)
        return Node("user", {"jid": name}, self._facts(account, query) if account else None)

    def _by_number(self, asked: str, query: Node) -> Node:
        number = re.sub(r"\D", "", asked.partition("@")[0])
        account = self._people.customer(f"+{number}")
        if account is None:
            return Node("user", {"jid": Jid(number)}, [Node("contact", {"type": "out"}, asked.encode())])
        contact = Node("contact", {"type": "in"}, asked.encode())
        by_lid = query.child("contact")
        attrs = {"jid": account.jid()}
        if by_lid is not None and by_lid.text("addressing_mode") == LIDS:
            attrs = {"jid": account.hidden(), "pn_jid": account.jid()}
        return Node("user", attrs, [contact, *self._facts(account, query)])

    def _account(self, name: Jid) -> Account | None:
        account = self._emulator.find(name)
        if account is None and name.server == PEOPLE:
            return self._people.customer(f"+{name.user}")
        return account

    def _facts(self, account: Account, query: Node) -> list[Node]:
        wanted = {protocol.tag for protocol in query.children}
        facts: list[Node] = []
        if "devices" in wanted:
            facts.append(self._devices(account))
        if "lid" in wanted:
            facts.append(Node("lid", {"val": account.hidden()}))
        if "status" in wanted:
            facts.append(Node("status", {"t": "0"}, b"Hey there! I am using WhatsApp."))
        return facts

    def _devices(self, account: Account) -> Node:
        linked = [Node("device", {"id": str(d.number), "key-index": str(d.number)}) for d in account.linked]
        devices = Node("device-list", {"hash": "2:emulator"}, [Node("device", {"id": "0"}), *linked])
        now = int(self._emulator.now())
        keys = Node("key-index-list", {"ts": str(now)}, account.key_list(now))
        return Node("devices", {}, [devices, keys])


def part(emulator: Emulator, people: People) -> Handlers:
    """Answer questions about accounts."""
    return {("iq", "usync", ""): Usync(emulator, people).asked}
