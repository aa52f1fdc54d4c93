"""End-to-end encryption between two devices: the Signal protocol, version 3, as a device made of software speaks it.

Two devices agree on a first secret out of their long-lived keys and keys made for the occasion, also while one of them
is away; then every message has a key of its own, and each answer renews the secret.
Source: Signal, The X3DH Key Agreement Protocol and The Double Ratchet Algorithm, 2016; the numbers and names that a
message's form and its proof are made of are those of the public implementations.
"""

import hmac
import os
from collections.abc import Callable
from itertools import islice
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec.structs import replace

from wafleet.emulator.keys import Key, hkdf, verify
from wafleet.emulator.sealed import (
    KEY_TYPE,
    PROOF,
    Opening,
    Sealed,
    read_opening,
    read_sealed,
    write_opening,
    write_sealed,
)
from wafleet.emulator.wire import Malformed

Kind = Literal["pkmsg", "msg"]  # a message that opens a session, and one of a session that is open

_JUMP: Final = 2_000  # messages that may be missing at once
_SKIPPED: Final = 2_000  # keys kept for messages that are missing
_CHAINS: Final = 5  # of the other side, in one session
_SESSIONS: Final = 5  # with one device
_BLOCK: Final = 16


class Undecryptable(Exception):
    """This message cannot be read here."""


class Repeated(Undecryptable):
    """This message was read before."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys of a device, with which a session with it is begun while it is away."""

    registration: int
    identity: bytes
    signed_number: int
    signed: bytes
    signature: bytes
    one_time_number: int | None = None
    one_time: bytes = b""


class Pair(msgspec.Struct, frozen=True):
    """A key pair that only agrees on secrets."""

    private: bytes
    public: bytes

    @classmethod
    def new(cls) -> "Pair":
        private = X25519PrivateKey.generate()
        return cls(private.private_bytes_raw(), private.public_key().public_bytes_raw())

    def agree(self, public: bytes) -> bytes:
        private = X25519PrivateKey.from_private_bytes(self.private)
        return private.exchange(X25519PublicKey.from_public_bytes(public))


