"""All that the network remembers, shared by the parts of the world."""

from pathlib import Path
from random import Random

from wafleet.simulator.agenda import Agenda
from wafleet.simulator.clock import Now
from wafleet.simulator.companions import Companions
from wafleet.simulator.faults import Board
from wafleet.simulator.journal import Counted, Founded, Journal, Record
from wafleet.simulator.manners import Manners, Span
from wafleet.simulator.memory import Memory
from wafleet.simulator.model import Account


class State:
    """Accounts, what crossed, what is wrong, and what will happen."""

    def __init__(self, *, now: Now, random: Random, manners: Manners, remember: int, journal: Path | None) -> None:
        self.now, self.random, self.manners = now, random, manners
        self.agenda = Agenda(now)
        self.board = Board(now, random)
        self.memory = Memory(remember)
        self.accounts: dict[str, Account] = {}
        self.away_until = 0.0  # the whole network is away until then
        self.number = 0
        self.epoch = ""
        self.companions: Companions | None = None
        self._journal = Journal(journal) if journal else None
        self._uncounted: dict[str, Account] = {}

    @property
    def journal(self) -> Journal | None:
        return self._journal

    def account(self, phone: str) -> Account:
        """Return the account, which begins to exist if it did not."""
        found = self.accounts.get(phone)
        if found is None:
            found = self.accounts[phone] = Account(phone)
        return found

    def devices_of(self, phone: str) -> Companions | None:
        """Return whoever holds an account's linked devices; None when it has none."""
        companions = self.companions
        return companions if companions is not None and companions.holds(phone) else None

    def found(self, epoch: str) -> None:
        """Begin a new network, whose ids differ from those of any other epoch."""
        self.epoch = epoch
        self.record(Founded(epoch, self.number))

    def name(self, prefix: str) -> str:
        """Make the network's name for the next message; it is never given twice."""
        self.number += 1
        return f"{prefix}{self.epoch}{self.number:010X}"

    def span(self, span: Span) -> float:
        low, high = span
        return low + (high - low) * self.random.random() if high > low else low

    def record(self, record: Record) -> None:
        if self._journal:
            self._journal.add(record)

    def counted(self, account: Account) -> None:
        """Note that a count changed which no other record tells."""
        if self._journal:
            self._uncounted[account.phone] = account

    def commit(self) -> None:
        """Put on disk what happened, before anybody hears of it."""
        if self._journal:
            for account in self._uncounted.values():
                self._journal.add(Counted(account.counts))
            self._uncounted.clear()
            self._journal.flush()
