"""The outbox as callers see it: queue a message durably, cancel one that waits."""

import asyncio
import dataclasses
import hashlib
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from wafleet import media as files
from wafleet.config import OutboxSettings
from wafleet.domain import phone
from wafleet.domain.account import State
from wafleet.domain.errors import Conflict, Invalid, NotFound
from wafleet.domain.ids import AccountId, ConversationId, MessageId, new_id
from wafleet.domain.message import Content, Offering, Priority, Sending, media
from wafleet.engine import bus
from wafleet.engine.batch import Batch
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db, Tx
from wafleet.engine.loops import Loop
from wafleet.engine.wakes import Wakes
from wafleet.outbox import contents, store, window
from wafleet.outbox.model import Draft, Queued
from wafleet.outbox.store import Route
from wafleet.outbox.why import SPOKE, why
from wafleet.tenants import Caller
from wafleet.transports.base import Capabilities, Transport

T = TypeVar("T")

OUTBOX = "outbox"  # woken with the ids of accounts that have new messages waiting
PATIENCE_S = 5.0  # what a caller waits for the database at most


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told of a message that was queued."""

    id: MessageId
    state: Sending
    account: AccountId
    why: str


class Outbox:
    """Takes messages to be sent. Once `send` returns, a message survives a crash; the account's lane sends it."""

    def __init__(
        self,
        *,
        db: Db,
        clock: Clock,
        wakes: Wakes,
        transports: Mapping[str, Transport],
        settings: OutboxSettings,
    ) -> None:
        self._db, self._clock, self._wakes, self._transports = db, clock, wakes, transports
        self._batch: Batch[Draft, Queued | None] = Batch("outbox", self._write, most=settings.batch, patient=False)
        self._routes: Batch[AccountId, Route | None] = Batch("routes", self._find, most=settings.batch, patient=False)

    @property
    def windows(self) -> Mapping[str, timedelta]:
        """Return how long after a customer's message anything may be sent, for the transports that limit it."""
        known = {name: one.capabilities.free_for for name, one in self._transports.items()}
        return {name: free_for for name, free_for in known.items() if free_for is not None}

    async def run(self) -> None:
        """Store what is queued until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._routes.run())
            tasks.create_task(self._batch.run())

    async def send(
        self,
        caller: Caller,
        *,
        to: str,
        content: Content,
        account: AccountId | None = None,
        priority: Priority = Priority.REPLY,
        due_at: datetime | None = None,
        key: str | None = None,
    ) -> Answer:
        """Queue one message. Without an account, the one that knows this person speaks, else the tenant's primary.

        key  the same key names the same message for a week: sent again, it changes nothing and answers the same
        Raises NotFound, Invalid, Conflict when the key was used for another message, DatabaseAway also when the
        database does not answer in time: the message may be queued then, and asking again with its key tells.
        """
        recipient = phone.identity(to)
        return await _in_time(self._send(caller, recipient, content, account, priority, due_at, key))

    async def _send(
        self,
        caller: Caller,
        recipient: str,
        content: Content,
        account: AccountId | None,
        priority: Priority,
        due_at: datetime | None,
        key: str | None,
    ) -> Answer:
        contents.check(content)
        chosen = await self._route(caller, account, recipient, content)
        capabilities = self._require_able(chosen, content)
        if window.bound(capabilities, content) is not None:
            await self._require_open(capabilities, chosen, recipient, content, due_at, key)
        whole = contents.Whole(content, priority, due_at)
        if not contents.is_plain(content):
            async with self._db.tx(chosen.tenant_id) as tx:
                whole = await contents.complete(tx, chosen, whole, to=recipient, largest=capabilities.largest_file)
        draft = Draft(
            account=chosen.id,
            tenant=chosen.tenant_id,
            to=recipient,
            content=whole.content,
            priority=whole.priority,
            due_at=whole.due_at,
            key=key,
            fingerprint=_fingerprint(account, recipient, content, priority, due_at),
        )
        queued = await self._batch.put(draft)
        if queued is None:
            raise NotFound("There is no such account", code="account_not_found")
        if queued.clash:
            raise Conflict("This Idempotency-Key was used for another message: take a new one", code="key_reused")
        return self._answer(queued, chosen, whole.due_at)

    async def enqueue(self, tx: Tx, drafts: Sequence[Draft]) -> list[MessageId]:
        """Queue messages as part of the caller's transaction; call `wake` with their accounts after its commit."""
        return [one.id for one in await enqueue(tx, drafts) if one is not None]

    def wake(self, accounts: Iterable[AccountId]) -> None:
        """Tell the lanes of these accounts, wherever they are, that messages wait."""
        self._wakes.wake(OUTBOX, *(str(one) for one in accounts))

    async def cancel(self, caller: Caller, message: MessageId) -> Sending:
        """Cancel a message that waits; again changes nothing. Raises NotFound, and Conflict when it went further."""
        async with self._db.tx(caller.reach) as tx:
            account = await store.account_of(tx, message=message)
            if account is None or not caller.sees(account):
                raise NotFound("There is no such message", code="message_not_found")
            state = await store.cancel(tx, message=message)
        if state is not Sending.CANCELLED:
            raise Conflict(f"It is {state} already: only a message that waits can be cancelled", code="not_waiting")
        return Sending.CANCELLED

    def loops(self) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (Loop(name="outbox.cancel_of_deleted", turn=self._cancel_of_deleted, every=timedelta(seconds=15)),)

    async def _cancel_of_deleted(self) -> None:
        async with self._db.fleet_tx() as tx:
            await store.cancel_of_deleted(tx)

    async def forget(self, *, keys_older_than: timedelta, strays_older_than: timedelta) -> None:
        """Drop what is kept for a time only."""
        async with self._db.fleet_tx() as tx:
            await store.forget(tx, keys_older_than=keys_older_than, strays_older_than=strays_older_than)

    async def _route(self, caller: Caller, account: AccountId | None, to: str, content: Content) -> Route:
        if account is not None:
            return await self._asked_for(caller, account)
        about = contents.named(content)
        async with self._db.tx(caller.reach) as tx:
            speaker = None if about is None else await store.speaker_of(tx, message=about)
            if speaker is not None and caller.sees(speaker) and (known := await store.routes_of(tx, [speaker])):
                return dataclasses.replace(known[speaker], rule="message")
            only = None if caller.accounts is None else list(caller.accounts)
            best = await store.best_route(tx, to=to, only=only)
        if best is None:
            raise Invalid("account", "No account can speak for you yet: add one, or name one that is enabled")
        return best

    async def _asked_for(self, caller: Caller, account: AccountId) -> Route:
        """Look many callers' accounts up in one statement; whose they are is compared here, not by row security."""
        route = await self._routes.put(account) if caller.sees(account) else None
        if route is None or caller.tenant not in {None, route.tenant_id}:
            raise NotFound("There is no such account", code="account_not_found")
        return route

    async def _find(self, accounts: Sequence[AccountId]) -> list[Route | None]:
        async with self._db.fleet_tx() as tx:
            found = await store.routes_of(tx, set(accounts))
        return [found.get(one) for one in accounts]

    def _require_able(self, chosen: Route, content: Content) -> Capabilities:
        kind = content.__struct_config__.tag
        transport = self._transports.get(chosen.transport)
        if transport is None or not contents.fits(content, transport.capabilities.contents):
            raise Invalid(
                "content", f"{chosen.name} cannot send {kind}: its transport is {chosen.transport}", code="cannot_send"
            )
        contents.require_short(content, transport.capabilities, chosen)
        return transport.capabilities

    async def _require_open(
        self,
        capabilities: Capabilities,
        chosen: Route,
        to: str,
        content: Content,
        due_at: datetime | None,
        key: str | None,
    ) -> None:
        """Refuse what the customer's window does not permit, unless it was queued before under its key."""
        async with self._db.tx(chosen.tenant_id) as tx:
            heard_at, repeated = await store.heard(tx, account=chosen.id, to=to, key=key)
        if not repeated:
            now = self._clock.now()
            window.require_open(capabilities, content, heard_at=heard_at, at=max(now, due_at or now), now=now)

    def _answer(self, queued: Queued, chosen: Route, due_at: datetime | None) -> Answer:
        said = why(
            state=queued.state,
            due_at=due_at,
            account_state=State(chosen.state),
            account_reason=chosen.reason,
            account_since=chosen.state_since,
            lane_why=chosen.lane_why,
            lane_until=chosen.lane_until,
            now=self._clock.now(),
        )
        spoke = f" {chosen.name} speaks: {SPOKE[chosen.rule]}." if queued.account == chosen.id else ""
        return Answer(id=queued.id, state=queued.state, account=queued.account, why=said + spoke)

    async def _write(self, drafts: Sequence[Draft]) -> list[Queued | None]:
        async with self._db.fleet_tx() as tx:
            queued = await enqueue(tx, drafts)
        self.wake({one.account for one in queued if one is not None and not one.repeated})
        self._wakes.wake_here(bus.TOPIC)
        return queued