class Chain(msgspec.Struct, frozen=True):
    """Makes the keys of messages, one after the other and never back."""

    key: bytes
    number: int = 0  # of the message whose key comes next

    def step(self) -> "tuple[bytes, Chain]":
        """Return the next message's seed, and the chain as it is then."""
        seed = hmac.digest(self.key, b"\x01", "sha256")
        return seed, Chain(hmac.digest(self.key, b"\x02", "sha256"), self.number + 1)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What two devices share at one moment. Encrypting or reading a message gives the next moment."""

    ours: bytes  # the two identities
    theirs: bytes
    base: bytes  # names the session: the key that was made to begin it
    root: bytes
    ratchet: Pair
    sending: Chain
    receiving: dict[bytes, Chain]  # by the other side's ratchet key, the newest last
    skipped: dict[bytes, bytes] = {}  # seeds of messages that are missing, by ratchet key and number
    before: int = 0
    opening: Opening | None = None  # goes with every message until the other side has answered

    def seal(self, words: bytes) -> "tuple[Kind, bytes, Session]":
        """Encrypt; return what it is, its bytes, and the session as it is then."""
        seed, sending = self.sending.step()
        key, proof_key, vector = _message_keys(seed)
        body = write_sealed(self.ratchet.public, self.sending.number, self.before, encrypt(key, vector, words))
        message = body + _proof(proof_key, self.ours, self.theirs, body)
        after = replace(self, sending=sending)
        if self.opening is None:
            return "msg", message, after
        return "pkmsg", write_opening(self.opening, message), after

    def unseal(self, message: Sealed) -> "tuple[bytes, Session]":
        """Decrypt; return the words and the session as it is then. Raises Undecryptable."""
        turned = self if message.ratchet in self.receiving else self._turn(message.ratchet)
        seed, after = turned._seed(message)
        key, proof_key, vector = _message_keys(seed)
        if not hmac.compare_digest(_proof(proof_key, self.theirs, self.ours, message.signed), message.proof):
            raise Undecryptable("the proof is not of this session")
        try:
            words = decrypt(key, vector, message.words)
        except ValueError as e:
            raise Undecryptable(str(e)) from e
        return words, replace(after, opening=None)

    def _turn(self, theirs: bytes) -> "Session":
        """Follow the other side to its new ratchet key, and answer with a new one of ours."""
        root, receiving = _turned(self.root, self.ratchet, theirs)
        ratchet = Pair.new()
        root, sending = _turned(root, ratchet, theirs)
        chains = {**self.receiving, theirs: receiving}
        while len(chains) > _CHAINS:
            del chains[next(iter(chains))]
        before = max(self.sending.number - 1, 0)
        return replace(self, root=root, ratchet=ratchet, sending=sending, receiving=chains, before=before)

    def _seed(self, message: Sealed) -> "tuple[bytes, Session]":
        chain, skipped = self.receiving[message.ratchet], dict(self.skipped)
        if message.number < chain.number:
            seed = skipped.pop(_slot(message.ratchet, message.number), None)
            if seed is None:
                raise Repeated(f"message {message.number} of this chain was read before")
            return seed, replace(self, skipped=skipped)
        if message.number - chain.number > _JUMP:
            raise Undecryptable(f"{message.number - chain.number} messages are missing")
        while chain.number < message.number:
            number = chain.number
            skipped[_slot(message.ratchet, number)], chain = chain.step()
        seed, chain = chain.step()
        surplus = max(len(skipped) - _SKIPPED, 0)
        kept = dict(islice(skipped.items(), surplus, None))
        return seed, replace(self, receiving={**self.receiving, message.ratchet: chain}, skipped=kept)


class Keychain:
    """The long-lived keys of one device, and the ones that begin a session and are used up."""

    def __init__(self, identity: Key, registration: int, *, signed: Pair | None = None) -> None:
        self.identity, self.registration = identity, registration
        self.signed_number, self.signed = 1, signed or Pair.new()
        self.signature = identity.sign(KEY_TYPE + self.signed.public)
        self.one_times: dict[int, Pair] = {}
        self.next_number = 1

    def bundle(self) -> Bundle:
        """Hand out keys to begin one session with; the one-time key among them is never handed out again."""
        number = self.next_number
        self.next_number += 1
        one_time = self.one_times[number] = Pair.new()
        return Bundle(
            registration=self.registration,
            identity=self.identity.public,
            signed_number=self.signed_number,
            signed=self.signed.public,
            signature=self.signature,
            one_time_number=number,
            one_time=one_time.public,
        )

    def begin(self, bundle: Bundle) -> Session:
        """Begin a session with a device. Raises Undecryptable when its keys are not signed by it."""
        if not verify(bundle.identity, KEY_TYPE + bundle.signed, bundle.signature):
            raise Undecryptable("the other device's key is not signed by it")
        base, ratchet = Pair.new(), Pair.new()
        secrets = (
            self.identity.agree(bundle.signed),
            base.agree(bundle.identity),
            base.agree(bundle.signed),
            base.agree(bundle.one_time) if bundle.one_time else b"",
        )
        root, receiving = _first(secrets)
        root, sending = _turned(root, ratchet, bundle.signed)
        return Session(
            ours=self.identity.public,
            theirs=bundle.identity,
            base=base.public,
            root=root,
            ratchet=ratchet,
            sending=sending,
            receiving={bundle.signed: receiving},
            opening=Opening(
                self.registration, bundle.one_time_number, bundle.signed_number, base.public, self.identity.public
            ),
        )

    def accept(self, opening: Opening) -> Session:
        """Return the session that another device began with us. Raises Undecryptable."""
        if opening.signed != self.signed_number:
            raise Undecryptable(f"there is no signed key {opening.signed} here")
        one_time = None if opening.one_time is None else self.one_times.get(opening.one_time)
        if opening.one_time is not None and one_time is None:
            raise Undecryptable(f"key {opening.one_time} is used up or was never made")
        secrets = (
            self.signed.agree(opening.identity),
            self.identity.agree(opening.base),
            self.signed.agree(opening.base),
            one_time.agree(opening.base) if one_time else b"",
        )
        root, sending = _first(secrets)
        return Session(
            ours=self.identity.public,
            theirs=opening.identity,
            base=opening.base,
            root=root,
            ratchet=self.signed,
            sending=sending,
            receiving={},
        )


class Conversation(msgspec.Struct):
    """All sessions with one device: when both began at once, or one lost its keys, there are several."""

    sessions: list[Session] = []  # the one to write in comes first

    def begin(self, keychain: Keychain, bundle: Bundle) -> None:
        """Begin anew; what the other side still writes in former sessions can be read. Raises Undecryptable."""
        self._put(keychain.begin(bundle))

    def encrypt(self, words: bytes) -> tuple[Kind, bytes]:
        """Encrypt for the other device. A session must have been begun."""
        kind, message, self.sessions[0] = self.sessions[0].seal(padded(words))
        return kind, message

    def decrypt(self, keychain: Keychain, kind: str, data: bytes) -> bytes:
        """Decrypt what the other device wrote. Raises Undecryptable, and then nothing has changed."""
        try:
            if kind == "pkmsg":
                return unpadded(self._decrypt_opening(keychain, data))
            return unpadded(self._decrypt(read_sealed(data)))
        except Malformed as e:
            raise Undecryptable(str(e)) from e

    def _decrypt_opening(self, keychain: Keychain, data: bytes) -> bytes:
        opening, inner = read_opening(data)
        message = read_sealed(inner)
        if any(session.base == opening.base for session in self.sessions):
            return self._decrypt(message)
        words, session = _no_key_lost(keychain.accept(opening).unseal, message)
        if opening.one_time is not None:
            keychain.one_times.pop(opening.one_time, None)
        self._put(session)
        return words

    def _decrypt(self, message: Sealed) -> bytes:
        trouble = Undecryptable("there is no session with this device")
        for session in self.sessions:
            try:
                words, after = _no_key_lost(session.unseal, message)
            except Repeated:
                raise
            except Undecryptable as e:
                trouble = e
            else:
                self.sessions.remove(session)
                self._put(after)
                return words
        raise trouble

    def _put(self, session: Session) -> None:
        self.sessions = [session, *self.sessions][:_SESSIONS]


def padded(words: bytes) -> bytes:
    """Hide the length: 1 to 16 bytes more, each of which says how many."""
    more = os.urandom(1)[0] % _BLOCK + 1
    return words + bytes((more,)) * more


def unpadded(words: bytes) -> bytes:
    """Take the padding off. Raises Malformed."""
    more = words[-1] if words else 0
    if not 1 <= more <= _BLOCK or words[-more:] != bytes((more,)) * more:
        raise Malformed("the padding is wrong")
    return words[:-more]


def encrypt(key: bytes, vector: bytes, words: bytes) -> bytes:
    """Encrypt by AES-CBC, filled up to whole blocks."""
    more = _BLOCK - len(words) % _BLOCK
    worker = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return worker.update(words + bytes((more,)) * more) + worker.finalize()


def decrypt(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Decrypt what `encrypt` made. Raises ValueError."""
    worker = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    words = worker.update(data) + worker.finalize()
    more = words[-1] if words else 0
    if not 1 <= more <= _BLOCK or words[-more:] != bytes((more,)) * more:
        raise ValueError("not encrypted with this key")
    return words[:-more]


