"""What a lane does after a send ended: pure translation of the error tree into outcomes."""

import random
from datetime import timedelta
from typing import Final

from wafleet.domain.message import Sending
from wafleet.outbox.model import Claim, Outcome
from wafleet.transports.base import Found, NotSent, Refused, RefusedAccount, SendError, Throttled

FIRST_RETRY: Final = timedelta(seconds=1)
LONGEST_RETRY: Final = timedelta(minutes=5)
ACCOUNT_PAUSE: Final = timedelta(seconds=60)  # after the network refused the account, not the message
AWAY: Final = frozenset({"network", "unsure"})  # the message never left the house: the try does not count
STORES: Final = frozenset({"media_away", "provider_away"})  # nor does one that only a file store or the provider failed
LONGEST_AWAY: Final = timedelta(minutes=1)  # until that is looked for again


def sent(claim: Claim, provider_id: str) -> Outcome:
    """The network took it."""
    return _outcome(claim, Sending.SENT, provider_id=provider_id)


def found(claim: Claim, what: Found) -> Outcome:
    """The network has it, or had it and could not deliver it. How far it came beyond, receipts tell."""
    if what.state is not Sending.FAILED:
        return sent(claim, what.provider_id)
    return _outcome(
        claim, Sending.FAILED, provider_id=what.provider_id, reason=what.reason or "refused", detail=what.detail
    )


def unknown(claim: Claim, detail: str) -> Outcome:
    """Nobody can say whether it went out."""
    return _outcome(claim, Sending.UNKNOWN, reason="no_answer", detail=detail)


def again(claim: Claim, *, detail: str = "") -> Outcome:
    """The network never had it, and it was not the message's fault: back into the queue, at once."""
    return _outcome(claim, Sending.QUEUED, detail=detail, counted=False)


def after_error(claim: Claim, error: SendError, *, max_attempts: int) -> Outcome:
    """Name what follows from a send that certainly did not go out."""
    match error:
        case Throttled():
            return _requeued(claim, error, error.retry_after, counted=False)
        case RefusedAccount():
            return _requeued(claim, error, ACCOUNT_PAUSE, counted=False)
        case Refused():
            return _outcome(claim, Sending.FAILED, reason=error.reason, detail=error.detail)
        case NotSent() if error.reason in AWAY:
            return again(claim)
        case NotSent() if error.reason in STORES:
            return _requeued(claim, error, min(LONGEST_AWAY, backoff(claim.claims)), counted=False)
        case NotSent() if claim.attempts < max_attempts:
            return _requeued(claim, error, backoff(claim.attempts), counted=True)
        case _:
            return _outcome(claim, Sending.FAILED, reason=error.reason, detail=error.detail)


def backoff(attempts: int) -> timedelta:
    """Return how long to wait after this many tries: growing, with jitter."""
    ceiling = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(attempts, 16))
    return ceiling * random.uniform(0.5, 1)


def _requeued(claim: Claim, error: SendError, wait: timedelta, *, counted: bool) -> Outcome:
    return _outcome(claim, Sending.QUEUED, reason=error.reason, detail=error.detail, retry_in=wait, counted=counted)


def _outcome(
    claim: Claim,
    to: Sending,
    *,
    provider_id: str | None = None,
    reason: str = "",
    detail: str = "",
    retry_in: timedelta | None = None,
    counted: bool = True,
) -> Outcome:
    return Outcome(
        message=claim.id,
        account=claim.account,
        epoch=claim.epoch,
        claims=claim.claims,
        to=to,
        provider_id=provider_id,
        reason=reason,
        detail=detail,
        retry_in=retry_in,
        counted=counted,
    )
