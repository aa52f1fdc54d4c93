"""The emulator: accounts with their devices, and the connections of the clients that act for them."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol, Self

from wafleet.emulator import endpoint
from wafleet.emulator.certificates import Authority
from wafleet.emulator.connection import Connection, Handlers, Key
from wafleet.emulator.model import Account, Device
from wafleet.emulator.noise import Identity
from wafleet.emulator.ports import Ports
from wafleet.emulator.tokens import tokens
from wafleet.emulator.wire import LIDS, Codec, Jid, Node
from wafleet.simulator.frames import Receipt, Said
from wafleet.simulator.local import Local
from wafleet.simulator.world import World

log = logging.getLogger(__name__)

Part = Callable[["Emulator"], Handlers]  # makes a part of the emulator and returns what it handles

_FIRST_HIDDEN: Final = 100_000_000_000_001  # the names that hide numbers look like numbers of 15 digits
_DEVICE_REMOVED: Final = Node("stream:error", {"code": "401"}, [Node("conflict", {"type": "device_removed"})])


class Bridge(Protocol):
    """Who brings to devices what the world says to their account. Called in order; must return at once."""

    def said(self, account: Account, said: Said) -> None: ...
    def receipt(self, account: Account, receipt: Receipt) -> None: ...


class Phones(Protocol):
    """What people do with their phones. Raises Impossible, whose sentence says why."""

    def scan(self, phone: str, qr: str) -> None:
        """Scan the code of a QR picture with a phone."""
        ...

    def enter(self, phone: str, code: str) -> None:
        """Type a pairing code of eight characters into a phone."""
        ...


class _Nobody:
    """Until a bridge is there: what the world says waits in the world."""

    def said(self, account: Account, said: Said) -> None:
        log.debug("a message waits", extra={"account": account.phone, "message": said.id})

    def receipt(self, account: Account, receipt: Receipt) -> None:
        log.debug("a receipt is lost", extra={"account": account.phone, "message": receipt.id})


class Emulator:
    """WhatsApp's server of linked devices, on a world. An async context manager: it listens while it is open.

    world   what its accounts are told and what they write is this world's; it must be kept by this event loop
    folder  where its keys and the patched copies of the library are kept
    parts   what it can do; each is built once, in this order

    Whoever extends it hangs on to:
    bridge    what the world says goes there
    phones    scans codes
    greeters  asked after a handshake; the first to return True has seen to the client
    scanned   asked when a phone has scanned or entered a code; the first to return True has seen to it
    refusals  asked at every login; the first stanza returned is the answer, and the connection ends
    watchers  see every stanza that comes; the first to return True has seen to it
    filters   see every stanza that is about to leave, may change it, and return None where it must not leave
    touched   accounts that somebody has looked up; whoever keeps them empties it
    online    told when a device has logged in, after what waited for it was sent
    offline   told when a device's connection has ended
    removed   told when a device was removed
    changed   told when an account must be kept anew: its devices, their keys, its credentials
    """

    phones: Phones

    def __init__(
        self, world: World, *, folder: Path, parts: Sequence[Part] = (), ports: Mapping[str, int] | None = None
    ) -> None:
        self.world, self.folder = world, folder
        self.accounts: dict[str, Account] = {}  # by phone
        self.by_hidden: dict[str, Account] = {}  # by the user part of the name that hides the phone
        self.connections: set[Connection] = set()
        self.bridge: Bridge = _Nobody()
        self.refusals: list[Callable[[Connection, Account | None], Node | None]] = []
        self.watchers: list[Callable[[Connection, Node], bool]] = []
        self.filters: list[Callable[[Connection, Node], Node | None]] = []
        self.touched: set[Account] = set()
        self.greeters: list[Callable[[Connection], Awaitable[bool]]] = []
        self.scanned: list[Callable[[Connection, Account], bool]] = []
        self.changed: list[Callable[[Account], None]] = []
        self.online: list[Callable[[Device], None]] = []
        self.offline: list[Callable[[Device], None]] = []
        self.removed: list[Callable[[Device], None]] = []
        self._parts, self._handlers = parts, dict[Key, Any]()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False
        self._wanted = dict(ports or {})
        self._numbers = 0

    async def __aenter__(self) -> Self:
        """Begin to listen. Raises Unusable, Changed, OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.authority = Authority.of(self.folder)
        self._codec = Codec(await tokens())
        async with AsyncExitStack() as opened:
            self.wire = Local(self.world)
            opened.push_async_callback(self._cut)
            for part in self._parts:
                self._handlers |= part(self)
            self.ports = await Ports.open(self._serve, self.authority, self._wanted)
            opened.push_async_callback(self.ports.close)
            opened.push_async_callback(self._cut)  # before the ports: they wait for their connections
            self.endpoint = await endpoint.publish(self.folder, self.authority, self.ports)
            opened.callback(endpoint.withdraw, self.folder)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, cut every connection, end every task."""
        await self._opened.aclose()

    async def _cut(self) -> None:
        self._ending = True
        await self.wire.close()  # first: whoever waits for the world's answer waits no longer
        for connection in list(self.connections):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def codec(self) -> Codec:
        return self._codec

    @property
    def identity(self) -> Identity:
        return self.authority.identity(self.now())

    @property
    def handlers(self) -> Handlers:
        return self._handlers

    def now(self) -> float:
        """The world's time, in Unix seconds."""
        return self.world.clock()

    @property
    def stamp(self) -> str:
        """The world's time as stanzas write it."""
        return str(int(self.now()))

    def next_id(self, prefix: str) -> str:
        """Make an id for a stanza of the server's own."""
        self._numbers += 1
        return f"{prefix}{os.getpid()}-{self._numbers}"

    def account(self, phone: str) -> Account:
        """Return the account of a phone number, +491701234567; it begins to exist if it did not."""
        found = self.accounts.get(phone) or self.put(Account(phone, str(_FIRST_HIDDEN + len(self.accounts))))
        self.touched.add(found)
        return found

    def put(self, account: Account) -> Account:
        """Have an account known here."""
        self.accounts[account.phone] = self.by_hidden[account.hidden_user] = account
        return account

    def find(self, jid: Jid) -> Account | None:
        """Return the account of either of its names, whichever device; None when there is none."""
        found = self.by_hidden.get(jid.user) if jid.server == LIDS else self.accounts.get(f"+{jid.user}")
        if found is not None:
            self.touched.add(found)
        return found

    def device(self, jid: Jid) -> Device | None:
        """Return the device of a name; None when there is none, or it was removed."""
        account = self.find(jid)
        device = account.devices.get(jid.device) if account else None
        return None if device is None or device.removed else device

    def remove(self, device: Device) -> None:
        """Unlink a device; it is told if it is online."""
        if device.removed:
            return
        device.removed = True
        device.queue.clear()
        if device.connection is not None:
            device.connection.close(_DEVICE_REMOVED)
        for hook in self.removed:
            hook(device)
        self.keep(device.account)

    def remove_absent(self, account: Account) -> None:
        """Unlink devices for which too much waits while they are away: those do not come back."""
        for device in account.linked:
            if device.queue.full and not device.online:
                log.warning("a device was away for too long and is unlinked", extra={"device": str(device.jid)})
                self.remove(device)

    def keep(self, account: Account) -> None:
        """Say that an account has changed."""
        for hook in self.changed:
            hook(account)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Have work done beside; what it raises is logged, and it ends with the emulator."""
        task = asyncio.create_task(_logged(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def greeted(self, connection: Connection) -> None:
        """A handshake is done: let the first part that knows this kind of client see to it."""
        for greeter in self.greeters:
            if await greeter(connection):
                return

    async def heard(self, connection: Connection, node: Node) -> bool:
        """Let the watchers see a stanza."""
        return any(watcher(connection, node) for watcher in self.watchers)

    def leaving(self, connection: Connection, node: Node) -> Node | None:
        """Let the filters see a stanza that is about to leave."""
        if connection.device is not None:
            self.touched.add(connection.device.account)
        leaving: Node | None = node
        for look in self.filters:
            leaving = None if leaving is None else look(connection, leaving)
        return leaving

    def left(self, connection: Connection) -> None:
        """A connection has ended: its device is offline."""
        self.connections.discard(connection)
        device = connection.device
        if device is not None and device.connection is connection:
            device.connection = None
            for hook in self.offline:
                hook(device)

    async def _serve(self, socket: Any) -> None:
        connection = Connection(socket, self)
        if self._ending:
            connection.abort()
            return
        self.connections.add(connection)
        await connection.run()


async def _logged(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("work beside failed", extra={"work": name})
