"""Everything about messages, put together: phones and keys, the way to the world, receipts, presence, files."""

from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from wafleet.emulator import appstate, keybundles, mediahost, messages, presence, receipts, usync
from wafleet.emulator.appstate import AppStates
from wafleet.emulator.bridge import WorldBridge
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.media import Files
from wafleet.emulator.mediahost import MediaHost
from wafleet.emulator.messages import Messages
from wafleet.emulator.people import People
from wafleet.emulator.presence import Presence
from wafleet.emulator.receipts import Receipts
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node


@dataclass(frozen=True, slots=True)
class Messaging:
    """The parts of one emulator that have to do with messages."""

    people: People
    files: Files
    bridge: WorldBridge
    messages: Messages
    receipts: Receipts
    presence: Presence
    appstates: AppStates
    host: MediaHost


_OF: Final = WeakKeyDictionary[Emulator, Messaging]()


def of(emulator: Emulator) -> Messaging:
    """Return an emulator's parts, once it is open."""
    return _OF[emulator]


def part(emulator: Emulator) -> Handlers:
    """Carry messages."""
    people, files = People(emulator), Files(emulator.folder / "files")
    bridge, states, host = WorldBridge(emulator, people, files), AppStates(emulator, people), MediaHost(emulator, files)
    shown, taken, sent = Presence(emulator), Receipts(emulator, bridge), Messages(emulator, bridge, states)
    _OF[emulator] = Messaging(people, files, bridge, sent, taken, shown, states, host)
    emulator.bridge = bridge
    emulator.online.append(states.welcome)
    emulator.offline.append(shown.gone)
    emulator.spawn(host.run(), "media host")
    return {
        **keybundles.part(emulator, people),
        **usync.part(emulator, people),
        **messages.handlers(sent),
        **receipts.handlers(taken),
        **presence.handlers(shown),
        **appstate.handlers(states),
        **mediahost.handlers(host),
        ("iq", "privacy", "tokens"): _tokens,
    }


async def _tokens(connection: Connection, node: Node) -> None:
    """A device tells whom it trusts; nobody here asks."""
    connection.result(node)
