"""A whole WhatsApp network in memory, with a ledger of every message that crossed it."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from wafleet.simulator.behaviour import People, Persona
from wafleet.simulator.clock import ManualClock, Now, steady
from wafleet.simulator.companions import Companions
from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.faults import Fault
from wafleet.simulator.linking import Linking
from wafleet.simulator.load import Loads
from wafleet.simulator.manners import Manners
from wafleet.simulator.model import PHONE, Account, Impossible
from wafleet.simulator.orders import (
    AccountLine,
    Adopt,
    LedgerLine,
    OfferLine,
    RefLine,
    Say,
    Scan,
    StartFault,
    StatusReport,
)
from wafleet.simulator.restore import restore, snapshot
from wafleet.simulator.sending import Sending
from wafleet.simulator.sessions import Sessions
from wafleet.simulator.state import State
from wafleet.simulator.trouble import Trouble

_REWRITE_AT: Final = 64 * 1024 * 1024  # bytes of journal

_NOBODY: Final = (
    "Nobody is linking {} now: start linking it, then scan; for a linked device give what it shows, "
    "the text in its QR code with --qr or its pairing code with --code"
)

_Line = TypeVar("_Line")


class World:
    """Accounts, customers and faults. It stands still until `tick`: whoever owns it calls that when something is due.

    seed      makes all chances repeat; None draws a new one
    clock     returns seconds; with a `ManualClock`, `advance` moves it
    journal   file that keeps accounts, undelivered messages and the ledger through a crash; None keeps nothing
    remember  at least so many of the newest messages in each direction can be found and listed; counts never forget
    """

    def __init__(
        self,
        *,
        seed: int | None = 0,
        clock: Now | None = None,
        manners: Manners | None = None,
        journal: Path | None = None,
        remember: int = 250_000,
    ) -> None:
        random = Random(seed)
        self.clock = clock or steady()
        self._state = State(
            now=self.clock, random=random, manners=manners or Manners(), remember=remember, journal=journal
        )
        self.agenda, self.board, self.commit = self._state.agenda, self._state.board, self._state.commit
        self.deliveries = Deliveries(self._state)
        self.sessions = Sessions(self._state, self.deliveries)
        self.people = People(self._state, self.deliveries)
        self.sending = Sending(self._state, self.deliveries, self.people.heard)
        self.linking = Linking(self._state, self.sessions)
        self.trouble = Trouble(self._state, self.sessions, self.linking, self.deliveries)
        self.loads = Loads(self._state, self.deliveries)
        self._begin()

    def _begin(self) -> None:
        fresh = restore(self._state)
        if not self._state.epoch:
            journal = self._state.journal
            self._state.found((os.urandom(2) if journal else self._state.random.randbytes(2)).hex().upper())
            self.commit()
        self.sending.follow_again(fresh)
        self._rewrite_at = _REWRITE_AT
        self.tick()

    def adopt(self, companions: Companions | None) -> None:
        """Let linked devices take part, or no longer."""
        self._state.companions = companions

    @property
    def random(self) -> Random:
        return self._state.random

    def tick(self) -> None:
        """Let everything happen that is due, and put it on disk."""
        self.agenda.run_due()
        self.commit()
        journal = self._state.journal
        if journal and journal.size > self._rewrite_at:
            self._rewrite_at = 2 * journal.size  # should it fail, it is tried again when the journal has doubled
            self.rewrite()

    def rewrite(self) -> None:
        """Write the journal short: what the network is, instead of how it came to be so."""
        journal = self._state.journal
        if journal:
            self.commit()
            journal.rewrite(snapshot(self._state))
            self._rewrite_at = max(_REWRITE_AT, 4 * journal.size)

    def advance(self, seconds: float) -> None:
        """Move a manual clock, stopping at every happening on the way. Raises TypeError with any other clock."""
        clock = self.clock
        if not isinstance(clock, ManualClock):
            raise TypeError("only a manual clock can be moved")
        end = clock() + seconds
        while (due := self.agenda.next_due) is not None and due <= end:
            clock.set(due)
            self.tick()
        clock.set(end)

    def close(self) -> None:
        """Write what is left and close the journal."""
        self.commit()
        if self._state.journal:
            self._state.journal.close()

    def account(self, phone: str) -> Account:
        """Return an account. Raises Impossible when it was never linked here."""
        found = self._state.accounts.get(phone)
        if found is None:
            raise Impossible(f"No account {phone} in this network: link it first")
        return found

    def link(self, phone: str) -> bytes:
        """Link an account at once, without a QR code; return its credentials."""
        return self.sessions.link(self._state.account(phone))

    def take_over(self, order: Adopt) -> bytes:
        """Give an account to a provider; return its credentials. Raises Impossible."""
        if not PHONE.fullmatch(order.account):
            raise Impossible(f"{order.account} is not a phone number")
        account = self._state.account(order.account)
        account.provided = True
        return account.credentials or self.sessions.link(account)

    def scan(self, order: Scan) -> None:
        """Have a phone confirm that it is linked. Raises Impossible."""
        companions = self._state.companions
        if order.account in self.linking.phones:
            self.linking.scan(order.account, qr=order.qr, code=order.code)
        elif not (order.qr or order.code):
            raise Impossible(_NOBODY.format(order.account))
        elif companions is None:
            raise Impossible("No linked device can be here: run this network with `wafleet sim device`")
        elif order.qr:
            companions.scan(order.account, order.qr)
        else:
            companions.enter(order.account, order.code)

    def say(self, order: Say) -> str:
        """Have a customer write to an account; return the message's id."""
        return self.deliveries.offer(self.account(order.account), order.customer, order.name, order.text, order.body)

    def add(self, persona: Persona) -> None:
        """Let a customer live."""
        self.people.add(persona)

    def start_fault(self, order: StartFault) -> Fault:
        return self.trouble.start(order)

    @property
    def phones(self) -> list[str]:
        """Every account there is, whether linked now or not."""
        return list(self._state.accounts)

    def ledger(self, account: str | None = None) -> list[LedgerLine]:
        """Return what crossed the network, one line per account."""
        return [_line(a) for a in ([self.account(account)] if account else self._state.accounts.values())]

    def refs(self, account: str, start: int = 0, limit: int | None = None) -> list[RefLine]:
        """List the remembered messages of an account, oldest first; canaries are left out."""
        found = (
            RefLine(ref, c.times, c.hidden, c.state, c.at)
            for ref, c in self._state.memory.crossings()
            if c.account == account and not c.canary
        )
        return _slice(found, start, limit)

    def has_crossed(self, account: str, ref: bytes) -> bool:
        """Tell whether a message of an account, by the account's own name for it, has crossed already."""
        crossing = self._state.memory.get(ref)
        return crossing is not None and crossing.account == account and crossing.times > 0

    def offers(self, account: str, start: int = 0, limit: int | None = None) -> list[OfferLine]:
        """List the remembered messages that customers wrote to an account, oldest first."""
        waiting = self.account(account).waiting
        found = (OfferLine(id, id not in waiting) for id, a in self._state.memory.offers() if a == account)
        return _slice(found, start, limit)

    def status(self) -> StatusReport:
        """Return what is there and what is wrong."""
        faults, linking = self.trouble.active(), self.linking.phones
        accounts = [_account(a, faults, a.phone in linking) for a in self._state.accounts.values()]
        accounts += [
            AccountLine(account=p, linked=False, online=False, linking=True, waiting=0, faults=[])
            for p in linking
            if p not in self._state.accounts
        ]
        counts = [a.counts for a in self._state.accounts.values()]
        return StatusReport(
            now=self.clock(),
            pid=os.getpid(),
            accounts=accounts,
            linked=sum(a.linked for a in accounts),
            online=sum(a.online for a in accounts),
            customers=self.people.count,
            loads=self.loads.running,
            crossed=sum(c.sent + c.sent_twice + c.offered for c in counts),
            faults=faults,
        )


def _line(account: Account) -> LedgerLine:
    account.counts.waiting = len(account.waiting)
    return account.counts


def _account(account: Account, faults: list[Fault], linking: bool) -> AccountLine:
    session = account.session
    return AccountLine(
        account=account.phone,
        linked=account.credentials is not None,
        online=session is not None and session.live,
        linking=linking,
        waiting=len(account.waiting),
        faults=[f.kind for f in faults if f.account in (account.phone, "*")],
    )


def _slice(found: Iterator[_Line], start: int, limit: int | None) -> list[_Line]:
    return list(islice(found, start, None if limit is None else start + limit))
