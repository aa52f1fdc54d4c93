"""Answers to what clients ask as a matter of course: signs of life, and settings nobody here has changed.

Source: the questions that the library was seen to ask after a login, and the shortest answers it was content with.
"""

from collections.abc import Mapping
from typing import Final

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node

_ALL: Final = ("readreceipts", "profile", "status", "online", "last", "groupadd", "calladd")
_ANSWERS: Final[Mapping[str, tuple[Node, ...]]] = {
    "w:p": (),
    "urn:xmpp:ping": (),
    "w": (Node("props"),),
    "abt": (Node("props"),),
    "tos": (Node("notices"),),
    "w:stats": (),
    "urn:xmpp:whatsapp:dirty": (),
    "urn:xmpp:whatsapp:push": (),
    "blocklist": (Node("list", {"dhash": "0"}),),
}


def part(_: Emulator) -> Handlers:
    """Answer what needs no knowledge of the account."""
    return {("iq", xmlns, ""): _usual for xmlns in _ANSWERS} | {("iq", "privacy", ""): _privacy}


async def _usual(connection: Connection, node: Node) -> None:
    connection.result(node, *_ANSWERS[node.text("xmlns")])


async def _privacy(connection: Connection, node: Node) -> None:
    asked = node.text("type") == "get"
    categories = [Node("category", {"name": name, "value": "all"}) for name in _ALL]
    connection.result(node, *([Node("privacy", {}, categories)] if asked else []))
