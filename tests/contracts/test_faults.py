"""Every fault of the network: what is told has a reason, and in the end nothing was lost and nothing went twice."""

import asyncio
import time

from tests.contracts.subject import PHONE, Holder, across

from wafleet.domain.account import REASONS
from wafleet.domain.ids import MessageId
from wafleet.simulator.faults import FAULTS
from wafleet.transports.base import Doubt, MaybeSent, NotSent, OpenError, SendError

NEVER_CERTAIN = {"hidden"}  # nobody can tell what became of these


@across(lambda subject, kind: subject.feels(kind), kind=FAULTS)
async def test_a_fault_is_told_with_a_reason_and_afterwards_all_is_accounted_for(one: Holder, kind: str) -> None:
    await one.send("before")
    _strike(one, kind)
    outcomes = {one.outgoing(f"during {n}").id: "" for n in range(3)}
    said = [one.say(f"during {n}") for n in range(3)]
    for id in outcomes:
        outcomes[id] = await _tried(one, id)
    await _over(one, kind)
    await _settled(one, outcomes)
    await one.send("after")
    one.say("after")
    await one.subject.until(lambda: "after" in one.heard.texts)
    heard = {i.provider_id for heard in one.heards for i in heard.inbound}
    assert {one.subject.named(id) for id in said} <= heard
    reasons = {reason for heard in one.heards for reason in heard.reasons}
    assert reasons <= set(REASONS)
    await one.subject.until(lambda: _missing(one, outcomes, kind) <= 0)
    line = one.world.ledger(PHONE)[0]
    certain, open_ = (sum(outcome == wanted for outcome in outcomes.values()) for wanted in ("sent", "maybe"))
    assert line.sent_twice == 0
    assert line.sent <= 2 + certain + open_, (outcomes, line)
    assert kind in NEVER_CERTAIN or not (open_ and one.subject.knows_what_never_left), outcomes


def _missing(one: Holder, outcomes: dict[MessageId, str], kind: str) -> int:
    """Count messages that were taken, did not cross, and of which nobody was told that they would not."""
    if kind in one.subject.swallows:
        return 0
    taken = {id for id, outcome in outcomes.items() if outcome == "sent"} - one.failed
    return 2 + len(taken) - one.world.ledger(PHONE)[0].sent


def _strike(one: Holder, kind: str) -> None:
    one.subject.hurry()
    account = "*" if kind == "restart" else PHONE
    one.world.start_fault(one.subject.fault(account, kind))


async def _tried(one: Holder, id: MessageId) -> str:
    """Send once; return what is known of it then. Whatever a transport raises is a SendError with a reason."""
    sending = asyncio.wait_for(one.session.send(one.sent[id]), one.subject.patience_s)
    (answer,) = await asyncio.gather(sending, return_exceptions=True)
    if isinstance(answer, str):
        return "sent"
    assert isinstance(answer, SendError), repr(answer)
    assert answer.reason
    return "maybe" if isinstance(answer, MaybeSent) else "not sent" if isinstance(answer, NotSent) else "refused"


async def _over(one: Holder, kind: str) -> None:
    """Let the fault be over, and have the account online again, as its owner would."""
    for fault in one.world.trouble.active():
        if fault.kind == kind:
            one.world.trouble.end(fault.account, kind)
    one.subject.hurry(False)
    if kind == "logged_out":
        await one.subject.until(lambda: one.heard.ends)
        one.first_secret = await one.subject.credentials(one.number)
        for heard in one.heards:
            heard.secrets.clear()
    deadline = time.monotonic() + one.subject.patience_s
    while (refused := await _refusal(one)) is not None:
        assert refused.reason in REASONS
        assert time.monotonic() < deadline, refused.reason
        await asyncio.sleep(0.05)
    await one.subject.well(PHONE)


async def _refusal(one: Holder) -> OpenError | None:
    try:
        await one.open()
    except OpenError as e:
        return e
    return None


async def _settled(one: Holder, outcomes: dict[MessageId, str]) -> None:
    """Do as a lane does: ask for what may have been sent, and send again only what the network never had."""
    doubtful = [id for id, outcome in outcomes.items() if outcome == "maybe"]
    for id, found in (await one.session.find([Doubt(id) for id in doubtful])).items():
        outcomes[id] = "not sent" if found is None else "sent"
    for id in [id for id, outcome in outcomes.items() if outcome == "not sent"]:
        outcomes[id] = await _tried(one, id)
