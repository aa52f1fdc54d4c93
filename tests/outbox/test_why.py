from datetime import UTC, datetime, timedelta
from typing import Any

from wafleet.domain.account import State
from wafleet.domain.failures import FAILURES
from wafleet.domain.message import Sending
from wafleet.outbox import why

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def said(state: Sending = Sending.QUEUED, **facts: Any) -> str:
    known: dict[str, Any] = {
        "due_at": None,
        "account_state": State.ONLINE,
        "account_reason": "",
        "account_since": NOW - timedelta(hours=3),
        "now": NOW,
    }
    return why(state=state, **(known | facts))


def test_each_cause_of_waiting_is_named_with_its_time() -> None:
    assert said(due_at=NOW + timedelta(hours=2)) == "Scheduled for 14:00:00 UTC."
    assert said(due_at=NOW + timedelta(days=2)) == "Scheduled for 2026-03-03 12:00 UTC."
    offline = said(account_state=State.OFFLINE, account_reason="network")
    assert offline == "Waiting: the account is offline since 09:00:00 UTC. The connection to WhatsApp broke."
    assert said(lane_why="paced", lane_until=NOW + timedelta(minutes=20)) == "Waiting: paced until 12:20:00 UTC."
    assert "tried again at 12:00:05" in said(retry_at=NOW + timedelta(seconds=5), reason="throttled")
    assert said() == "Waiting for its turn."


def test_a_wait_that_is_over_is_not_named() -> None:
    assert said(lane_why="paced", lane_until=NOW, retry_at=NOW, due_at=NOW) == "Waiting for its turn."


def test_what_has_failed_promises_no_further_try() -> None:
    for reason in FAILURES:
        told = said(Sending.FAILED, reason=reason)
        assert "Nothing to do" not in told
        assert "tried again" not in told
    assert said(Sending.FAILED, reason="provider_away").endswith("fault of its own. Send it again later.")


def test_what_is_not_waiting_says_where_it_is() -> None:
    for state in set(Sending) - {Sending.QUEUED, Sending.FAILED}:
        assert said(state).endswith(".")
    assert "(463)" in said(Sending.FAILED, reason="reach_out_lock")
    assert "look at the phone" in said(Sending.UNKNOWN)
