"""The way in: what a customer wrote is committed before the network is told that we have it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from wafleet import outbox
from wafleet.domain.clean import clean, json_of
from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import words
from wafleet.engine import bus
from wafleet.engine.batch import Batch
from wafleet.engine.db import Db
from wafleet.inbox import store
from wafleet.inbox.store import Arrival

MOST: Final = 500  # messages per transaction
SEARCHED: Final = 65_536  # characters of a message that search reads: PostgreSQL indexes at most 1 MB of one text


class _Given(NamedTuple):
    tenant: TenantId
    account: AccountId
    inbound: Inbound


class Inbox:
    """Takes messages in: many at once, each exactly once.

    woken  called after each commit that brought something new, so that whoever handles messages starts at once
    """

    def __init__(self, db: Db, *, woken: Callable[[], None], most: int = MOST) -> None:
        self._db, self._woken = db, woken
        self._batch: Batch[_Given, bool] = Batch("inbox", self._write, most=most, patient=True)

    def __len__(self) -> int:
        """Return how many messages wait to be stored."""
        return len(self._batch)

    def accept(self, tenant: TenantId, account: AccountId, inbound: Inbound) -> asyncio.Future[bool]:
        """Take one message of a customer. Once the future is done it survives a crash: only then acknowledge it.

        The answer is True when it is new and False when it was stored before, which the network need not know.
        While the database is away it waits, in order. An exception means it is not stored: do not acknowledge it.
        `Inbound.raw` is dropped; content wafleet cannot show is `Unsupported`, which keeps its own.
        """
        return self._batch.put(_Given(tenant, account, inbound))

    async def run(self) -> None:
        """Store what is accepted until cancelled."""
        await self._batch.run()

    async def drain(self, limit_s: float) -> None:
        """Return once everything accepted is stored, or after `limit_s`: the network delivers the rest again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._batch.drain()

    async def _write(self, given: Sequence[_Given]) -> list[bool]:
        arrivals = [arrival(*one) for one in given]
        async with self._db.fleet_tx() as tx:
            known = await outbox.conversations(tx, [(one.tenant, one.account, one.identity) for one in arrivals])
            conversations = [known[one.account, one.identity] for one in arrivals]
            new = await store.add_messages(tx, arrivals, conversations)
            fresh = [pair for pair in zip(arrivals, conversations, strict=True) if pair[0].id in new]
            if fresh:
                await store.touch(tx, fresh)
                await bus.append(tx, [_event(*pair) for pair in fresh])
            await store.count(
                tx, [(one.tenant, one.account, "received" if one.id in new else "repeated") for one in arrivals]
            )
        if fresh:
            self._woken()
        return [one.id in new for one in arrivals]


def arrival(tenant: TenantId, account: AccountId, inbound: Inbound) -> Arrival:
    """Make an incoming message ready to be stored, and give it its id."""
    return Arrival(
        id=MessageId(new_id()),
        tenant=tenant,
        account=account,
        identity=clean(inbound.identity),
        name=clean(inbound.name),
        provider_id=clean(inbound.provider_id),
        content=json_of(inbound.content),
        words=clean(words(inbound.content))[:SEARCHED],
        at=inbound.at,
    )


def _event(one: Arrival, conversation: ConversationId) -> bus.Event:
    return bus.Event(
        kind=Kind.MESSAGE_RECEIVED,
        tenant=one.tenant,
        account=one.account,
        data={"message": str(one.id), "conversation": str(conversation)},
    )
