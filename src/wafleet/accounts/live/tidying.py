"""Removes what transports keep on this disk for accounts that are gone, have moved, or whose linking was cut short."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Protocol, cast

import structlog

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.keyring import Keyring
from wafleet.domain.ids import AccountId
from wafleet.engine.db import Db
from wafleet.engine.secrets import SecretError
from wafleet.transports.base import Transport

log = structlog.get_logger(__name__)


class KeepsFolders(Protocol):
    """A transport that keeps something on this disk for each account."""

    def left(self) -> Collection[AccountId]:
        """Return the accounts of which something is here."""
        ...

    async def forget(self, account: AccountId) -> None:
        """Remove it, unless the account is in use."""
        ...

    async def kept(self, account: AccountId, credentials: bytes) -> None:
        """Learn which credentials are stored, so that what is not needed beside them may go."""
        ...


class Tidying:
    """Goes through what is left on this disk. What an account may still need stays.

    node  this one's name: the keys of accounts that it does not run need not lie here in plain as well
    """

    def __init__(
        self,
        db: Db,
        *,
        node: str,
        keyring: Keyring,
        transports: Mapping[str, Transport],
        held: Mapping[AccountId, Held],
    ) -> None:
        self._db, self._node, self._keyring, self._held = db, node, keyring, held
        self._keeping = {kind: cast("KeepsFolders", one) for kind, one in transports.items() if hasattr(one, "left")}

    async def turn(self) -> None:
        """Ask for the folders of accounts this node does not hold, and have those removed that nobody needs."""
        for kind, one in self._keeping.items():
            left = [account for account in one.left() if not self._holds(account, kind)]
            if not left:
                continue
            async with self._db.fleet_tx() as tx:
                done = await store.without_a_session(tx, accounts=left, transport=kind)
                idle = await store.not_run_here(tx, accounts=left, transport=kind, node=self._node)
            for account in done:
                if not self._holds(account, kind):
                    log.info("account_folder_removed", account=str(account))
                    await one.forget(account)
            for account in idle:
                with suppress(SecretError):
                    await one.kept(account, await self._keyring.stored(account))

    def _holds(self, account: AccountId, kind: str) -> bool:
        held = self._held.get(account)
        return held is not None and held.row.transport == kind
