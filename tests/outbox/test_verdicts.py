"""What follows from a send that did not go out."""

from datetime import timedelta

import pytest

from wafleet.domain.ids import AccountId, ConversationId, MessageId, new_id
from wafleet.domain.message import Sending, Text
from wafleet.outbox.lanes import verdicts
from wafleet.outbox.model import Claim
from wafleet.transports.base import NotSent


def claim(*, claims: int, attempts: int = 1) -> Claim:
    return Claim(
        id=MessageId(new_id()),
        account=AccountId(new_id()),
        conversation=ConversationId(new_id()),
        epoch=1,
        claims=claims,
        attempts=attempts,
        to="+447700900001",
        more=False,
        content=Text("a"),
    )


@pytest.mark.parametrize("reason", ["media_away", "provider_away"])
def test_a_message_waits_for_a_store_or_a_provider_however_long_that_is_away(reason: str) -> None:
    waits: list[timedelta] = []
    for n in range(1, 200):
        outcome = verdicts.after_error(claim(claims=n, attempts=5), NotSent(reason), max_attempts=5)
        assert (outcome.to, outcome.reason, outcome.counted) == (Sending.QUEUED, reason, False)
        waits.append(outcome.retry_in or timedelta())
    assert timedelta(seconds=1) <= waits[0] < timedelta(seconds=3)
    assert max(waits) <= verdicts.LONGEST_AWAY


def test_what_the_message_itself_may_be_to_blame_for_is_tried_a_few_times() -> None:
    wrong = NotSent("unexpected")
    assert verdicts.after_error(claim(claims=4, attempts=4), wrong, max_attempts=5).to is Sending.QUEUED
    assert verdicts.after_error(claim(claims=5, attempts=5), wrong, max_attempts=5).to is Sending.FAILED
