"""Pacing is pure: these are its laws, and the cases operators ask about."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wafleet.accounts import Pace, Quiet
from wafleet.outbox.lanes import pacing
from wafleet.outbox.lanes.pacing import Gauge

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = timedelta(days=1000)


def send_all(pace: Pace, seconds: float, *, age: timedelta = OLD, window: int = 16) -> int:
    """Send as fast as the pace allows for some seconds; return how many went."""
    gauge, now, sent = Gauge(ready_at=NOON), NOON, 0
    end = NOON + timedelta(seconds=seconds)
    while now < end:
        allowed = pacing.allow(pace, gauge, window=window, age=age, now=now)
        for _ in range(allowed.room):
            pacing.spend(pace, gauge, recipient="+1", age=age, now=now)
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
        pacing.spend(pace, gauge, recipient="+1", age=OLD, now=NOON)
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
    pace, gauge = Pace(per_recipient_s=6), Gauge(ready_at=NOON)
    pacing.spend(pace, gauge, recipient="+1", age=OLD, now=NOON)
    assert pacing.cooling(gauge, NOON + timedelta(seconds=5)) == ["+1"]
    assert pacing.cooling(gauge, NOON + timedelta(seconds=6)) == []
    assert pacing.allow(pace, gauge, window=16, age=OLD, now=NOON).room == 16
