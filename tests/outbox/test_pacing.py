"""Pacing is pure: these are its laws, and the cases operators ask about."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wafleet.accounts import Pace, Quiet
from wafleet.domain.ids import ConversationId
from wafleet.outbox.lanes import pacing
from wafleet.outbox.lanes.pacing import Gauge
from wafleet.outbox.lanes.pairs import Pairs, fill, waiting
from wafleet.outbox.lanes.reach import Reach, tier
from wafleet.transports.base import Limits

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = timedelta(days=1000)
LAYLA = ConversationId(UUID(int=1))


def send_all(pace: Pace, seconds: float, *, age: timedelta = OLD, window: int = 16) -> int:
    """Send as fast as the pace allows for some seconds; return how many went."""
    gauge, now, sent = Gauge(ready_at=NOON), NOON, 0
    end = NOON + timedelta(seconds=seconds)
    while now < end:
        allowed = pacing.allow(pace, gauge, window=window, age=age, now=now)
        for _ in range(allowed.room):
            pacing.spend(pace, gauge, recipient=LAYLA, age=age, now=now)
        sent += allowed.room
        if allowed.room:
            now += timedelta(milliseconds=1)
        else:
            assert allowed.until is not None
            assert allowed.why
            now = max(allowed.until, now + timedelta(milliseconds=1))
    return sent


@given(st.floats(0.1, 50), st.integers(1, 20))
def test_no_lane_is_faster_than_its_pace_beyond_its_burst(per_second: float, burst: int) -> None:
    sent = send_all(Pace(per_second=per_second, burst=burst, jitter=0), 10)
    assert sent <= per_second * 10 + burst + 1
    assert sent >= per_second * 10 * 0.9 - 1


def test_without_a_pace_only_the_window_limits() -> None:
    assert pacing.allow(Pace(), Gauge(ready_at=NOON), window=16, age=OLD, now=NOON).room == 16


def test_a_daily_cap_ends_the_day_and_says_until_when() -> None:
    pace, gauge = Pace(daily_cap=3), Gauge(ready_at=NOON)
    for _ in range(3):
        pacing.spend(pace, gauge, recipient=LAYLA, age=OLD, now=NOON)
    allowed = pacing.allow(pace, gauge, window=16, age=OLD, now=NOON)
    assert (allowed.room, allowed.why) == (0, "daily_cap")
    assert allowed.until == datetime(2026, 3, 2, tzinfo=UTC)
    tomorrow = datetime(2026, 3, 2, tzinfo=UTC)
    assert pacing.allow(pace, gauge, window=16, age=OLD, now=tomorrow).room == 3


def test_quiet_hours_follow_the_zone_and_span_midnight() -> None:
    quiet = Quiet(from_="22:00", to="07:00", zone="Asia/Dubai")  # UTC+4
    assert pacing.quiet_until(quiet, NOON) is None
    ends = pacing.quiet_until(quiet, datetime(2026, 3, 1, 19, 30, tzinfo=UTC))  # 23:30 in Dubai
    assert ends is not None
    assert ends == datetime(2026, 3, 2, 3, tzinfo=UTC)
    assert pacing.quiet_until(quiet, datetime(2026, 3, 2, 2, 59, tzinfo=UTC)) == ends
    assert pacing.quiet_until(quiet, ends) is None


def test_quiet_hours_keep_their_clock_time_when_summer_time_begins() -> None:
    quiet = Quiet(from_="22:00", to="07:00", zone="Europe/Berlin")
    ends = pacing.quiet_until(quiet, datetime(2026, 3, 28, 22, tzinfo=UTC))  # the night in which 2:00 becomes 3:00
    assert ends is not None
    assert ends.astimezone(UTC) == datetime(2026, 3, 29, 5, tzinfo=UTC)


def test_a_new_account_warms_up() -> None:
    pace = Pace(per_second=10, warm_up_days=10, jitter=0)
    assert send_all(pace, 10, age=timedelta()) <= 12
    assert 50 <= send_all(pace, 10, age=timedelta(days=5)) <= 60
    assert send_all(pace, 10, age=timedelta(days=10)) >= 95


def test_throttling_pauses_halves_the_pace_and_is_forgotten_after_success() -> None:
    pace, gauge = Pace(per_second=10, jitter=0), Gauge(ready_at=NOON)
    pacing.throttled(gauge, retry_after=timedelta(seconds=5), reason="throttled", now=NOON)
    allowed = pacing.allow(pace, gauge, window=16, age=OLD, now=NOON)
    assert (allowed.room, allowed.why, allowed.until) == (0, "throttled", NOON + timedelta(seconds=5))
    assert gauge.share == 0.5
    for _ in range(20):
        pacing.went_well(gauge)
    assert gauge.share == 1


def test_a_recipient_cools_down_alone() -> None:
    pace = Pace(per_recipient_s=6)
    gauge = Gauge(ready_at=NOON, pairs=pacing.pairs(pace, Limits()))
    pacing.spend(pace, gauge, recipient=LAYLA, age=OLD, now=NOON)
    assert waiting(gauge.pairs, NOON + timedelta(seconds=5)) == {LAYLA: (NOON + timedelta(seconds=6), "paced")}
    assert waiting(gauge.pairs, NOON + timedelta(seconds=6)) == {}
    assert pacing.allow(pace, gauge, window=16, age=OLD, now=NOON).room == 16


def test_of_two_rules_the_one_that_holds_longer_is_named() -> None:
    rules = pacing.pairs(Pace(per_recipient_s=2), Limits(pair_s=6, pair_burst=2))
    for now in (NOON, NOON + timedelta(seconds=2)):
        for rule in rules:
            rule.spend(LAYLA, now)
    assert waiting(rules, NOON + timedelta(seconds=3)) == {LAYLA: (NOON + timedelta(seconds=12), "pair_rate")}


def test_who_got_too_much_as_the_network_says_waits_until_then_and_nobody_else() -> None:
    rules, until = pacing.pairs(Pace(per_recipient_s=1), Limits(pair_s=6, pair_burst=45)), NOON + timedelta(minutes=1)
    fill(rules, LAYLA, until)
    assert waiting(rules, until - timedelta(seconds=1)) == {LAYLA: (until, "pair_rate")}
    assert waiting(rules, until) == {}


def test_a_burst_to_one_person_is_paid_back_by_waiting() -> None:
    (rule,) = pacing.pairs(Pace(), Limits(pair_s=6, pair_burst=45))
    for _ in range(20):
        rule.spend(LAYLA, NOON)
        assert rule.waiting(NOON) == {}
    assert rule.waiting(NOON + timedelta(seconds=6)) == {LAYLA: NOON + timedelta(seconds=120)}
    assert rule.waiting(NOON + timedelta(seconds=120)) == {}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=80), st.integers(1, 5))
def test_nobody_gets_more_than_the_burst_and_one_for_each_gap(pauses: list[float], burst: int) -> None:
    rule, now, sent = Pairs(timedelta(seconds=6), burst), NOON, list[datetime]()
    for pause in pauses:
        now = max(now + timedelta(seconds=pause), rule.waiting(now).get(LAYLA, now))
        if LAYLA not in rule.waiting(now):
            rule.spend(LAYLA, now)
            sent.append(now)
    for i, first in enumerate(sent):
        for n, last in enumerate(sent[i:], 1):
            assert n <= burst + (last - first) / timedelta(seconds=6) + 1e-6


def test_a_lane_stays_below_what_the_network_permits_and_below_its_own_pace() -> None:
    assert pacing.within(Pace(per_second=5, burst=3), Limits(per_second=80)) == Pace(per_second=5, burst=3)
    assert pacing.within(Pace(), Limits()) == Pace()
    bounded = pacing.within(Pace(jitter=0), Limits(per_second=80))
    assert send_all(bounded, 1, window=64) <= 80
    assert send_all(bounded, 10, window=64) >= 700


@given(st.integers(0, 3000))
def test_people_of_a_day_are_counted_until_they_are_a_day_old(minutes: int) -> None:
    reach = Reach(10, [(NOON - timedelta(hours=1), 4)])
    reach.add(6, NOON)
    assert reach.left(NOON) == 0
    now = NOON + timedelta(minutes=minutes)
    assert reach.left(now) == (0 if minutes < 23 * 60 else 4 if minutes < 24 * 60 else 10)


def test_networks_words_for_a_daily_limit_are_understood() -> None:
    words = {"TIER_250": 250, "TIER_1K": 1000, "TIER_100K": 100_000, "1K Customers/24hr": 1000, "2000": 2000}
    assert {word: tier(word) for word in words} == words
    assert [tier(word) for word in ("", "TIER_UNLIMITED", "Unlimited")] == [None, None, None]
