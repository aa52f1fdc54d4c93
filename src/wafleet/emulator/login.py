"""Logins: who a client is, whether the world lets its account in, and how the world's endings reach it.

All devices of an account that are online share one session of the world. A device that logs in a second time takes the
session over, as the world sees it too; the connection it had is told so.
Source: stanzas as the library sends and expects them; the codes of failures are whatsmeow's, ConnectFailureReason.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Mapping
from typing import Final

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.model import Account, Device, PreKey, SignedKey
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import SERVER, Malformed, Node
from wafleet.simulator.frames import Receipt, Said
from wafleet.simulator.trouble import FOR_GOOD
from wafleet.simulator.wire import Gone, NoAnswer, Refusal

log = logging.getLogger(__name__)

LOCATION: Final = "emu"
_LOGIN_S: Final = 60.0  # the slowest start the world knows is well below
_MOST_KEYS: Final = 5_000  # one-time keys of a device; clients upload 812 at a time
_NO_DEVICE: Final = "401"
_FAILURES: Final[Mapping[str, str]] = {
    "logged_out": _NO_DEVICE,
    "locked": "403",
    "outdated": "405",
    "throttled": "503",
}
REPLACED: Final = Node("stream:error", {}, [Node("conflict", {"type": "replaced"})])


def part(emulator: Emulator) -> Handlers:
    """Let linked devices log in."""
    login = Login(emulator)
    emulator.greeters.append(login.greet)
    emulator.offline.append(login.offline)
    emulator.removed.append(login.removed)
    return {
        ("iq", "encrypt", "count"): login.count,
        ("iq", "encrypt", "registration"): login.upload,
        ("iq", "encrypt", "digest"): login.digest,
        ("iq", "passive", ""): login.passive,
        ("iq", "md", "remove-companion-device"): login.remove,
    }


def failure(reason: str, detail: str, wait: float) -> Node | None:
    """Return the answer to a login that the world refused; None: the connection just breaks."""
    if reason == "banned":
        return _banned(detail, wait)
    if reason == "network":
        return None
    if reason == "replaced":
        return REPLACED
    return _failed(_FAILURES.get(reason, "500"))


def _failed(reason: str, **more: str) -> Node:
    return Node("failure", {"reason": reason, "location": LOCATION, **more})


def _banned(detail: str, wait: float) -> Node:
    if detail == FOR_GOOD:
        return _failed("406")
    code = re.match(r"[0-9]+", detail)
    return _failed("402", code=code[0] if code else "101", expire=str(max(round(wait), 1)))


class _Session:
    """One session of the world: what it hears goes to the bridge, its end to the devices."""

    def __init__(self, login: "Login", account: Account) -> None:
        self._login, self._account = login, account

    def said(self, said: Said) -> None:
        self._login.emulator.bridge.said(self._account, said)

    def receipt(self, receipt: Receipt) -> None:
        self._login.emulator.bridge.receipt(self._account, receipt)

    def secret(self, credentials: bytes) -> None:
        self._account.credentials = credentials
        self._login.emulator.keep(self._account)

    def closed(self, reason: str, detail: str, wait: float) -> None:
        self._login.closed(self, self._account, reason)


class Login:
    """Everything about being logged in."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._doors: dict[Account, asyncio.Lock] = {}
        self._sessions: dict[Account, _Session] = {}
        self._taking: dict[Account, Device] = {}  # devices that log in a second time just now

    async def greet(self, connection: Connection) -> bool:
        """Let a device in, or say why not."""
        payload = connection.payload
        if payload.HasField("devicePairingData"):
            return False
        account = self.emulator.accounts.get(f"+{payload.username}")
        device = self._device(account, payload.device, connection.client)
        for refusal in self.emulator.refusals:
            if (answer := refusal(connection, account)) is not None:
                self._refuse(connection, device, answer)
                return True
        if device is None:
            self._refuse(connection, device, _failed(_NO_DEVICE))
        elif not await self._enter(device, connection):
            if device.account.channel is None:  # the world ended the former session before it refused this one
                self._end(device.account, "network")
        elif connection.closing:
            self.offline(device)
        else:
            self._welcome(device, connection)
        return True

    def _device(self, account: Account | None, number: int, noise: bytes) -> Device | None:
        device = account.devices.get(number) if account and number else None
        return None if device is None or device.removed or device.noise != noise else device

    async def _enter(self, device: Device, connection: Connection) -> bool:
        account = device.account
        async with self._doors.setdefault(account, asyncio.Lock()):
            if account.channel is not None and not device.online:
                return True
            if device.online:
                self._taking[account] = device
            try:
                await self._open(account)
            except Refusal as e:
                self._refuse(connection, device, failure(e.reason, e.detail, e.wait))
            except (Gone, NoAnswer):
                self._refuse(connection, device, None)
            else:
                return True
            finally:
                self._taking.pop(account, None)
        return False

    async def _open(self, account: Account) -> None:
        session = _Session(self, account)
        credentials = account.credentials or b""
        channel = await self.emulator.wire.login(account.phone, credentials, session, _LOGIN_S)
        account.channel, self._sessions[account] = channel, session

    def _refuse(self, connection: Connection, device: Device | None, answer: Node | None) -> None:
        if answer is None:
            connection.abort()
            return
        connection.close(answer)
        if device is not None and answer.text("reason") == _NO_DEVICE:
            self.emulator.remove(device)  # its program deletes its keys when it is told so

    def _welcome(self, device: Device, connection: Connection) -> None:
        former, device.connection, connection.device = device.connection, connection, device
        if former is not None:
            former.close(REPLACED)
        emulator = self.emulator
        attrs = {"t": emulator.stamp, "props": "25", "location": LOCATION, "lid": device.lid}
        connection.send(Node("success", attrs))
        waiting = list(device.queue)
        connection.send(Node("ib", {"from": SERVER}, [_preview(waiting)]))
        for node in waiting:
            connection.send(node.with_attrs({"offline": "0"}))
        connection.send(Node("ib", {"from": SERVER}, [Node("offline", {"count": str(len(waiting))})]))
        for hook in emulator.online:
            hook(device)

    def closed(self, session: _Session, account: Account, reason: str) -> None:
        """The world ended a session: end what the devices have of it."""
        if self._sessions.get(account) is not session:
            return
        del self._sessions[account]
        account.channel = None
        taking = self._taking.get(account)
        if reason == "logged_out":
            account.credentials = None
            for device in account.linked:
                self.emulator.remove(device)
        elif reason != "replaced" or taking is None:
            self._end(account, reason)

    def _end(self, account: Account, reason: str) -> None:
        for device in account.linked:
            if device.connection is not None and reason == "replaced":
                device.connection.close(REPLACED)
            elif device.connection is not None:
                device.connection.close()  # it comes back, and is told then

    def offline(self, device: Device) -> None:
        """A device has gone; with the last one of an account its session of the world ends."""
        account = device.account
        if account.channel is not None and not any(other.online for other in account.linked):
            channel, account.channel = account.channel, None
            self._sessions.pop(account, None)
            channel.leave()

    async def count(self, connection: Connection, node: Node) -> None:
        """Say how many one-time keys of a device are left."""
        device = self.of(connection)
        connection.result(node, Node("count", {"value": str(len(device.pre_keys))}))

    async def upload(self, connection: Connection, node: Node) -> None:
        """Take a device's keys, with which others begin conversations."""
        device, signed = self.of(connection), node.need("skey")
        device.registration = int.from_bytes(node.need("registration").data, "big")
        device.identity = node.need("identity").data
        device.signed_key = SignedKey(_number(signed), signed.need("value").data, signed.need("signature").data)
        keys = [PreKey(_number(key), key.need("value").data) for key in node.need("list").children]
        device.pre_keys = deque([*device.pre_keys, *keys], _MOST_KEYS)
        self.emulator.keep(device.account)
        connection.result(node)

    async def digest(self, connection: Connection, node: Node) -> None:
        """Say that what we have of a device's keys is what it has."""
        connection.result(node, Node("digest"))

    async def passive(self, connection: Connection, node: Node) -> None:
        """Take note that a client is ready, or wants nothing for now; some compare the answer with what they said."""
        connection.result(node, *(Node(part.tag) for part in node.children))

    async def remove(self, connection: Connection, node: Node) -> None:
        """Unlink a device as a device of the same account wishes."""
        account = self.of(connection).account
        device = account.devices.get(node.need("remove-companion-device").jid("jid").device)
        connection.result(node)
        if device is None or not device.number:
            return
        self.emulator.remove(device)

    def removed(self, device: Device) -> None:
        """With its last device an account is unlinked in the world too."""
        account = device.account
        if not account.linked and account.credentials:
            credentials, account.credentials = account.credentials, None
            self.emulator.spawn(self._unlink(account.phone, credentials), "unlink")

    async def _unlink(self, phone: str, credentials: bytes) -> None:
        try:
            await self.emulator.wire.unlink(phone, credentials, _LOGIN_S)
        except (Gone, NoAnswer, Refusal) as e:
            log.warning("the world did not unlink an account", extra={"phone": phone, "reason": str(e)})

    def of(self, connection: Connection) -> Device:
        """Return a connection's device. Raises Malformed before it has logged in."""
        if connection.device is None:
            raise Malformed("a question that only a device that is logged in may ask")
        return connection.device


def _number(key: Node) -> int:
    return int.from_bytes(key.need("id").data, "big")


def _preview(waiting: list[Node]) -> Node:
    counts = {tag: str(sum(node.tag == tag for node in waiting)) for tag in ("message", "notification", "receipt")}
    return Node("offline_preview", {"count": str(len(waiting)), "appdata": "0", **counts})
