"""Links a phone: shows each QR code until the phone confirms, and keeps the credentials encrypted."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.keyring import Keyring
from wafleet.accounts.live.outdated import Outdated
from wafleet.accounts.live.rules import leads_to, link_end
from wafleet.accounts.live.states import States
from wafleet.domain.account import DEADLINES, State, explain
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.secrets import SecretError
from wafleet.transports.base import Linking, Number, OpenError, Pairing

log = structlog.get_logger(__name__)
UNLINK_LIMIT_S = 20.0
STORE_LIMIT_S = 2.0  # for credentials that are just being stored when this node must let go of the account
_GONE = frozenset({"logged_out", "banned_for_good"})  # the phone's list does not have it any more


class Linker:
    """Runs one account's attempt to link, and says clearly how it ended."""

    def __init__(self, *, db: Db, clock: Clock, states: States, keyring: Keyring, outdated: Outdated) -> None:
        self._db, self._clock, self._states, self._keyring = db, clock, states, keyring
        self._outdated, self._removing = outdated, set[asyncio.Task[None]]()

    def abandoned(self, held: Held) -> bool:
        """Tell whether a linking under way is no longer wanted: a person or a deadline ended it, or began it anew."""
        row = held.row
        return held.link_under_way and (row.state is not State.LINKING or row.deadline_at != held.link_deadline)

    async def link(self, held: Held, transport: Linking, number: Number) -> None:
        """Link the phone and leave the account ready to connect, or in a state that says why not."""
        kind = held.row.transport
        try:
            secret = await self._attempt(held, transport, number)
        except OpenError as error:
            return await self.failed(held, error.reason, error.detail)
        if secret is not None and await self._kept(held, transport, number, secret, kind):
            await self._states.move(held, State.CONNECTING, "starting")
        return None

    async def _kept(self, held: Held, transport: Linking, number: Number, secret: bytes, kind: str) -> bool:
        """Store the credentials; where nobody can, remove the device again: its phone would list it for good.

        False: the lease was lost, or this node stops.
        """
        storing = asyncio.create_task(self._keyring.link(held, secret, transport=kind))
        try:
            return await asyncio.shield(storing)
        finally:
            if not await _in_time(storing, STORE_LIMIT_S) and secret != number.credentials:
                await asyncio.shield(self._beside(_take_back(transport, number, secret)))

    def _beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="remove a device whose keys nobody has")
        self._removing.add(task)  # a task that nobody keeps may vanish
        task.add_done_callback(self._removing.discard)
        return task

    async def _attempt(self, held: Held, transport: Linking, number: Number) -> bytes | None:
        """Link the phone; None: nobody wants this attempt any more. Raises OpenError."""
        held.link_under_way, held.link_deadline = True, held.row.deadline_at
        shown = _Shown(self._db, held)
        try:
            async with asyncio.timeout(DEADLINES[State.LINKING][0].total_seconds()):
                return await transport.link(number, shown)
        except TimeoutError:
            raise OpenError("link_expired") from None
        except asyncio.CancelledError:
            if not self.abandoned(held):
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return None
        finally:
            held.link_under_way = False
            shown.end()

    async def unlink(self, held: Held, transport: Linking, number: Number) -> bool:
        """Remove this device from the phone's list. False: the network could not be reached, try again later.

        True also when it is given up; then the account says that a person must remove it on the phone.
        """
        try:
            async with asyncio.timeout(UNLINK_LIMIT_S):
                await transport.unlink(number, await self._keyring.put_away(held.row.id))
        except (OpenError, TimeoutError, SecretError) as error:
            if getattr(error, "reason", "") not in _GONE:
                log.info("device_not_removed", account=str(held.row.id), error=repr(error), reason=str(error))
                return await self._not_removed(held, str(error) or "no answer")
        except DatabaseAway:
            return False
        await self._end_removal(held)
        return True

    async def failed(self, held: Held, reason: str, detail: str) -> None:
        """Say why linking did not end well; an account that worked before goes back to its session."""
        if reason == "outdated":
            await self._outdated.refused(held.row.transport)
        reason, detail = link_end(reason, detail)
        state = State.LOGGED_OUT if held.row.linked else State.NEW
        if held.row.linked and held.proven:
            state = leads_to(reason)
        await self._states.move(held, state, reason, detail)

    async def _not_removed(self, held: Held, why: str) -> bool:
        if held.row.remove_until is not None and self._clock.now() < held.row.remove_until:
            return False
        await self._end_removal(held)
        state, said = held.row.state, explain("not_removed")
        if state is State.LOGGED_OUT:
            await self._states.move(held, state, "not_removed", why)
        else:  # it keeps the reason of its state
            await self._states.move(held, state, held.row.reason, f"{said.sentence} {said.next_step} ({why})")
        return True

    async def _end_removal(self, held: Held) -> None:
        async with self._db.fleet_tx() as tx:
            await store.end_removal(tx, account=held.row.id)
        held.writes += 1
        held.row.remove_until = None


async def _in_time(storing: "asyncio.Task[bool]", limit_s: float) -> bool:
    """Tell whether what is being stored was stored; it is given up after `limit_s`."""
    await asyncio.wait([storing], timeout=limit_s)
    if not storing.done():
        storing.cancel()
        await asyncio.wait([storing])
    return not storing.cancelled() and storing.exception() is None and storing.result()


async def _take_back(transport: Linking, number: Number, secret: bytes) -> None:
    try:
        async with asyncio.timeout(UNLINK_LIMIT_S):
            await transport.unlink(number, secret)
    except (OpenError, TimeoutError) as error:
        log.warning("linked_in_vain", account=str(number.id), phone=number.phone, reason=str(error) or "no answer")
    else:
        log.warning("linked_in_vain", account=str(number.id), phone=number.phone, reason="removed again")


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
        held = self._held
        while (pairing := self._latest) is not None:
            self._latest = None
            shown: dict[str, object] = {"qr": pairing.qr, "code": pairing.code}
            if pairing.expires_at is not None:
                shown["expires_at"] = pairing.expires_at.isoformat()
            async with self._db.fleet_tx() as tx:
                await store.show_pairing(
                    tx, account=held.row.id, epoch=held.lease.epoch, deadline_at=held.link_deadline, pairing=shown
                )
