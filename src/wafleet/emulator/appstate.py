"""The state of the app that a phone shares with its linked devices: here, the name that goes with its messages.

The phone hands each new device a key in an encrypted message; the server keeps collections of changes, each encrypted
under that key and sealed by codes over the change, the change with all before it, and the whole.
Source: the protocol as its public clients speak it.
"""

import hmac
import os
from typing import Final

import msgspec

from wafleet.clientlib.protos import e2e, server_sync, sync_action
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.keys import hkdf
from wafleet.emulator.model import Account, Device
from wafleet.emulator.people import People
from wafleet.emulator.post import bring
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import encrypt
from wafleet.emulator.wire import SERVER, Attribute, Malformed, Node

_NAMES: Final = "critical_block"  # the collection that a device needs before it may show itself
_INDEX: Final = b'["setting_pushName"]'
_LARGEST: Final = 1024 * 1024  # bytes of one change


class AppState(msgspec.Struct):
    """What one account shares: its key, and the changes of each collection, the first being version 1."""

    key_id: bytes
    key: bytes
    collections: dict[str, list[bytes]] = {}


class AppStates:
    """Keep what accounts share with their devices."""

    def __init__(self, emulator: Emulator, people: People) -> None:
        self._emulator, self._people = emulator, people
        self.states: dict[str, AppState] = {}  # by phone

    def of(self, account: Account) -> AppState:
        """Return what an account shares; it begins with its name."""
        state = self.states.get(account.phone)
        if state is None:
            state = self.states[account.phone] = AppState(b"\x00\x01" + os.urandom(4), os.urandom(32))
            name = account.name or f"Account {account.user[-4:]}"
            state.collections[_NAMES] = [_name_change(state, name, self._emulator.now())]
        return state

    def welcome(self, device: Device) -> None:
        """Share the key with a device that has come for the first time."""
        phone = self._people.phone(device.account)
        if device.number and device.number not in phone.memory.shared and self.share(device):
            phone.memory.shared.add(device.number)

    def share(self, device: Device) -> bool:
        """Have the phone send the key to a device; False while the device has brought no keys."""
        account, id = device.account, "3A" + os.urandom(9).hex().upper()
        enc = self._people.encrypt(account, device, _share(self.of(account), self._emulator.now()))
        if enc is None:
            return False
        attrs: dict[str, Attribute] = {
            "from": account.jid(),
            "id": id,
            "type": "text",
            "category": "peer",
            "t": self._emulator.stamp,
        }
        bring(device, Node("message", attrs, [enc]))
        return True

    async def sync(self, connection: Connection, node: Node) -> None:
        """Take a device's changes, and answer with those it does not have yet."""
        device = connection.device
        if device is None:
            raise Malformed("app state belongs to a device")
        state = self.of(device.account)
        found = [self._collection(device, state, asked) for asked in node.need("sync").children]
        connection.result(node, Node("sync", {}, found))

    def _collection(self, device: Device, state: AppState, asked: Node) -> Node:
        name, version = asked.text("name"), int(asked.text("version", "0"))
        changes = state.collections.setdefault(name, [])
        change = asked.child("patch")
        if change is not None and version == len(changes):
            changes.append(_numbered(change.data, version + 1))
            self._tell_others(device, name, len(changes))
            return Node("collection", {"name": name, "version": str(len(changes))})
        attrs: dict[str, Attribute] = {"name": name, "version": str(len(changes))}
        if change is not None:
            attrs["type"] = "error"
        missing = [Node("patch", {}, data) for data in changes[version:]]
        conflict = [Node("error", {"code": "409", "text": "conflict"})] if change is not None else []
        return Node("collection", attrs, [*conflict, *([Node("patches", {}, missing)] if missing else [])] or None)

    def _tell_others(self, device: Device, name: str, version: int) -> None:
        attrs: dict[str, Attribute] = {"from": SERVER, "type": "server_sync", "t": self._emulator.stamp}
        changed = Node("collection", {"name": name, "version": str(version)})
        for other in device.account.linked:
            if other is not device:
                bring(other, Node("notification", {**attrs, "id": self._emulator.next_id("state")}, [changed]))


def _share(state: AppState, now: float) -> e2e.Message:
    data = e2e.AppStateSyncKeyData(
        keyData=state.key,
        timestamp=int(now),
        fingerprint=e2e.AppStateSyncKeyFingerprint(rawID=1, currentIndex=0),
    )
    key = e2e.AppStateSyncKey(keyID=e2e.AppStateSyncKeyId(keyID=state.key_id), keyData=data)
    share = e2e.ProtocolMessage(
        type=e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE,
        appStateSyncKeyShare=e2e.AppStateSyncKeyShare(keys=[key]),
    )
    return e2e.Message(protocolMessage=share)


def _numbered(data: bytes, version: int) -> bytes:
    """Give a device's change the number that is next. Raises Malformed."""
    if len(data) > _LARGEST:
        raise Malformed(f"a change of {len(data)} bytes")
    try:
        change = server_sync.SyncdPatch.FromString(data)
    except Exception as e:
        raise Malformed("not a change") from e
    change.version.version = version
    return change.SerializeToString()


def _name_change(state: AppState, name: str, now: float) -> bytes:
    """Write the first change of the collection: the name of the account."""
    keys = hkdf(state.key, 160, info=b"WhatsApp Mutation Keys")
    of_index, of_value, of_proof, of_whole, of_change = (keys[i : i + 32] for i in range(0, 160, 32))
    value, value_proof = _sealed(state, _name_action(name, now), of_value, of_proof)
    tail = _long(1) + _NAMES.encode()
    whole = hkdf(value_proof, 128, info=b"WhatsApp Patch Integrity")  # the sum of one summand
    whole_proof = hmac.digest(of_whole, whole + tail, "sha256")
    record = server_sync.SyncdRecord(
        index=server_sync.SyncdIndex(blob=hmac.digest(of_index, _INDEX, "sha256")),
        value=server_sync.SyncdValue(blob=value + value_proof),
        keyID=server_sync.KeyId(ID=state.key_id),
    )
    mutation = server_sync.SyncdMutation(operation=server_sync.SyncdMutation.SET, record=record)
    return server_sync.SyncdPatch(
        version=server_sync.SyncdVersion(version=1),
        mutations=[mutation],
        snapshotMAC=whole_proof,
        patchMAC=hmac.digest(of_change, whole_proof + value_proof + tail, "sha256"),
        keyID=server_sync.KeyId(ID=state.key_id),
    ).SerializeToString()


def _name_action(name: str, now: float) -> bytes:
    setting = sync_action.PushNameSetting(name=name)
    value = sync_action.SyncActionValue(timestamp=int(now * 1000), pushNameSetting=setting)
    return sync_action.SyncActionData(index=_INDEX, value=value, padding=b"", version=1).SerializeToString()


def _sealed(state: AppState, words: bytes, of_value: bytes, of_proof: bytes) -> tuple[bytes, bytes]:
    vector = os.urandom(16)
    value = vector + encrypt(of_value, vector, words)
    covered = b"\x01" + state.key_id + value + _long(len(state.key_id) + 1)
    return value, hmac.digest(of_proof, covered, "sha512")[:32]


def _long(number: int) -> bytes:
    return number.to_bytes(8, "big")


def handlers(states: AppStates) -> Handlers:
    return {("iq", "w:sync:app:state", "sync"): states.sync}