def _no_key_lost(unseal: "Callable[[Sealed], tuple[bytes, Session]]", message: Sealed) -> "tuple[bytes, Session]":
    try:
        return unseal(message)
    except ValueError as e:  # a ratchet key that is no key at all
        raise Undecryptable(str(e)) from e


def _first(secrets: tuple[bytes, ...]) -> tuple[bytes, Chain]:
    made = hkdf(b"\xff" * 32 + b"".join(secrets), 64, info=b"WhisperText")
    return made[:32], Chain(made[32:])


def _turned(root: bytes, ours: Pair, theirs: bytes) -> tuple[bytes, Chain]:
    made = hkdf(ours.agree(theirs), 64, salt=root, info=b"WhisperRatchet")
    return made[:32], Chain(made[32:])


def _message_keys(seed: bytes) -> tuple[bytes, bytes, bytes]:
    made = hkdf(seed, 80, info=b"WhisperMessageKeys")
    return made[:32], made[32:64], made[64:]


def _proof(key: bytes, writer: bytes, reader: bytes, body: bytes) -> bytes:
    return hmac.digest(key, KEY_TYPE + writer + KEY_TYPE + reader + body, "sha256")[:PROOF]


def _slot(ratchet: bytes, number: int) -> bytes:
    return ratchet + number.to_bytes(4, "big")
