"""Every lane of this node, run by one task: it claims for all accounts that have work in one statement.

    wake ─> due ─> claim (fenced, ordered, as many as the pace allows) ─> send ─> settle ─> due again
                                                                           └─ no answer ─> doubts ─> ask ─> settle

An account without work costs nothing: no task, no timer, no query.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec
import structlog

from wafleet.accounts import Live, Pace, read_settings
from wafleet.config import OutboxSettings
from wafleet.domain.ids import AccountId, ConversationId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.leases import Node
from wafleet.engine.loops import Loop
from wafleet.outbox import contents, window
from wafleet.outbox.lanes import holds, pacing, pairs, store, verdicts
from wafleet.outbox.lanes.doubts import Doubts
from wafleet.outbox.lanes.holds import Holds
from wafleet.outbox.lanes.lane import Lane
from wafleet.outbox.lanes.loading import Files, Links, Loading
from wafleet.outbox.lanes.reach import Reach
from wafleet.outbox.lanes.reconcile import Reconcile
from wafleet.outbox.lanes.settling import Settling
from wafleet.outbox.model import Claim, Outcome
from wafleet.transports.base import (
    MaybeSent,
    OpenError,
    RefusedAccount,
    SendError,
    Throttled,
)

log = structlog.get_logger(__name__)
BREATH_S: Final = 0.004  # between two claims while many sends are under way: fewer, larger statements
BUSY: Final = 32
ANY: Final = 2**31 - 1
PAUSE_S: Final = 0.25  # after the database was away
CLOCK_SET: Final = timedelta(seconds=1)  # a wall clock that differs by more from what has passed was set by somebody
TROUBLES: Final = frozenset({"throttled", "reach_out_lock"})  # reasons that say something of the account


class Lanes:
    """The senders of every account whose session is on this node.

    told   called after outcomes and receipts were committed, so that readers of the event log start at once
    files  returns a file of the media store by its id, whole; raises FileNotFoundError
    links  returns an address where a network can fetch it for a short while, given whose it is; empty: there is none
    """

    def __init__(
        self,
        *,
        db: Db,
        clock: Clock,
        node: Node,
        settings: OutboxSettings,
        told: Callable[[], None],
        files: Files | None = None,
        links: Links | None = None,
    ) -> None:
        self._db, self._clock, self._node, self._settings = db, clock, node, settings
        self._settling = Settling(db, most=settings.batch, told=told)
        self._reconcile = Reconcile(db=db, clock=clock, settling=self._settling)
        self._loading = Loading(files, links, at_once=settings.media_at_once)
        self._doubts = Doubts(clock=clock, settle=self._settle)
        self._lanes: dict[AccountId, Lane] = {}
        self._due: set[AccountId] = set()
        self._woken = asyncio.Event()
        self._notes: dict[AccountId, tuple[Lane, str, datetime | None]] = {}
        self._timers: dict[AccountId, asyncio.TimerHandle] = {}
        self._under_way = 0
        self._last_look = clock.now(), clock.monotonic()

    async def opened(self, live: Live) -> None:
        """Settle what earlier sessions left, then begin to send. Raises OpenError when the network cannot be asked."""
        if (before := self._lanes.get(live.account)) is not None and before.sends:
            await asyncio.wait(before.sends.values())
        lane = self._lanes[live.account] = await self._new_lane(live)
        try:
            await self._reconcile.session(live)
        except SendError as error:
            raise OpenError("network", f"it could not say what became of earlier messages: {error.detail}") from error
        lane.ready = True
        self.wake([live.account])

    def closed(self, live: Live) -> None:
        """Stop claiming for a session that ended. What is on the wire fails by itself, and is settled or adopted."""
        lane = self._lanes.get(live.account)
        if lane is not None and lane.live is live:
            lane.ready = False
            if lane.resolving is not None:
                lane.resolving.cancel()
            self._settle_timer(live.account)

    def receipt(self, live: Live, receipt: Receipt) -> None:
        """Take one receipt of the network."""
        self._settling.batch.put((live.account, receipt))

    def heard(self, account: AccountId, receipt: Receipt) -> "asyncio.Future[bool]":
        """Take a receipt that came without a session; the future is done once it is stored."""
        return self._settling.batch.put((account, receipt))

    async def run_receipts(self) -> None:
        """Take receipts until cancelled, on a node that holds no accounts."""
        await self._settling.batch.run()

    def wake(self, accounts: Iterable[AccountId] | None = None) -> None:
        """Say that these accounts have new messages waiting; None: any may have."""
        for account in list(self._lanes) if accounts is None else accounts:
            if (lane := self._lanes.get(account)) is not None:
                lane.again = lane.again or bool(lane.sends)
                self._due.add(account)
        self._woken.set()

    async def run(self) -> None:
        """Claim, send, settle and take receipts until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settling.batch.run())
            tasks.create_task(self._reconcile.batch.run())
            tasks.create_task(self._claim())

    def loops(self) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (
            Loop(name="lanes.look", turn=self.look, every=timedelta(seconds=1)),
            Loop(name="lanes.note", turn=self.note, every=timedelta(seconds=1)),
            Loop(name="lanes.limits", turn=self.limits, every=timedelta(seconds=60)),
            Loop(name="lanes.strays", turn=self._settling.strays, every=timedelta(seconds=10)),
        )

    async def _claim(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._turn()
            except Exception as error:
                if not isinstance(error, DatabaseAway):
                    log.exception("claim_failed", error=str(error))
                await self._clock.sleep(PAUSE_S)
                self._woken.set()
            if self._under_way > BUSY:
                await asyncio.sleep(BREATH_S)

    async def look(self) -> None:
        """Find accounts with messages that are due by time: scheduled, tried again, or woken by nobody."""
        idle = [one for one, lane in self._lanes.items() if lane.ready and one not in self._due and not lane.sends]
        if idle and self._node.sure_s > 0:
            async with self._db.fleet_tx() as tx:
                found = await store.due(tx, accounts=idle)
            if found:
                self.wake(found)

    async def note(self) -> None:
        """Store why lanes wait, where it changed."""
        notes, self._notes = self._notes, {}
        if notes:
            async with self._db.fleet_tx() as tx:
                await store.note_waiting(
                    tx, [(one, lane.live.tenant, why, until) for one, (lane, why, until) in notes.items()]
                )

    async def limits(self) -> None:
        """Follow what networks say of the daily limits of accounts."""
        await self._learn_limits(list(self._lanes.values()))

    async def drain(self, limit_s: float) -> None:
        """Claim nothing more, and wait until what is on the wire is settled."""
        for lane in self._lanes.values():
            lane.ready = False
        sends = [task for lane in self._lanes.values() for task in lane.sends.values()]
        if sends:
            await asyncio.wait(sends, timeout=limit_s)

    async def drain_settling(self, limit_s: float) -> None:
        """Wait until every outcome and receipt is stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._settling.batch.drain()

    async def _turn(self) -> None:
        wanted = self._wanted()
        if not wanted:
            return
        held = holds.holds((lane for lane, _ in wanted), now := self._now())
        try:
            claims, waits, people = await self._claimed(wanted, held, now)
        except Exception:
            self._due.update(lane.live.account for lane, _ in wanted)
            raise
        for lane, _ in wanted:
            why, until = held.why(lane, people, now) if lane.live.account in waits else ("", None)
            self._note(lane, why, until)
            if (soonest := held.soonest(lane.live.account, people)) is not None:
                self._wake_at(lane.live.account, (soonest.until - now).total_seconds())
        self._start(claims, wanted)

    async def _claimed(
        self, wanted: Sequence[tuple[Lane, int]], held: Holds, now: datetime
    ) -> tuple[list[Claim], set[AccountId], set[ConversationId]]:
        """Return what was claimed, and the accounts and the people whose messages could go but for what holds them."""
        async with self._db.fleet_tx() as tx:
            claims = await store.claim(
                tx,
                node=self._node.name,
                turns=[
                    store.Turn(lane.live.account, lane.live.lease.epoch, room, lane.live.transport)
                    for lane, room in wanted
                ],
                cooling=held.cooling,
                reached=held.reached,
            )
            begun = await holds.begin(tx, claims, self._lanes, now)
            empty = {*held.people, *held.reached} - {claim.account for claim in claims}
            waits = set(await store.due(tx, accounts=sorted(empty))) if empty else set[AccountId]()
            cooling = held.cooling
            people = await store.waited_for(tx, conversations=cooling) if cooling else set[ConversationId]()
        for account, n in begun.items():
            cast("Reach", self._lanes[account].reach).add(n, now)
        return claims, waits, people

    def _wanted(self) -> list[tuple[Lane, int]]:
        due, self._due = self._due, set()
        now = self._now()
        wanted: list[tuple[Lane, int]] = []
        for account in due:
            lane = self._lanes[account]
            lane.again = bool(lane.sends)  # due while others are under way: it may wait for them
            allowed = lane.allowance(now)
            if allowed.room > 0:
                wanted.append((lane, min(allowed.room, self._settings.batch, _strangers(lane, now))))
            elif allowed.until is not None:
                self._wake_at(account, (allowed.until - now).total_seconds())
            if allowed.room <= 0:
                self._note(lane, allowed.why, allowed.until)
        return wanted

    def _now(self) -> datetime:
        """Return the wall clock's time; when somebody set it, the lanes' pace is set with it, else they stand still."""
        (before, steady_before), (now, steady) = self._last_look, (self._clock.now(), self._clock.monotonic())
        self._last_look = now, steady
        by = now - before - timedelta(seconds=steady - steady_before)
        if abs(by) > CLOCK_SET:
            log.warning("clock_was_set", by_s=round(by.total_seconds(), 1))
            for lane in self._lanes.values():
                pacing.clock_set(lane.gauge, by=by)
        return now

    def _start(self, claims: Sequence[Claim], wanted: Sequence[tuple[Lane, int]]) -> None:
        now = self._now()
        got: dict[AccountId, int] = {}
        for claim in claims:
            lane = self._lanes[claim.account]
            got[claim.account] = got.get(claim.account, 0) + 1
            lane.again = lane.again or claim.more
            pacing.spend(lane.pace, lane.gauge, recipient=claim.conversation, age=lane.age(now), now=now)
            self._under_way += 1
            lane.sends[claim.id] = asyncio.create_task(self._send(lane, claim))
        full = [lane.live.account for lane, room in wanted if got.get(lane.live.account, 0) >= room]
        if full:
            self.wake(full)  # their sends are under way: that marks them to be claimed again

    async def _send(self, lane: Lane, claim: Claim) -> None:
        try:
            outcome = await self._attempt(lane, claim)
            if outcome is not None:
                await self._settle(lane, outcome)
        finally:
            self._under_way -= 1
            lane.sends.pop(claim.id, None)

    async def _attempt(self, lane: Lane, claim: Claim) -> Outcome | None:
        capabilities = lane.live.capabilities
        try:
            window.require_still_open(capabilities, claim.content, heard_at=claim.heard_at, now=self._clock.now())
            claim = contents.fitted_claim(claim, capabilities.contents)
            provider_id = await self._loading.send(lane.live, claim)
        except MaybeSent as error:
            return self._doubt(lane, claim, error)
        except SendError as error:
            self._slow_down(lane, claim, error)
            return verdicts.after_error(claim, error, max_attempts=self._settings.max_attempts)
        except Exception as error:
            log.exception("send_failed", account=str(claim.account), error=repr(error))
            return self._doubt(lane, claim, MaybeSent("unexpected", repr(error)))
        lane.live.pulse.sent(self._clock.monotonic(), claim.to)
        self._went_well(lane)
        return verdicts.sent(claim, provider_id)

    def _doubt(self, lane: Lane, claim: Claim, error: SendError) -> Outcome | None:
        if not lane.live.capabilities.finds_messages:
            return verdicts.unknown(claim, error.detail or error.reason)
        if not lane.live.closed:
            self._doubts.add(lane, claim)
        return None  # a closed session's doubts are settled when the next one opens

    async def _settle(self, lane: Lane, outcome: Outcome) -> None:
        await self._settling.batch.put(outcome)
        if lane.again or outcome.to is Sending.QUEUED:
            self._due.add(outcome.account)
            self._woken.set()

    def _slow_down(self, lane: Lane, claim: Claim, error: SendError) -> None:
        now = self._now()
        if isinstance(error, Throttled) and error.reason == pairs.WHY:  # one person got too much, not all of them
            pairs.fill(lane.gauge.pairs, claim.conversation, now + error.retry_after)
        elif isinstance(error, Throttled):
            pacing.throttled(lane.gauge, retry_after=error.retry_after, reason=error.reason, now=now)
        if isinstance(error, RefusedAccount):
            pacing.throttled(lane.gauge, retry_after=verdicts.ACCOUNT_PAUSE, reason=error.reason, now=now)
        if error.reason in TROUBLES or isinstance(error, RefusedAccount):
            lane.troubled = error.reason
            lane.live.trouble(lane.live, error.reason, error.detail)

    def _went_well(self, lane: Lane) -> None:
        pacing.went_well(lane.gauge)
        if lane.troubled and lane.gauge.share > 0.5:
            lane.troubled = ""
            lane.live.trouble(lane.live, "", "")

    def _note(self, lane: Lane, why: str, until: datetime | None) -> None:
        if (why, until) != lane.noted:
            lane.noted = why, until
            self._notes[lane.live.account] = (lane, why, until)

    def _wake_at(self, account: AccountId, seconds: float) -> None:
        self._settle_timer(account)
        self._timers[account] = asyncio.get_running_loop().call_later(max(0.001, seconds), self.wake, [account])

    def _settle_timer(self, account: AccountId) -> None:
        if (timer := self._timers.pop(account, None)) is not None:
            timer.cancel()

    async def _new_lane(self, live: Live) -> Lane:
        now, limits = self._now(), live.capabilities.limits
        own = merged(read_settings(live.row.settings).pace, fleet_pace(self._settings))
        pace = pacing.within(own, limits)
        lane = Lane(live=live, pace=pace, gauge=pacing.Gauge(ready_at=now, pairs=pacing.pairs(pace, limits)))
        if (before := self._lanes.get(live.account)) is not None and before.live.transport == live.transport:
            pacing.go_on(lane.gauge, before.gauge)
        if pace.daily_cap is not None or lane.gauge.pairs:
            async with self._db.fleet_tx() as tx:
                await holds.recall(tx, lane, now)
        await self._learn_limits([lane])
        return lane

    async def _learn_limits(self, lanes: Sequence[Lane]) -> None:
        if any(lane.live.capabilities.free_for is not None for lane in lanes):
            async with self._db.fleet_tx() as tx:
                await holds.learn(tx, lanes)


def _strangers(lane: Lane, now: datetime) -> int:
    """Return how many may be claimed so that a limit on new conversations holds, even if all of them are new."""
    left = ANY if lane.reach is None else lane.reach.left(now)
    return left if left > 0 else ANY


def fleet_pace(settings: OutboxSettings) -> Pace:
    """Return the pace of accounts that say nothing of their own."""
    return Pace(
        per_second=settings.per_second,
        burst=settings.burst,
        jitter=settings.jitter,
        per_recipient_s=settings.per_recipient_s,
        daily_cap=settings.daily_cap,
        warm_up_days=settings.warm_up_days,
    )


def merged(own: Pace, fleet: Pace) -> Pace:
    """Return an account's pace with the installation's where it says nothing."""
    mine = {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None}
    return msgspec.structs.replace(fleet, **mine)
