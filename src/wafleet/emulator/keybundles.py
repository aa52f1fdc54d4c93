"""Keys with which somebody begins a session with a device while it is away.

Source: stanzas as the library sends and accepts them; what the keys are for is Signal's X3DH.
"""

from typing import Final

from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.model import Device, SignedKey
from wafleet.emulator.people import People
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import KEY_TYPE, Bundle
from wafleet.emulator.wire import SERVER, Malformed, Node

_FEW: Final = 5  # one-time keys; below this a device is told to bring more


class KeyBundles:
    """Hand out the keys of devices; a one-time key is handed out once."""

    def __init__(self, emulator: Emulator, people: People) -> None:
        self._emulator, self._people = emulator, people

    def take(self, device: Device) -> Bundle | None:
        """Take keys out of a device's stock; None when it never brought any."""
        if device.number == 0:
            return self._people.phone(device.account).keychain.bundle()
        signed = device.signed_key
        if signed is None:
            return None
        one_time = device.pre_keys.popleft() if device.pre_keys else None
        self._tell_low(device)
        return Bundle(
            registration=device.registration,
            identity=device.identity,
            signed_number=signed.number,
            signed=signed.public,
            signature=signed.signature,
            one_time_number=one_time.number if one_time else None,
            one_time=one_time.public if one_time else b"",
        )

    async def asked(self, connection: Connection, node: Node) -> None:
        """Answer who asks for the keys of devices."""
        users = [self._user(user) for user in node.need("key").children]
        connection.result(node, Node("list", {}, users))

    def _user(self, user: Node) -> Node:
        name = user.jid("jid")
        device = self._emulator.device(name)
        if device is None and name.device == 0:
            account = self._emulator.find(name)
            device = self._people.phone(account).device if account else None
        bundle = self.take(device) if device else None
        if bundle is None:
            error = Node("error", {"code": "404", "text": "item-not-found"})
            return Node("user", {"jid": name}, [error])
        return Node("user", {"jid": name}, written(bundle))

    def _tell_low(self, device: Device) -> None:
        if device.connection and len(device.pre_keys) < _FEW:
            emulator = self._emulator
            attrs = {"from": SERVER, "type": "encrypt", "id": emulator.next_id("keys"), "t": emulator.stamp}
            count = Node("count", {"value": str(len(device.pre_keys))})
            device.connection.send(Node("notification", attrs, [count]))


def written(bundle: Bundle) -> list[Node]:
    """Write keys as the server tells them."""
    one_time: list[Node] = []
    if bundle.one_time_number is not None:
        one_time = [Node("key", {}, [_numbered(bundle.one_time_number), Node("value", {}, bundle.one_time)])]
    signed = [
        _numbered(bundle.signed_number),
        Node("value", {}, bundle.signed),
        Node("signature", {}, bundle.signature),
    ]
    return [
        Node("registration", {}, bundle.registration.to_bytes(4, "big")),
        Node("type", {}, KEY_TYPE),
        Node("identity", {}, bundle.identity),
        *one_time,
        Node("skey", {}, signed),
    ]


def brought(node: Node, registration: int) -> Bundle:
    """Read the keys that a device sends along when it asks for a message again. Raises Malformed."""
    one_time = node.child("key")
    signed = read_signed(node.need("skey"))
    identity = node.need("identity").data
    if len(identity) != 32:
        raise Malformed("an identity has 32 bytes")
    return Bundle(
        registration=registration,
        identity=identity,
        signed_number=signed.number,
        signed=signed.public,
        signature=signed.signature,
        one_time_number=int.from_bytes(one_time.need("id").data, "big") if one_time else None,
        one_time=one_time.need("value").data if one_time else b"",
    )


def read_signed(node: Node) -> SignedKey:
    """Read the key that its device signed. Raises Malformed."""
    return SignedKey(int.from_bytes(node.need("id").data, "big"), node.need("value").data, node.need("signature").data)


def _numbered(number: int) -> Node:
    return Node("id", {}, number.to_bytes(3, "big"))


def part(emulator: Emulator, people: People) -> Handlers:
    """Answer for keys."""
    bundles = KeyBundles(emulator, people)
    people.stock = bundles.take
    return {("iq", "encrypt", "key"): bundles.asked}
