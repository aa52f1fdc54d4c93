"""Linking a device: by the QR code it shows, or by the code of eight characters that is typed into the phone.

Either way the two come to share a secret that never crosses the server: the QR code holds it, or it follows from the
typed code. With it the phone vouches for the device's key, the device answers with its own signature, and logs in anew.
Source: the protocol as its public clients speak it; the labels and prefixes below are the protocol's own.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from wafleet.clientlib.protos import adv
from wafleet.emulator.connection import Connection, Handlers
from wafleet.emulator.keys import Key, hkdf, verify
from wafleet.emulator.model import RAW_ID, Account, Device, SignedKey
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import SERVER, Malformed, Node
from wafleet.simulator.model import PHONE, Impossible

log = logging.getLogger(__name__)

_BY_ACCOUNT: Final = b"\x06\x00"  # what an account signs: details and the device's identity
_BY_DEVICE: Final = b"\x06\x01"  # what a device signs: the same, and the account's key
_KEY_TYPE: Final = b"\x05"
_REFS: Final = 6
_ROUNDS: Final = 131_072  # of PBKDF2, between the typed code and its key
_BUNDLE_LABEL: Final = b"link_code_pairing_key_bundle_encryption_key"
_RESTART: Final = Node("stream:error", {"code": "515"})  # what a device is told that shall log in now
_LEAVE_S: Final = 5.0  # by then the client has hung up itself


@dataclass(frozen=True, slots=True)
class Times:
    """How long codes are good, in seconds: the first QR code, each further one, and a typed code."""

    first: float = 60.0
    next: float = 20.0
    typed: float = 160.0

    @property
    def all(self) -> float:
        return self.first + (_REFS - 1) * self.next


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One client that wants to be linked by a typed code."""

    connection: Connection
    ref: bytes
    wrapped: bytes  # the client's fresh key, locked with the code
    until: float
    account: Account | None = None  # whose phone the code was typed into last, and what it answered with
    fresh: Key | None = None
    shared: bytes = b""


def part(emulator: Emulator, times: Times) -> Handlers:
    """Let phones link devices."""
    pairing = Pairing(emulator, times)
    emulator.phones = pairing
    emulator.greeters.append(pairing.greet)
    return {("iq", "md", "link_code_companion_reg"): pairing.typed}