async def _in_time(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; a database that stands still is away, for a caller cannot wait for it.

    The work is left to end by itself: cancelling a statement would wait for the very same database.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
    if not done:
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise DatabaseAway(f"the database did not answer within {PATIENCE_S:.0f} s")
    return task.result()


async def enqueue(tx: Tx, drafts: Sequence[Draft]) -> list[Queued | None]:
    """Answer each draft: its message; the one its key named before; None where there is no such account."""
    there = await store.existing_accounts(tx, drafts)
    ids = [MessageId(new_id()) for _ in drafts]
    keyed = [i for i, one in enumerate(drafts) if one.key is not None and (one.tenant, one.account) in there]
    new = await store.name_by_key(tx, [drafts[i] for i in keyed], [ids[i] for i in keyed]) if keyed else {}
    repeated = [i for i in keyed if new.get((drafts[i].tenant, drafts[i].key or "")) != ids[i]]
    fresh = [i for i, one in enumerate(drafts) if (one.tenant, one.account) in there and i not in set(repeated)]
    if fresh:
        talks = await _talks(tx, [drafts[i] for i in fresh])
        await store.insert(tx, [drafts[i] for i in fresh], [ids[i] for i in fresh], talks)
        await _keep_files(tx, [drafts[i] for i in fresh])
        asks = [(talk, ids[i]) for i, talk in zip(fresh, talks, strict=True) if isinstance(drafts[i].content, Offering)]
        if asks:
            await store.asked(tx, asks)
    before = await store.named_before(tx, [drafts[i] for i in repeated]) if repeated else {}
    answers: list[Queued | None] = [None] * len(drafts)
    for i in fresh:
        answers[i] = Queued(ids[i], drafts[i].account, Sending.QUEUED)
    for i in repeated:
        answers[i] = _repeat(drafts[i], before[drafts[i].tenant, drafts[i].key or ""])
    return answers


async def _keep_files(tx: Tx, drafts: Iterable[Draft]) -> None:
    carried = [(draft.tenant, file.id) for draft in drafts if (file := media(draft.content)) is not None]
    if carried:
        await files.used(tx, carried)


def _repeat(draft: Draft, named: tuple[Queued, bytes]) -> Queued:
    queued, fingerprint = named
    return queued if fingerprint == draft.fingerprint else dataclasses.replace(queued, clash=True)


async def _talks(tx: Tx, drafts: Sequence[Draft]) -> list[ConversationId]:
    known = await store.conversations(tx, [(one.tenant, one.account, one.to) for one in drafts])
    return [known[one.account, one.to].id for one in drafts]


def _fingerprint(account: UUID | None, to: str, content: Content, priority: Priority, due_at: datetime | None) -> bytes:
    return hashlib.sha256(msgspec.json.encode((account, to, content, priority, due_at))).digest()[:16]
