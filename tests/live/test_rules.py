"""When an account is connected again, and what the end of linking means."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wafleet.accounts.live.rules import DOUBTED_S, PEOPLE, STEADY, Pulse, failures_before, is_mute, link_end, retry_in
from wafleet.domain.account import REASONS, explain

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST, MOST = timedelta(seconds=1), timedelta(seconds=32)
FAILURES = st.integers(0, 100)
LASTED = st.timedeltas(timedelta(), timedelta(days=365))


def wait(reason: str, failures: int, until: datetime | None = None) -> timedelta | None:
    return retry_in(reason, failures=failures, until=until, now=NOW, first=FIRST, most=MOST)


@given(FAILURES, LASTED)
def test_only_a_session_that_lasted_wipes_out_earlier_failures(failures: int, lasted: timedelta) -> None:
    assert failures_before(failures, lasted=lasted) == (0 if lasted >= STEADY else failures)


@given(FAILURES, st.sampled_from(sorted(REASONS)))
def test_a_wait_grows_to_its_most_unless_the_reason_wants_a_longer_one(failures: int, reason: str) -> None:
    seconds = wait(reason, failures)
    least = {"banned": 3600, "refused_client": 600, "library_missing": 3600, "outdated": 30, "replaced": 20}
    if not explain(reason).retried:
        assert seconds is None
    else:
        assert seconds is not None
        longest = max(least.get(reason, 0), min(32, 2**failures))
        assert least.get(reason, 0) <= seconds.total_seconds() <= longest


@given(FAILURES, st.timedeltas(timedelta(days=-1), timedelta(days=30)))
def test_a_ban_that_says_its_end_is_waited_for_and_no_longer(failures: int, left: timedelta) -> None:
    seconds = wait("banned", failures, NOW + left)
    assert seconds is not None
    assert max(left, timedelta()) <= seconds <= max(left, timedelta()) + timedelta(seconds=2)


@given(st.sampled_from(sorted(REASONS)), st.sampled_from(["", "the line broke"]))
def test_no_end_of_linking_promises_another_try(reason: str, detail: str) -> None:
    told, said = link_end(reason, detail)
    assert "tried again" not in explain(told).next_step or told not in {"network", "worker_crashed", "unready"}
    assert detail in said
    if told != reason:
        assert (told, said) == ("link_broken", f"{explain(reason).sentence} {detail}".strip())


MOMENTS = st.floats(0, 10_000)
CUSTOMERS = st.sampled_from(["+1", "+2", "+3", "+4", "+5"])
SENDS = st.lists(st.tuples(MOMENTS, CUSTOMERS), max_size=12).map(sorted)
LAG = 60.0


def sent(sends: list[tuple[float, str]]) -> Pulse:
    pulse = Pulse(opened=0)
    for at, to in sends:
        pulse.sent(at, to)
    return pulse


@given(SENDS, MOMENTS)
def test_a_session_is_suspected_once_several_people_were_silent_for_long(
    sends: list[tuple[float, str]], later: float
) -> None:
    now = max((at for at, _ in sends), default=0.0) + later
    long_ago = {to for at, to in sends if now - at > LAG}
    suspected = is_mute(sent(sends), now=now, receipt_lag=LAG, doubted=float("-inf"))
    assert suspected == (len(long_ago) >= PEOPLE)


@given(SENDS, SENDS, MOMENTS)
def test_any_receipt_acquits_of_all_that_was_sent_before(
    before: list[tuple[float, str]], after: list[tuple[float, str]], now: float
) -> None:
    pulse = sent(before)
    pulse.receipted(10_000.0)
    for at, to in after:
        pulse.sent(10_000.0 + at, to)
    alone = sent([(10_000.0 + at, to) for at, to in after])
    later = 20_000.0 + now
    assert is_mute(pulse, now=later, receipt_lag=LAG, doubted=float("-inf")) == is_mute(
        alone, now=later, receipt_lag=LAG, doubted=float("-inf")
    )


@given(SENDS, st.lists(st.floats(0, 1_000), max_size=50))
def test_however_long_receipts_stay_away_a_session_is_opened_anew_once_an_hour_at_most(
    sends: list[tuple[float, str]], gaps: list[float]
) -> None:
    doubted, now, restarts = float("-inf"), 10_000.0, list[float]()
    for gap in gaps:
        now += gap
        if is_mute(sent(sends), now=now, receipt_lag=LAG, doubted=doubted):
            doubted = now
            restarts.append(now)
    assert all(later - earlier >= DOUBTED_S for earlier, later in pairwise(restarts))
