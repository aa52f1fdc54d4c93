"""Bring the network back from its journal, and write the journal short again."""

from collections.abc import Iterator
from typing import Final

from wafleet.simulator.frames import DELIVERED, SENT
from wafleet.simulator.journal import (
    AnyRecord,
    Counted,
    Crossed,
    Founded,
    Linked,
    Offered,
    Received,
    Record,
    Remembered,
    Unlinked,
    Waits,
)
from wafleet.simulator.memory import Crossing
from wafleet.simulator.model import Account, Offer
from wafleet.simulator.state import State

_RECENT_S: Final = 120.0  # receipts of messages this fresh may not have been told before the network stopped
_CHUNK: Final = 50_000


def restore(state: State) -> list[tuple[bytes, Crossing]]:
    """Replay the journal into an empty state; return the crossings whose receipts may not have been told."""
    if state.journal is None:
        return []
    for record in state.journal.replay():
        _apply(state, record)
    crossings = [(ref, c) for ref, c in state.memory.crossings() if c.times]
    newest = max((c.at for _, c in crossings), default=0.0)
    fresh: list[tuple[bytes, Crossing]] = []
    for ref, crossing in crossings:
        if crossing.at >= newest - _RECENT_S:
            fresh.append((ref, crossing))
        else:
            crossing.state, crossing.letter = DELIVERED, None
    return fresh


def _apply(state: State, record: AnyRecord) -> None:
    match record:
        case Founded():
            state.epoch, state.number = record.epoch, record.number
        case Linked():
            account = state.account(record.account)
            account.credentials, account.former = record.credentials, record.former
        case Unlinked():
            account = state.account(record.account)
            account.credentials = account.former = None
        case Counted():
            state.account(record.counts.account).counts = record.counts
        case Remembered():
            _remember(state, record)
        case Waits():
            _wait(state.account(record.account), record)
        case Crossed() | Offered() | Received():
            _apply_message(state, record)


def _apply_message(state: State, record: Crossed | Offered | Received) -> None:
    account = state.account(record.account)
    match record:
        case Crossed():
            state.number = max(state.number, record.number)
            cross(state, account, record)
        case Offered():
            state.number = max(state.number, record.number)
            account.counts.offered += 1
            state.memory.offered(record.id, record.account)
            take_in(account, record)
        case Received():
            for id in record.ids:
                if account.waiting.pop(id, None):
                    account.counts.received += 1


def cross(state: State, account: Account, record: Crossed) -> Crossing:
    """Count one message of an account that crossed (or, where hidden, perhaps did) and remember it."""
    known, counts = state.memory.get(record.ref), account.counts
    before = known.times if known else 0
    if record.hidden and not (known and known.hidden):
        counts.hidden += 1
    if record.canary:
        counts.canaries += record.times
    elif record.times:
        counts.sent += before == 0
        counts.sent_twice += before == 1
    if known is None:
        known = Crossing(record.account, record.id, record.at, 0, SENT, record.hidden, record.canary)
        state.memory.put(record.ref, known)
    known.letter = record.letter or known.letter
    known.times += record.times
    known.hidden = known.hidden or record.hidden
    return known


def take_in(account: Account, record: Offered) -> Offer:
    """Keep a customer's message until the account acknowledges it."""
    offer = Offer(record.number, record.id, record.sender, record.name, record.text, record.body, record.at)
    account.waiting[offer.id] = offer
    if account.knows is None:
        account.knows = set()
    account.knows.add(record.sender)
    return offer


def _remember(state: State, record: Remembered) -> None:
    for c in record.crossed:
        state.memory.put(c.ref, Crossing(c.account, c.id, c.at, c.times, SENT, c.hidden, c.canary, c.letter))
    for id, account in record.offers:
        state.memory.offered(id, account)
    state.memory.horizon = max(state.memory.horizon, record.horizon)


def _wait(account: Account, record: Waits) -> None:
    for offered in record.offers:
        take_in(account, offered)
    account.knows = (account.knows or set()) | set(record.knows)


def snapshot(state: State) -> list[Record]:
    """Write the whole state as the fewest records that bring it back."""
    records: list[Record] = [Founded(state.epoch, state.number)]
    for account in state.accounts.values():
        records.extend(_account(account))
    crossed = [
        Crossed(c.account, ref, c.id, 0, c.at, c.times, c.hidden, c.canary, c.letter)
        for ref, c in state.memory.crossings()
    ]
    offers = list(state.memory.offers())
    for i in range(0, max(len(crossed), len(offers), 1), _CHUNK):
        records.append(Remembered(crossed[i : i + _CHUNK], offers[i : i + _CHUNK], state.memory.horizon))
    return records


def _account(account: Account) -> Iterator[Record]:
    yield Counted(account.counts)
    if account.credentials:
        yield Linked(account.phone, account.credentials, account.former)
    if account.waiting or account.knows:
        offers = [
            Offered(account.phone, o.number, o.id, o.sender, o.name, o.text, o.body, o.at)
            for o in account.waiting.values()
        ]
        yield Waits(account.phone, offers, list(account.knows or ()))
