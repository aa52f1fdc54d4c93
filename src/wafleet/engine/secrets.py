"""Stored secrets: encrypted with data keys that lie in the database, wrapped by a master key that does not.

    stored = version 1 · number of the data key (4 bytes) · nonce (12 bytes) · AES-256-GCM ciphertext with its tag

A stolen database alone opens nothing; a master key alone neither. A new master key rewraps a few rows, a new data key
encrypts what is stored from then on, and what is older stays readable.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import re
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wafleet.engine.db import Db, Tx

FILE: Final = "master.key"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
VERSION: Final = 1
_HEAD: Final = struct.Struct(">BI")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


class SecretError(Exception):
    """Keys or secrets cannot be used; the sentence says why and what to do."""


class BadMasterKey(SecretError):
    """The master key is malformed, or its file is not kept private."""


class WrongMasterKey(SecretError):
    """The database's data keys were wrapped by another master key."""


class Unreadable(SecretError):
    """A stored secret was changed, belongs to something else, or its data key is missing."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The key that wraps every data key; it never lies in the database."""

    raw: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "MasterKey":
        """Read 32 bytes written as base64 or as 64 hexadecimal digits. Raises BadMasterKey."""
        text = text.strip()
        with contextlib.suppress(binascii.Error, ValueError):
            raw = bytes.fromhex(text) if _HEX.fullmatch(text) else _from_base64(text)
            if len(raw) == KEY_BYTES:
                return cls(raw)
        raise BadMasterKey(
            "WAFLEET_MASTER_KEY must be 32 bytes, as base64 or as 64 hexadecimal digits: make one with "
            "`openssl rand -base64 32`, and keep a copy where the backups are not."
        )

    @property
    def fingerprint(self) -> str:
        """What says in the database which key it was, without telling the key."""
        return hashlib.sha256(b"wafleet master key " + self.raw).hexdigest()[:32]


def _from_base64(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


def load_or_create_key(folder: Path) -> MasterKey:
    """Return the key in `folder`/master.key, made at the first start, private to this user. Raises BadMasterKey.

    Of several programs that start at once, one makes the key and all use it.
    """
    path = folder / FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _create(path)
    if path.stat().st_mode & 0o077:
        raise BadMasterKey(f"{path} can be read by other users of this machine: run chmod 600 {path}, and start again.")
    try:
        return MasterKey.parse(path.read_text("ascii"))
    except (BadMasterKey, UnicodeDecodeError) as error:
        raise BadMasterKey(f"{path} holds no key: put back the copy that belongs to this database.") from error


def _create(path: Path) -> None:
    """Written whole beside its place and linked there: a killed program leaves no half a key."""
    file, partial = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".partial", dir=path.parent)  # O_EXCL, 0600
    try:
        with os.fdopen(file, "wb") as out:
            out.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):  # another program was first
            os.link(partial, path)
    finally:
        Path(partial).unlink()
    _flush_names(path.parent)


def _flush_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Secrets:
    """Encrypts and decrypts, without waiting for anything. Get it from `open_secrets`."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = {number: AESGCM(key) for number, key in keys.items()}
        self._newest = max(self._keys)

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes:
        """Encrypt for one thing only: `about` names it, such as an account's id, and is needed again to decrypt."""
        head, nonce = _HEAD.pack(VERSION, self._newest), os.urandom(NONCE_BYTES)
        return head + nonce + self._keys[self._newest].encrypt(nonce, plain, head + about)

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes:
        """Return what was encrypted about the same thing. Raises Unreadable."""
        head, nonce = stored[: _HEAD.size], stored[_HEAD.size : _HEAD.size + NONCE_BYTES]
        if len(nonce) < NONCE_BYTES or head[0] != VERSION:
            raise Unreadable("A stored secret is damaged: enter it again.")
        number = _HEAD.unpack(head)[1]
        if number not in self._keys:
            raise Unreadable(f"Data key {number} is missing in this process: restart it after a key was rotated.")
        try:
            return self._keys[number].decrypt(nonce, stored[_HEAD.size + NONCE_BYTES :], head + about)
        except InvalidTag as error:
            raise Unreadable("A stored secret was changed or belongs to something else: enter it again.") from error

    @property
    def newest(self) -> int:
        """The number of the data key that encrypts now."""
        return self._newest


async def open_secrets(db: Db, master: MasterKey) -> Secrets:
    """Unwrap the data keys; the first start of a database makes one. Raises WrongMasterKey, never makes new ones."""
    async with db.fleet_tx() as tx:
        await tx.run("lock table data_keys in share row exclusive mode")
        keys = await _unwrapped(tx, master)
        return Secrets(keys or await _add_key(tx, master))


async def rotate_data_key(db: Db, master: MasterKey) -> Secrets:
    """Encrypt with a new key from now on; older secrets stay readable. Other nodes must call `open_secrets` again."""
    async with db.fleet_tx() as tx:
        await tx.run("lock table data_keys in share row exclusive mode")
        keys = await _unwrapped(tx, master)
        return Secrets(keys | await _add_key(tx, master))


async def rotate_master(db: Db, old: MasterKey, new: MasterKey) -> int:
    """Wrap every data key with another master key, all or none, and return how many. Raises WrongMasterKey.

    Running nodes go on; at their next start they need the new key.
    """
    async with db.fleet_tx() as tx:
        await tx.run("lock table data_keys in share row exclusive mode")
        keys = await _unwrapped(tx, old)
        for number, key in keys.items():
            await tx.run(
                "update data_keys set wrapped = %(wrapped)s, wrapped_by = %(by)s where id = %(id)s",
                id=number,
                wrapped=_wrap(new, key),
                by=new.fingerprint,
            )
        return len(keys)


async def _unwrapped(tx: Tx, master: MasterKey) -> dict[int, bytes]:
    rows = await tx.tuples("select id, wrapped, wrapped_by from data_keys order by id")
    try:
        if all(by == master.fingerprint for _, _, by in rows):
            return {number: _unwrap(master, wrapped) for number, wrapped, _ in rows}
    except InvalidTag:
        pass
    raise WrongMasterKey(
        "This database's secrets were stored under another master key: start with the master.key, or the "
        "WAFLEET_MASTER_KEY, that belongs to it."
    )


async def _add_key(tx: Tx, master: MasterKey) -> dict[int, bytes]:
    key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
    number = await tx.value(
        "insert into data_keys (wrapped, wrapped_by) values (%(wrapped)s, %(by)s) returning id",
        wrapped=_wrap(master, key),
        by=master.fingerprint,
    )
    return {number: key}


def _wrap(master: MasterKey, key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master.raw).encrypt(nonce, key, b"wafleet data key")


def _unwrap(master: MasterKey, wrapped: bytes) -> bytes:
    return AESGCM(master.raw).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], b"wafleet data key")
