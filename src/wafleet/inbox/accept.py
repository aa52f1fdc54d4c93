"""The way in: what a customer wrote is committed before the network is told that we have it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from msgspec.structs import replace

from wafleet import media as files
from wafleet import outbox
from wafleet.domain.clean import clean, json_of
from wafleet.domain.ids import AccountId, MessageId, TenantId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import media, naming, summary, words
from wafleet.engine.batch import Batch
from wafleet.engine.db import Db, Tx
from wafleet.inbox import choices, files_store, store
from wafleet.inbox.files_store import Kept
from wafleet.inbox.store import Arrival

MOST: Final = 500  # messages per transaction
MOST_MET: Final = 50_000  # customers of whom it is remembered that their conversation has begun
BREATH_S: Final = 0.008  # between two transactions while many come
SEARCHED: Final = 65_536  # characters of a message that search reads: PostgreSQL indexes at most 1 MB of one text


class _Given(NamedTuple):
    tenant: TenantId
    account: AccountId
    inbound: Inbound


class Inbox:
    """Takes messages in: many at once, each exactly once.

    woken  called after each commit that brought something new, so that whoever handles messages starts at once
    files  called after each that brought messages whose files are still with the network
    """

    def __init__(
        self,
        db: Db,
        *,
        woken: Callable[[], None],
        files: Callable[[], None] = lambda: None,
        most: int = MOST,
    ) -> None:
        self._db, self._woken, self._files = db, woken, files
        self._met: set[tuple[AccountId, str]] = set()
        self._batch: Batch[_Given, bool] = Batch("inbox", self._write, most=most, patient=True, breath_s=BREATH_S)

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
        who = {(one.account, one.identity) for one in arrivals}
        async with self._db.keyed_tx() as tx:
            known = await outbox.conversations(
                tx, [(one.tenant, one.account, one.identity) for one in arrivals], begun=self._met.issuperset(who)
            )
            talks = [known[one.account, one.identity] for one in arrivals]
            conversations = [talk.id for talk in talks]
            arrivals = await self._about(tx, given, arrivals)
            if any(talk.questions for talk in talks):
                arrivals = await choices.understood(tx, [one.inbound.content for one in given], arrivals, talks)
            new = await store.add(tx, arrivals, conversations)
            kept = [one for one in _kept(given, arrivals) if one.message in new]
            await _keep_files(tx, given, arrivals, new)
            if kept:
                await files_store.want(tx, kept)
        self._meet(who)
        if new:
            self._woken()
        if kept:
            self._files()
        return [one.id in new for one in arrivals]

    def _meet(self, who: set[tuple[AccountId, str]]) -> None:
        self._met |= who
        if len(self._met) > MOST_MET:
            self._met.clear()

    async def _about(self, tx: Tx, given: Sequence[_Given], arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Name the earlier messages that some are about as we do; one that is not known here stays unnamed."""
        wanted = {(one.account, clean(one.inbound.about)) for one in given if one.inbound.about}
        if not wanted:
            return list(arrivals)
        known = {(one.account, one.provider_id): one.id for one in reversed(arrivals)}  # of one breath; the first wins
        known |= await store.named_by_network(tx, wanted)
        return [
            _named(arrival, one.inbound, known.get((one.account, clean(one.inbound.about))))
            for one, arrival in zip(given, arrivals, strict=True)
        ]


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
        shown=clean(summary(inbound.content))[: store.PREVIEW],
        at=inbound.at,
        wrote=not inbound.notice,
    )


def _named(arrival: Arrival, inbound: Inbound, about: MessageId | None) -> Arrival:
    if about is None or about == arrival.id:
        return arrival
    return replace(arrival, content=json_of(naming(inbound.content, str(about))), about=about)


async def _keep_files(tx: Tx, given: Sequence[_Given], arrivals: Sequence[Arrival], new: set[MessageId]) -> None:
    pairs = zip(given, arrivals, strict=True)
    carried = [(one.tenant, file) for one, stored in pairs if stored.id in new and (file := media(one.inbound.content))]
    if carried:
        await files.received(tx, carried)


def _kept(given: Sequence[_Given], arrivals: Sequence[Arrival]) -> list[Kept]:
    return [
        Kept(stored.id, one.tenant, one.account, clean(one.inbound.file))
        for one, stored in zip(given, arrivals, strict=True)
        if one.inbound.file and (file := media(one.inbound.content)) is not None and not file.id
    ]
