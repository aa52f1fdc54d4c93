"""Pure rules of the live side: where a reason leads, when to try again, and whether an account is alive."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wafleet.accounts.live.store import Row
from wafleet.domain.account import Desired, State, explain

_LEADS_TO: Final = {
    "logged_out": State.LOGGED_OUT,
    "locked": State.LOGGED_OUT,  # the device is gone with it, and is linked anew
    "credentials": State.LOGGED_OUT,
    "credentials_lost": State.LOGGED_OUT,
    "banned": State.BLOCKED,
    "banned_for_good": State.BLOCKED,
    "provider_refused": State.BLOCKED,
}
_GOES_ON: Final = frozenset(  # after these the session is opened that was there before
    {"link_expired", "link_cancelled", "link_refused", "link_wrong_phone", "link_broken", "passkey", "stopped"}
)
_LEAST_WAIT: Final = {
    "replaced": timedelta(seconds=20),
    "outdated": timedelta(seconds=30),
    "library_missing": timedelta(hours=1),  # it comes with a new start
    "banned": timedelta(hours=1),  # where WhatsApp gave no end: who knocks all the time is banned for longer
    "refused_client": timedelta(minutes=10),
}
CLOSING_S: Final = 1.5  # what it takes to close all sessions of a node: a worker that does not end is killed after 1 s
STEADY: Final = timedelta(seconds=60)  # a session that lasted so long was well: what ends it is a first failure
_BROKEN_LINKS: Final = frozenset(  # a session would be opened again by itself after these; linking is not
    {
        *("network", "silent", "connect_timeout", "stream_error", "replaced", "unready", "in_use", "refused_client"),
        *("worker_crashed", "worker_stuck", "worker_memory", "worker_lifetime"),
    }
)


def leads_to(reason: str) -> State:
    """Return the state an account is in after its session ended for this reason."""
    return _LEADS_TO.get(reason, State.OFFLINE)


def link_end(reason: str, detail: str) -> tuple[str, str]:
    """Say how an attempt to link ended, as reason and detail: what would be tried again by itself is not, here."""
    if reason not in _BROKEN_LINKS:
        return reason, detail
    return "link_broken", f"{explain(reason).sentence} {detail}".strip()


def lapsing(*, sure_s: float, lease_s: float) -> bool:
    """Tell whether a node must close the sessions that no two nodes may have, so that it is done in time.

    sure_s   seconds for which its leases certainly hold; no other node takes them before
    lease_s  what each renewal adds up to; nodes renew at least twice in that time
    """
    return sure_s <= min(CLOSING_S, lease_s / 4)


def failures_before(failures: int, *, lasted: timedelta) -> int:
    """Return how many failures in a row precede one more: those from before a session that lasted do not count."""
    return 0 if lasted >= STEADY else failures


def retry_in(
    reason: str, *, failures: int, until: datetime | None, now: datetime, first: timedelta, most: timedelta
) -> timedelta | None:
    """Return how long to wait before connecting again; None: not by itself.

    Full jitter over an exponentially growing wait, so that a fleet does not come back in step.
    """
    if not explain(reason).retried:
        return None
    if until is not None:
        return max(until - now, timedelta()) + timedelta(seconds=random.uniform(0, 2))
    ceiling = min(most, first * 2 ** min(failures, 20))
    wait = timedelta(seconds=random.uniform(0, ceiling.total_seconds()))
    return max(wait, _LEAST_WAIT.get(reason, timedelta()))


def should_open(row: Row, now: datetime) -> bool:
    """Tell whether this account's session ought to be opened now."""
    if row.deleted or row.desired is not Desired.RUNNING or not row.linked:
        return False
    if row.state in {State.NEW, State.LINKING, State.LOGGED_OUT, State.DISABLED}:
        return False
    if row.state in {State.BLOCKED, State.OFFLINE} and not explain(row.reason).retried and row.retry_at is None:
        return row.reason in _GOES_ON
    return row.retry_at is None or row.retry_at <= now


PEOPLE: Final = 3  # whose receipts stay away before a session is suspected: of one, the phone may be off
DOUBTED_S: Final = 3600.0  # a session is opened anew at most this often on such a suspicion: it may be wrong


@dataclass(slots=True)
class Pulse:
    """What was seen of one live session, in monotonic seconds. Kept by its node; judged by `suspicion`."""

    opened: float
    inbound: float = float("-inf")
    receipt: float = float("-inf")
    last_sent: float = float("-inf")
    unreceipted: float | None = None  # when the oldest message was sent that no receipt has followed
    unheard: dict[str, float] = field(default_factory=dict[str, float])  # to whom since, and when first; a few of them
    canary: float | None = None  # when the canary under way was sent
    canary_seen: float = 0.0  # when one last came back

    def sent(self, at: float, to: str = "") -> None:
        self.last_sent = at
        if self.unreceipted is None:
            self.unreceipted = at
        if len(self.unheard) < PEOPLE:
            self.unheard.setdefault(to, at)

    def receipted(self, at: float) -> None:
        self.receipt, self.unreceipted = at, None
        self.unheard.clear()


def suspicion(pulse: Pulse, *, now: float, canary_after: float, receipt_lag: float) -> str:
    """Say why a canary should be sent: "mute", "deaf", or "" when there is proof enough of life.

    now, canary_after, receipt_lag  seconds; canary_after 0 switches canaries off

    Receipts that stay away point to a mute session, long silence to a deaf one; either may be chance, so the
    suspicion is tested by a canary: a message to the account's own number, which must come back.
    """
    if canary_after <= 0:
        return ""
    if pulse.unreceipted is not None and now - pulse.unreceipted > receipt_lag:
        return "mute"
    if now - max(pulse.opened, pulse.inbound, pulse.receipt, pulse.canary_seen) > canary_after:
        return "deaf"
    return ""


def is_mute(pulse: Pulse, *, now: float, receipt_lag: float, doubted: float) -> bool:
    """Tell whether a session that can send no canary should be opened anew, since nothing it sends seems to arrive.

    doubted  when the account's session was last opened anew because of this

    Several people were written to, all of them longer than `receipt_lag` ago, and no receipt of anybody has come since.
    What customers write meanwhile acquits nobody: the ears may be well.
    """
    if len(pulse.unheard) < PEOPLE or now - doubted < DOUBTED_S:
        return False
    return now - max(pulse.unheard.values()) > receipt_lag


def canary_verdict(pulse: Pulse, *, now: float, limit: float) -> str:
    """Say what a canary that did not come back within `limit` seconds proves: "deaf", "mute", or "" while it may.

    When other things arrived since it was sent, the ears work: the account is mute.
    """
    if pulse.canary is None or now - pulse.canary <= limit:
        return ""
    return "mute" if max(pulse.inbound, pulse.receipt) > pulse.canary else "deaf"
