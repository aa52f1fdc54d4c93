"""How fast an account may send: pure rules that take `now` and say how many, or until when to wait and why."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from wafleet.accounts import Pace, Quiet
from wafleet.domain.ids import ConversationId
from wafleet.outbox.lanes.pairs import Pairs
from wafleet.transports.base import Limits

HEADROOM: Final = 0.9  # share of the network's own limit that is used; the rest is for bursts
WARM_UP_START: Final = 0.1  # share of the full pace with which a new account begins
SLOWEST: Final = 0.05  # share of the full pace below which throttling does not push it


@dataclass(slots=True)
class Gauge:
    """What a lane remembers of its sending. Times are aware UTC."""

    ready_at: datetime  # when the next message is due by rate alone; before `now` means there is burst left
    sent_today: int = 0
    today: datetime | None = None  # midnight in the zone that counts
    held_until: datetime | None = None  # the network asked for a pause
    held_why: str = ""
    share: float = 1.0  # of the full pace; throttling halves it, success restores it
    pairs: tuple[Pairs, ...] = ()  # how often one person may be written to


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many messages may go now; when none, `why` and until when."""

    room: int
    why: str = ""
    until: datetime | None = None


def allow(pace: Pace, gauge: Gauge, *, window: int, age: timedelta, now: datetime) -> Allowance:
    """Say how many messages this lane may put on the wire now, at most `window`.

    window  free places on the wire
    age     how long the account has existed, for the warm-up ramp
    """
    if gauge.held_until is not None and gauge.held_until > now:
        return Allowance(0, gauge.held_why, gauge.held_until)
    if pace.quiet is not None and (ends := quiet_until(pace.quiet, now)) is not None:
        return Allowance(0, "quiet_hours", ends)
    cap = _daily_cap(pace, age)
    left = window if cap is None else min(window, cap - _sent_today(pace, gauge, now))
    if left <= 0 < window:
        return Allowance(0, "daily_cap", midnight(pace, now) + timedelta(days=1))
    return _by_rate(pace, gauge, left, age, now)


def spend(pace: Pace, gauge: Gauge, *, recipient: ConversationId, age: timedelta, now: datetime) -> None:
    """Count one message that is put on the wire."""
    gauge.sent_today = _sent_today(pace, gauge, now) + 1
    if (gap := _gap(pace, gauge, age)) is not None:
        jitter = 1 + (pace.jitter or 0) * random.uniform(-1, 1)
        gauge.ready_at = max(gauge.ready_at, now - _burst(pace) * gap) + gap * jitter
    for rule in gauge.pairs:
        rule.spend(recipient, now)


def throttled(gauge: Gauge, *, retry_after: timedelta, reason: str, now: datetime) -> None:
    """Slow down: the network asked for a pause, and the pace is halved until sends succeed again."""
    gauge.held_until = max(gauge.held_until or now, now + retry_after)
    gauge.held_why = reason
    gauge.share = max(SLOWEST, gauge.share / 2)


def go_on(gauge: Gauge, before: Gauge) -> None:
    """Go on where the gauge of an earlier session stood: what the network asked for outlasts a connection."""
    gauge.ready_at = max(gauge.ready_at, before.ready_at)
    gauge.held_until, gauge.held_why, gauge.share = before.held_until, before.held_why, before.share


def went_well(gauge: Gauge) -> None:
    """Give back a little of the pace that throttling took."""
    gauge.share = min(1.0, gauge.share * 1.05)


def clock_set(gauge: Gauge, *, by: timedelta) -> None:
    """Follow a wall clock that somebody set: what was to come in a second still comes in a second."""
    gauge.ready_at += by
    if gauge.held_until is not None:
        gauge.held_until += by
    for rule in gauge.pairs:
        rule.clock_set(by)


def within(pace: Pace, limits: Limits) -> Pace:
    """Return the slower of an account's own pace and what the network permits."""
    if limits.per_second is None or (pace.per_second or limits.per_second) <= limits.per_second * HEADROOM:
        return pace
    burst = max(1, int(limits.per_second * (1 - HEADROOM)))
    return msgspec.structs.replace(pace, per_second=limits.per_second * HEADROOM, burst=burst)


def pairs(pace: Pace, limits: Limits) -> tuple[Pairs, ...]:
    """Return the rules for messages to one person: the account's own, and the network's."""
    rules: list[Pairs] = []
    if pace.per_recipient_s:
        rules.append(Pairs(timedelta(seconds=pace.per_recipient_s), why="paced"))
    if limits.pair_s:
        rules.append(Pairs(timedelta(seconds=limits.pair_s), limits.pair_burst))
    return tuple(rules)


def quiet_until(quiet: Quiet, now: datetime) -> datetime | None:
    """Return when quiet hours end, or None when it is not quiet now. Follows the zone's summer time."""
    local = now.astimezone(ZoneInfo(quiet.zone))
    time = local.time().replace(tzinfo=None)
    inside = (
        quiet.begins <= time < quiet.ends if quiet.begins < quiet.ends else time >= quiet.begins or time < quiet.ends
    )
    if not inside:
        return None
    ends = local.replace(hour=quiet.ends.hour, minute=quiet.ends.minute, second=0, microsecond=0)
    return ends if ends > local else ends + timedelta(days=1)


def ramp(pace: Pace, age: timedelta) -> float:
    """Return the share of its full pace that an account of this age may use: it grows evenly to 1."""
    if not pace.warm_up_days:
        return 1.0
    return min(1.0, WARM_UP_START + (1 - WARM_UP_START) * age / timedelta(days=pace.warm_up_days))


def _by_rate(pace: Pace, gauge: Gauge, left: int, age: timedelta, now: datetime) -> Allowance:
    gap = _gap(pace, gauge, age)
    if gap is None:
        return Allowance(left)
    behind = now - max(gauge.ready_at, now - _burst(pace) * gap)
    room = min(left, int(behind / gap) + 1) if behind >= timedelta() else 0
    return Allowance(room) if room > 0 or left <= 0 else Allowance(0, "paced", gauge.ready_at)


def _gap(pace: Pace, gauge: Gauge, age: timedelta) -> timedelta | None:
    rate = pace.per_second
    if rate is None:
        return None if gauge.share == 1.0 else timedelta(seconds=0.05 / gauge.share)
    return timedelta(seconds=1 / (rate * gauge.share * ramp(pace, age)))


def _burst(pace: Pace) -> int:
    return (pace.burst or 1) - 1


def _daily_cap(pace: Pace, age: timedelta) -> int | None:
    return None if pace.daily_cap is None else max(1, int(pace.daily_cap * ramp(pace, age)))


def _sent_today(pace: Pace, gauge: Gauge, now: datetime) -> int:
    today = midnight(pace, now)
    if gauge.today != today:
        gauge.today, gauge.sent_today = today, gauge.sent_today if gauge.today is None else 0
    return gauge.sent_today


def midnight(pace: Pace, now: datetime) -> datetime:
    """Return when the day that counts for the daily cap began."""
    zone = ZoneInfo(pace.quiet.zone if pace.quiet is not None else "UTC")
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
