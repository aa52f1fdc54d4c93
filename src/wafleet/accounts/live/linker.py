"""Links a phone: shows each QR code until the phone confirms, and keeps the credentials encrypted."""

import asyncio
from contextlib import suppress

import structlog

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.states import States
from wafleet.domain.account import DEADLINES, State
from wafleet.engine.db import Db
from wafleet.engine.secrets import Secrets
from wafleet.transports.base import Linking, Number, OpenError, Pairing

log = structlog.get_logger(__name__)
UNLINK_LIMIT_S = 5.0


class Linker:
    """Runs one account's attempt to link, and says clearly how it ended."""

    def __init__(self, *, db: Db, states: States, secrets: Secrets) -> None:
        self._db, self._states, self._secrets = db, states, secrets

    def abandoned(self, held: Held) -> bool:
        """Tell whether a linking under way is no longer wanted: its state was changed by a person or a deadline."""
        return held.link_under_way and held.row.state is not State.LINKING

    async def link(self, held: Held, transport: Linking, number: Number) -> None:
        """Link the phone and leave the account ready to connect, or in a state that says why not."""
        held.link_under_way = True
        shown = _Shown(self._db, held)
        try:
            async with asyncio.timeout(DEADLINES[State.LINKING][0].total_seconds()):
                secret = await transport.link(number, shown)
        except TimeoutError:
            await self._failed(held, "link_expired", "")
        except OpenError as error:
            await self._failed(held, error.reason, error.detail)
        except asyncio.CancelledError:
            if not self.abandoned(held):
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        else:
            await self.keep(held, secret, reason="relinked", linked=True)
            await self._states.move(held, State.CONNECTING, "starting")
        finally:
            held.link_under_way = False
            shown.end()

    async def keep(self, held: Held, secret: bytes, *, reason: str, linked: bool = False) -> None:
        """Store credentials encrypted; those they replace are kept as well, for as long as the account is."""
        stored = self._secrets.encrypt(secret, about=held.row.id.bytes)
        async with self._db.fleet_tx() as tx:
            landed = await store.save_credentials(
                tx, account=held.row.id, epoch=held.lease.epoch, credentials=stored, reason=reason, linked=linked
            )
        if landed:
            held.row.credentials = stored

    async def unlink(self, held: Held, transport: Linking, number: Number) -> None:
        """Remove this device from the phone's list, if the network can be reached now."""
        with suppress(OpenError, TimeoutError):
            async with asyncio.timeout(UNLINK_LIMIT_S):
                await transport.unlink(number, held.secret)

    async def _failed(self, held: Held, reason: str, detail: str) -> None:
        to = State.NEW if held.row.credentials is None else State.LOGGED_OUT
        await self._states.move(held, to, reason, detail)


class _Shown:
    """Stores each QR code as it comes; the latest wins, and a slow database never delays the network."""

    def __init__(self, db: Db, held: Held) -> None:
        self._db, self._held = db, held
        self._latest: Pairing | None = None
        self._writer: asyncio.Task[None] | None = None

    def pairing(self, pairing: Pairing) -> None:
        self._latest = pairing
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    def end(self) -> None:
        if self._writer is not None:
            self._writer.cancel()

    async def _write(self) -> None:
        while (pairing := self._latest) is not None:
            self._latest = None
            shown: dict[str, object] = {"qr": pairing.qr, "code": pairing.code}
            if pairing.expires_at is not None:
                shown["expires_at"] = pairing.expires_at.isoformat()
            async with self._db.fleet_tx() as tx:
                await store.show_pairing(tx, account=self._held.row.id, epoch=self._held.lease.epoch, pairing=shown)
