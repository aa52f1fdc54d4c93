"""From customers to accounts: kept until acknowledged, pushed in order, pushed again when nobody acknowledges."""

from collections.abc import Sequence
from typing import Any

from wafleet.simulator.frames import Said
from wafleet.simulator.journal import Offered, Received
from wafleet.simulator.model import Account, Offer, Session
from wafleet.simulator.restore import take_in
from wafleet.simulator.state import State

_PAUSE_S = 1.0  # between two looks at a session that does not hear


class Deliveries:
    """Push what customers write to the session of their account."""

    def __init__(self, state: State) -> None:
        self._state = state

    def offer(
        self, account: Account, sender: str, name: str, text: str, body: dict[str, Any] | None = None, *, id: str = ""
    ) -> str:
        """Take one message of a customer; return its id. It waits until the account acknowledges it.

        id  what the network calls it already, where an account wrote it: both sides know it by one name. One that
            crosses again under the same name is another message here, so that the ledger counts it twice.
        """
        state = self._state
        if not id or state.memory.has_offered(id):
            id = state.name("3A")
        record = Offered(account.phone, state.number, id, sender, name, text, body, state.now())
        state.record(record)
        state.memory.offered(id, account.phone)
        account.counts.offered += 1
        offer = take_in(account, record)
        session = account.session
        if session is not None and session.live:
            session.backlog.append(offer)
            self.push(session)
        return id

    def resume(self, session: Session) -> None:
        """Begin a session: everything unacknowledged is pushed, and receipts that found nobody."""
        session.backlog.extend(session.account.waiting.values())
        self.push(session)
        self.catch_up(session)

    def catch_up(self, session: Session) -> None:
        """Tell the receipts that found no session which hears."""
        late = session.account.late
        while late and session.hears:
            receipt = late.popleft()
            receipt.session = session.number
            session.emit(receipt)

    def push(self, session: Session) -> None:
        """Push what has not been pushed in this session, as far as the limit of unacknowledged ones allows."""
        backlog, pushed, waiting = session.backlog, session.pushed, session.account.waiting
        limit = self._state.manners.unacknowledged
        while backlog and len(pushed) < limit and session.hears:
            offer = backlog.popleft()
            if offer.id in waiting:
                self._say(session, offer)

    def acknowledge(self, session: Session, ids: Sequence[str]) -> None:
        """Take the account's word that these are stored; a session that has ended gives no such word."""
        if not session.live or session.silent:
            return
        account, pushed = session.account, session.pushed
        taken = [id for id in ids if account.waiting.pop(id, None)]
        for id in ids:
            pushed.pop(id, None)
        if taken:
            account.counts.received += len(taken)
            self._state.record(Received(account.phone, taken))
        if session.backlog:
            self.push(session)

    def echo(self, account: Account, id: str, text: str, body: dict[str, Any] | None) -> None:
        """Bring an account's message to itself back to it, once; it is not kept."""
        session = account.session
        if session is not None and session.hears:
            session.emit(Said(session.number, id, account.phone, "", text, body, self._state.now()))

    def _say(self, session: Session, offer: Offer) -> None:
        state, account = self._state, session.account
        session.pushed[offer.id] = state.now()
        times = 2 if state.board.any and state.board.hits(account.phone, "duplicates") else 1
        for _ in range(times):
            session.emit(Said(session.number, offer.id, offer.sender, offer.name, offer.text, offer.body, offer.at))
        repeated = times - (offer.pushes == 0)
        offer.pushes += times
        if repeated:
            account.counts.repeated += repeated
            state.counted(account)
        if not session.checking:
            session.checking = True
            state.agenda.after(state.manners.redeliver_s, self._check, session)

    def _check(self, session: Session) -> None:
        session.checking = False
        if not session.live or not session.pushed:
            return
        state, waiting = self._state, session.account.waiting
        overdue = state.now() - state.manners.redeliver_s
        again = [id for id, at in session.pushed.items() if at <= overdue and session.hears]
        session.checking = True
        for id in again:
            if id in waiting:
                self._say(session, waiting[id])
        due = min(session.pushed.values()) + state.manners.redeliver_s
        state.agenda.at(max(due, state.now() + _PAUSE_S), self._check, session)
