"""Whom lanes may not write to now: people who got their share, and strangers once the day's limit is used up."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wafleet.domain.ids import AccountId, ConversationId
from wafleet.engine.db import Tx
from wafleet.outbox import window
from wafleet.outbox.lanes import pacing, pairs, store
from wafleet.outbox.lanes.lane import Lane
from wafleet.outbox.lanes.pairs import Wait
from wafleet.outbox.lanes.reach import Reach, tier
from wafleet.outbox.model import Claim


@dataclass(frozen=True, slots=True)
class Holds:
    """What keeps messages of some lanes back in one claim; most lanes have nothing of the kind."""

    people: Mapping[AccountId, Mapping[ConversationId, Wait]]  # who must wait
    reached: Mapping[AccountId, timedelta]  # lanes that may begin nothing more today; how long their windows are open

    @property
    def cooling(self) -> list[ConversationId]:
        return [one for people in self.people.values() for one in people]

    def soonest(self, account: AccountId, waited_for: Collection[ConversationId]) -> Wait | None:
        """Return the wait that ends first, of an account's people for whom something is due."""
        waits = [wait for one, wait in self.people.get(account, {}).items() if one in waited_for]
        return min(waits, default=None)

    def why(self, lane: Lane, waited_for: Collection[ConversationId], now: datetime) -> tuple[str, datetime | None]:
        """Say why a lane that claimed nothing of what is due waits, and until when."""
        account = lane.live.account
        if account in self.reached and lane.reach is not None:
            return "tier", lane.reach.free_at(now)
        soonest = self.soonest(account, waited_for)
        return ("", None) if soonest is None else (soonest.why, soonest.until)


def holds(lanes: Iterable[Lane], now: datetime) -> Holds:
    """Look up what keeps messages of these lanes back."""
    people: dict[AccountId, Mapping[ConversationId, Wait]] = {}
    reached: dict[AccountId, timedelta] = {}
    for lane in lanes:
        if lane.gauge.pairs and (waiting := pairs.waiting(lane.gauge.pairs, now)):
            people[lane.live.account] = waiting
        free_for = lane.live.capabilities.free_for
        if lane.reach is not None and free_for is not None and lane.reach.left(now) <= 0:
            reached[lane.live.account] = free_for
    return Holds(people, reached)


async def learn(tx: Tx, lanes: Iterable[Lane]) -> None:
    """Bring lanes to what the network last said of their daily limits; most networks have none, which costs nothing."""
    limited = {lane.live.account: lane for lane in lanes if lane.live.capabilities.free_for is not None}
    said = await store.said_of(tx, accounts=list(limited)) if limited else {}
    for account, lane in limited.items():
        most = tier(said.get(account, {}).get("limit", ""))
        if most is None:
            lane.reach = None
        elif lane.reach is None:
            lane.reach = Reach(most, await store.begun(tx, account=account))
        else:
            lane.reach.most = most


async def recall(tx: Tx, lane: Lane, now: datetime) -> None:
    """Count what earlier sessions of an account sent: today, where it has a daily cap, and lately to one person."""
    account, pace, rules = lane.live.account, lane.pace, lane.gauge.pairs
    if pace.daily_cap is not None:
        lane.gauge.sent_today = await store.sent_since(tx, account=account, since=pacing.midnight(pace, now))
    if rules:
        since = now - max(rule.memory for rule in rules)
        for person, at in await store.sent_to(tx, account=account, since=since):
            for rule in rules:
                rule.spend(person, at)


async def begin(tx: Tx, claims: Sequence[Claim], lanes: Mapping[AccountId, Lane], now: datetime) -> Counter[AccountId]:
    """Note with whom these messages begin to talk; return how many people that are, for accounts with a limit."""
    strangers: list[ConversationId] = []
    for claim in claims:
        lane = lanes[claim.account]
        free_for = lane.live.capabilities.free_for
        if lane.reach is None or free_for is None:
            continue
        if not window.is_open(free_for, heard_at=claim.heard_at, at=now):
            strangers.append(claim.conversation)
    return Counter(await store.begin(tx, strangers)) if strangers else Counter()