class Pairing:
    """The clients that want to be linked just now. `times` may be changed between two of them."""

    def __init__(self, emulator: Emulator, times: Times) -> None:
        self._emulator, self.times = emulator, times
        self._refs: dict[str, tuple[Connection, float]] = {}
        self._attempts: dict[str, _Attempt] = {}  # by phone

    async def greet(self, connection: Connection) -> bool:
        """Give a client that is not linked the means to show QR codes."""
        if not connection.payload.HasField("devicePairingData"):
            return False
        self._forget_the_gone()
        now, times, refs = self._emulator.now(), self.times, list[Node]()
        for number in range(_REFS):
            ref = "2@" + base64.b64encode(os.urandom(48)).decode()
            self._refs[ref] = (connection, now + times.first + number * times.next)
            refs.append(Node("ref", {}, ref.encode()))
        attrs = {"from": SERVER, "type": "set", "id": self._emulator.next_id("qr"), "xmlns": "md"}
        connection.ask(Node("iq", attrs, [Node("pair-device", {}, refs)]), _nothing)
        self._emulator.world.agenda.after(max(times.all, times.typed), connection.close)
        return True

    def scan(self, phone: str, qr: str) -> None:
        """Scan the code of a QR picture with a phone. Raises Impossible."""
        parts = qr.strip().rpartition("#")[2].split(",")
        if len(parts) < 4:
            raise Impossible(
                "This is not the QR code of a linked device: it has four parts or more, with commas between"
            )
        connection, until = self._refs.get(parts[0], (None, 0.0))
        if connection is None or connection.closing or until < self._emulator.now():
            raise Impossible("This QR code is not shown any more: scan the one that is shown now")
        noise, identity, secret = (_unbase64(part) for part in parts[1:4])
        if noise != connection.client:
            raise Impossible("This QR code is of another connection than the one that shows it")
        self._scanned(connection, self._account(phone), identity, secret)

    def enter(self, phone: str, code: str) -> None:
        """Type a code into a phone; whether it was the right one shows when the client answers. Raises Impossible."""
        attempt = self._attempts.get(phone)
        if attempt is None or attempt.connection.closing or attempt.until < self._emulator.now():
            raise Impossible(f"No device waits for a code on {phone}: ask for one there first; a code is soon too old")
        account, fresh = self._account(phone), Key()
        theirs = _locked(code, attempt.wrapped[:32], attempt.wrapped[32:48], attempt.wrapped[48:80])
        salt, start = os.urandom(32), os.urandom(16)
        ours = salt + start + _locked(code, salt, start, fresh.public)
        attempt.account, attempt.fresh, attempt.shared = account, fresh, fresh.agree(theirs)
        attempt.connection.send(self._hello(attempt.ref, ours, account.key.public))

    async def typed(self, connection: Connection, node: Node) -> None:
        """Take the steps of linking by a typed code that the client takes."""
        asked = node.need("link_code_companion_reg")
        if asked.text("stage") == "companion_hello":
            await self._begin(connection, node, asked)
        else:
            connection.result(node)
            self._finish(connection, asked)

    async def _begin(self, connection: Connection, node: Node, asked: Node) -> None:
        self._forget_the_gone()
        wrapped = asked.need("link_code_pairing_wrapped_companion_ephemeral_pub").data
        if len(wrapped) != 80:
            raise Malformed("a locked key of another length than 80 bytes")
        phone, ref = f"+{asked.jid('jid').user}", os.urandom(8).hex().encode()
        until = self._emulator.now() + self.times.typed
        self._attempts[phone] = _Attempt(connection=connection, ref=ref, wrapped=wrapped, until=until)
        answer = [Node("link_code_pairing_ref", {}, ref)]
        connection.result(node, Node("link_code_companion_reg", {"stage": "companion_hello"}, answer))

    def _hello(self, ref: bytes, wrapped: bytes, identity: bytes) -> Node:
        parts = [
            Node("link_code_pairing_ref", {}, ref),
            Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, wrapped),
            Node("primary_identity_pub", {}, identity),
        ]
        attrs = {"from": SERVER, "type": "link_code_companion_reg", "id": self._emulator.next_id("code")}
        hello = Node("link_code_companion_reg", {"stage": "primary_hello"}, parts)
        return Node("notification", {**attrs, "t": self._emulator.stamp}, [hello])

    def _finish(self, connection: Connection, asked: Node) -> None:
        attempt = next((a for a in self._attempts.values() if a.connection is connection), None)
        if attempt is None or attempt.account is None:
            raise Malformed("the end of linking by a code that was never begun")
        bundle = asked.need("link_code_pairing_wrapped_key_bundle").data
        key = hkdf(attempt.shared, 32, salt=bundle[:32], info=_BUNDLE_LABEL)
        try:
            plain = AESGCM(key).decrypt(bundle[32:44], bundle[44:], None)
        except (InvalidTag, ValueError):
            log.warning("a wrong code was typed into a phone", extra={"phone": attempt.account.phone})
            return
        identity, ours, random = plain[:32], plain[32:64], plain[64:]
        if ours != attempt.account.key.public or identity != asked.need("companion_identity_public").data:
            raise Malformed("a bundle of keys that belong to others")
        secret = hkdf(attempt.shared + attempt.account.key.agree(identity) + random, 32, info=b"adv_secret")
        del self._attempts[attempt.account.phone]
        self._scanned(connection, attempt.account, identity, secret)

    def _account(self, phone: str) -> Account:
        if not PHONE.fullmatch(phone):
            raise Impossible(f"{phone} is not a phone number: write it like +491701234567")
        return self._emulator.account(phone)

    def _scanned(self, connection: Connection, account: Account, identity: bytes, secret: bytes) -> None:
        self._refs = {ref: kept for ref, kept in self._refs.items() if kept[0] is not connection}
        if not any(seen_to(connection, account) for seen_to in self._emulator.scanned):
            self._vouch(connection, account, identity, secret)

    def _vouch(self, connection: Connection, account: Account, identity: bytes, secret: bytes) -> None:
        device = Device(account, account.next_device, identity, noise=connection.client)
        account.next_device += 1
        details = adv.ADVDeviceIdentity(
            rawID=RAW_ID, timestamp=int(self._emulator.now()), keyIndex=device.number
        ).SerializeToString()
        signed = adv.ADVSignedDeviceIdentity(
            details=details,
            accountSignatureKey=account.key.public,
            accountSignature=account.key.sign(_BY_ACCOUNT + details + identity),
        ).SerializeToString()
        sealed = adv.ADVSignedDeviceIdentityHMAC(details=signed, HMAC=hmac.digest(secret, signed, "sha256"))

        async def signed_too(_: Connection, answer: Node) -> None:
            self._signed(connection, device, details, answer)

        attrs = {"from": SERVER, "type": "set", "id": self._emulator.next_id("pair"), "xmlns": "md"}
        success = Node("pair-success", {}, _success(device, sealed.SerializeToString()))
        connection.ask(Node("iq", attrs, [success]), signed_too)

    def _signed(self, connection: Connection, device: Device, details: bytes, answer: Node) -> None:
        if answer.text("type") == "error":
            log.warning("a device did not accept its phone's word", extra={"phone": device.account.phone})
            return
        proof = answer.need("pair-device-sign", "device-identity").data
        _check(device, details, proof)
        device.proof = proof
        _take_keys(device, connection)
        self._link(device)
        connection.close(_RESTART, after=_LEAVE_S)

    def _link(self, device: Device) -> None:
        account, emulator = device.account, self._emulator
        account.devices[device.number] = device
        if not self._is_known(account):  # the first one; the others share what it was given
            account.credentials = emulator.world.link(account.phone)
            emulator.world.commit()
        emulator.keep(account)

    def _is_known(self, account: Account) -> bool:
        if account.credentials is None or account.phone not in self._emulator.world.phones:
            return False
        there = self._emulator.world.account(account.phone)
        return account.credentials in (there.credentials, there.former)

    def _forget_the_gone(self) -> None:
        here = self._emulator.connections
        self._refs = {ref: kept for ref, kept in self._refs.items() if kept[0] in here}
        self._attempts = {phone: kept for phone, kept in self._attempts.items() if kept.connection in here}


