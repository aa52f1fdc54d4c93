"""Why a message is where it is, in one sentence."""

from datetime import datetime, timedelta
from typing import Final

from wafleet.domain.account import State, explain
from wafleet.domain.failures import failure
from wafleet.domain.message import Sending

SPOKE: Final = {
    "asked": "this account was asked for",
    "message": "the message it refers to is with this account",
    "conversation": "their last conversation was with this account",
    "primary": "this is the tenant's primary account",
    "only": "this account is free to speak to them",
}
LANE: Final = {
    "paced": "paced",
    "quiet_hours": "quiet hours",
    "daily_cap": "the account's daily cap is reached",
    "throttled": "WhatsApp slows this number down",
    "reach_out_lock": "WhatsApp refuses first messages from this number",
    "pair_rate": "this person got as many messages as WhatsApp permits in so short a time",
    "tier": "the number began as many new conversations as it may in a day",
}
_STANDS: Final = {
    Sending.SENDING: "On the wire: waiting for the network's answer.",
    Sending.SENT: "The network took it.",
    Sending.DELIVERED: "It is on the customer's phone.",
    Sending.READ: "The customer read it.",
    Sending.CANCELLED: "Cancelled while it waited.",
    Sending.UNKNOWN: "Nobody can say whether it went out: look at the phone before you send it again.",
}
WORKS: Final = frozenset({State.ONLINE, State.DEGRADED})


def why(
    *,
    state: Sending,
    reason: str = "",
    due_at: datetime | None,
    retry_at: datetime | None = None,
    account_state: State,
    account_reason: str,
    account_since: datetime,
    lane_why: str = "",
    lane_until: datetime | None = None,
    now: datetime,
) -> str:
    """Say why a message is where it is, and for one that waits until when, as far as anybody knows.

    The first cause that holds it is named: its own schedule, then its account, its lane, its last try.
    """
    if state is Sending.FAILED:
        failed = failure(reason)
        return f"Not sent: {failed.sentence}. {failed.last_step}"
    if state is not Sending.QUEUED:
        return _STANDS[state]
    if due_at is not None and due_at > now:
        return f"Scheduled for {_clock(due_at, now)}."
    if account_state not in WORKS:
        said = explain(account_reason).sentence
        return f"Waiting: the account is {account_state.replace('_', ' ')} since {_clock(account_since, now)}. {said}"
    if lane_why and lane_until is not None and lane_until > now:
        return f"Waiting: {LANE.get(lane_why, lane_why)} until {_clock(lane_until, now)}."
    if retry_at is not None and retry_at > now:
        return f"Waiting: tried in vain ({failure(reason).sentence}) and tried again at {_clock(retry_at, now)}."
    return "Waiting for its turn."


def _clock(at: datetime, now: datetime) -> str:
    near = abs(at - now) < timedelta(hours=20)
    return at.strftime("%H:%M:%S UTC" if near else "%Y-%m-%d %H:%M UTC")
