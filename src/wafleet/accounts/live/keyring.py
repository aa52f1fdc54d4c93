"""What logs accounts in: read when a session is opened, replaced as it changes, and never kept in memory meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from wafleet.accounts import proxy_password as private
from wafleet.accounts.live import keys_store as store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.keys_store import Keys
from wafleet.domain.ids import AccountId
from wafleet.engine.batch import Batch
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.secrets import SecretError, Secrets

log = structlog.get_logger(__name__)
TOGETHER: Final = 50  # accounts per statement: a linked device's credentials are up to 300 kB each
AGAIN_S: Final = 0.5  # between tries while the database is away


@dataclass(frozen=True, slots=True)
class Opened:
    """An account's keys in plain, for the moment of opening its session."""

    credentials: bytes
    settings: Mapping[str, object]  # with the passwords that are shown as *** everywhere else
    transport: str  # whom they are for


class Keyring:
    """Reads and replaces accounts' credentials."""

    def __init__(self, db: Db, secrets: Secrets) -> None:
        self._db, self._secrets = db, secrets
        self.batch: Batch[AccountId, Keys] = Batch("account_keys", self._read, most=TOGETHER, patient=True)

    async def open(self, held: Held) -> Opened:
        """Return what opens an account's session. Raises SecretError when it cannot be decrypted."""
        await self.settled(held)
        keys, about = await self.batch.put(held.row.id), held.row.id.bytes
        secret = self._secrets.decrypt(keys.credentials or b"", about=about)
        return Opened(secret, self._settings(held, keys.private), keys.transport)

    async def stored(self, account: AccountId) -> bytes:
        """Return the credentials of an account that need not be held here. Raises SecretError."""
        keys = await self.batch.put(account)
        return self._secrets.decrypt(keys.credentials or b"", about=account.bytes)

    async def put_away(self, account: AccountId) -> bytes:
        """Return the credentials that were put away when an account was unlinked. Raises SecretError, DatabaseAway."""
        async with self._db.fleet_tx() as tx:
            kept = await store.unlinked_credentials(tx, account=account)
        return self._secrets.decrypt(kept or b"", about=account.bytes)

    async def settings(self, held: Held) -> Mapping[str, object]:
        """Return an account's settings in plain, as a transport needs them to link it."""
        if not private.needed(held.row.settings):
            return held.row.settings
        return self._settings(held, (await self.batch.put(held.row.id)).private)

    async def to_link(self, held: Held, *, keyed: bool) -> Opened:
        """Return what linking needs: its credentials where it is `keyed`, else those it replaces, if they can be read.

        Raises SecretError.
        """
        if keyed:
            return await self.open(held)
        former, settings = b"", await self.settings(held)
        if held.row.linked:
            with suppress(SecretError):  # with a new master key, linking anew is the way out
                keys = await self.open(held)
                former = keys.credentials if keys.transport == held.row.transport else b""
        return Opened(former, settings, held.row.transport)

    async def link(self, held: Held, secret: bytes, *, transport: str) -> bool:
        """Store the credentials of a phone that was linked just now; those they replace are kept as well.

        While the database is away they wait: nobody else has them. False: this node lost the account meanwhile.
        """
        stored = self._secrets.encrypt(secret, about=held.row.id.bytes)
        while not held.dropped:
            try:
                async with self._db.fleet_tx() as tx:
                    landed = await store.save_credentials(
                        tx, account=held.row.id, epoch=held.lease.epoch, transport=transport, credentials=stored
                    )
            except DatabaseAway:
                await asyncio.sleep(AGAIN_S)
            else:
                held.row.linked = held.row.linked or landed
                return landed
        return False

    def renew(self, held: Held, secret: bytes, *, transport: str) -> None:
        """Store credentials that changed with use. Of those that come while one is being written, the newest counts."""
        held.renewed = secret
        if held.keeping is None or held.keeping.done():
            held.keeping = asyncio.create_task(self._renew(held, transport), name=f"checkpoint {held.row.id}")

    async def settled(self, held: Held) -> None:
        """Return once nothing of this account waits to be stored."""
        if held.keeping is not None and not held.keeping.done():
            await asyncio.wait([held.keeping])

    async def _renew(self, held: Held, transport: str) -> None:
        while (secret := held.renewed) is not None and not held.dropped:
            held.renewed = None
            stored = self._secrets.encrypt(secret, about=held.row.id.bytes)
            try:
                async with self._db.fleet_tx() as tx:
                    landed = await store.renew_credentials(
                        tx, account=held.row.id, epoch=held.lease.epoch, transport=transport, credentials=stored
                    )
                held.stored = secret if landed and held.live is None else b""
            except DatabaseAway:
                held.renewed = held.renewed or secret
                await asyncio.sleep(AGAIN_S)

    async def _read(self, accounts: Sequence[AccountId]) -> list[Keys]:
        async with self._db.fleet_tx() as tx:
            found = await store.keys(tx, accounts=accounts)
        return [found.get(one, Keys(None, None)) for one in accounts]

    def _settings(self, held: Held, sealed: bytes | None) -> Mapping[str, object]:
        if sealed is None:
            return held.row.settings
        return private.joined(held.row.settings, private.opened(self._secrets, sealed, account=held.row.id))