async def _nothing(_: Connection, __: Node) -> None:
    return None


def _success(device: Device, identity: bytes) -> list[Node]:
    return [
        Node("device-identity", {}, identity),
        Node("device", {"jid": device.jid, "lid": device.lid}),
        Node("platform", {"name": "android"}),
    ]


def _check(device: Device, details: bytes, proof: bytes) -> None:
    try:
        signed = adv.ADVSignedDeviceIdentity.FromString(proof)
    except DecodeError:
        raise Malformed("a device's signature that cannot be read") from None
    said = _BY_DEVICE + details + device.identity + device.account.key.public
    if signed.details != details or not verify(device.identity, said, signed.deviceSignature):
        raise Malformed("a device's signature that is not its own")


def _take_keys(device: Device, connection: Connection) -> None:
    data = connection.payload.devicePairingData
    if not verify(device.identity, _KEY_TYPE + data.eSkeyVal, data.eSkeySig):
        raise Malformed("a device's key that it did not sign")
    device.registration = int.from_bytes(data.eRegid, "big")
    device.signed_key = SignedKey(int.from_bytes(data.eSkeyID, "big"), data.eSkeyVal, data.eSkeySig)


def _locked(code: str, salt: bytes, start: bytes, data: bytes) -> bytes:
    """Lock with a typed code, or unlock: it is the same."""
    typed = code.replace("-", "").strip().upper().encode()
    key = hashlib.pbkdf2_hmac("sha256", typed, salt, _ROUNDS, 32)
    cipher = Cipher(algorithms.AES(key), modes.CTR(start)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Impossible("This is not the QR code of a linked device: its keys cannot be read") from None
