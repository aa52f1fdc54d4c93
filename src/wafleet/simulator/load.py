"""Load: customers who write at a steady rate, each message numbered within its conversation."""

from collections.abc import Sequence

from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.model import Account, Impossible
from wafleet.simulator.orders import LoadLine, StartLoad
from wafleet.simulator.state import State

_STEP_S = 0.02
_PER_STEP = 5_000  # messages, so that no rate keeps the network from everything else


class Load:
    """One load under way. Its n-th message of a conversation reads `load ID #n`, counted from 1."""

    def __init__(self, id: int, order: StartLoad, accounts: Sequence[Account], now: float) -> None:
        self.id, self.rate, self.accounts, self.customers = id, order.rate, accounts, order.customers
        self.began, self.until = now, None if order.lasts is None else now + order.lasts
        self.total = order.total
        self.said, self.running = 0, True

    def due(self, now: float) -> int:
        """How many messages should have been said by now and have not."""
        end = now if self.until is None else min(now, self.until)
        due = int((end - self.began) * self.rate + 1e-6)
        return (due if self.total is None else min(due, self.total)) - self.said

    def is_over(self, now: float) -> bool:
        said_all = self.total is not None and self.said >= self.total
        return said_all or (self.until is not None and now >= self.until)

    def next(self) -> tuple[Account, str, str]:
        """Choose who writes to whom, and what: every account in turn, then the next customer of each."""
        turn, place = divmod(self.said, len(self.accounts))
        number, customer = divmod(turn, self.customers)
        account = self.accounts[place]
        self.said += 1
        return account, f"+888{account.phone[-7:]}{customer:03d}", f"load {self.id} #{number + 1}"

    def line(self) -> LoadLine:
        left = None if self.total is None else self.total - self.said
        return LoadLine(
            id=self.id, rate=self.rate, accounts=len(self.accounts), said=self.said, left=left, running=self.running
        )


class Loads:
    """The loads under way, and the newest that are over."""

    def __init__(self, state: State, deliveries: Deliveries) -> None:
        self._state, self._deliveries = state, deliveries
        self._loads: dict[int, Load] = {}
        self._last = 0

    @property
    def running(self) -> int:
        return sum(load.running for load in self._loads.values())

    def start(self, order: StartLoad) -> LoadLine:
        """Begin a load. Raises Impossible without accounts, a rate, or an end."""
        if order.rate <= 0 or order.customers < 1:
            raise Impossible("A load needs a rate above 0 and at least one customer per account")
        if order.total is None and order.lasts is None:
            raise Impossible("A load needs an end: a total or a time")
        self._last += 1
        load = Load(self._last, order, self._accounts(order.accounts), self._state.now())
        self._loads[load.id] = load
        for old in [id for id, one in self._loads.items() if not one.running][:-100]:
            del self._loads[old]
        self._state.agenda.after(_STEP_S, self._step, load)
        return load.line()

    def stop(self, id: int | None) -> None:
        """End one load, or all."""
        if id is not None and id not in self._loads:
            raise Impossible(f"There is no load {id}")
        for load in self._loads.values() if id is None else [self._loads[id]]:
            load.running = False

    def lines(self) -> list[LoadLine]:
        return [load.line() for load in self._loads.values()]

    def _accounts(self, phones: list[str] | None) -> list[Account]:
        accounts = self._state.accounts
        unknown = [p for p in phones or () if p not in accounts]
        if unknown:
            raise Impossible(f"No account {unknown[0]} in this network: link it first")
        chosen = [accounts[p] for p in phones] if phones else [a for a in accounts.values() if a.credentials]
        if not chosen:
            raise Impossible("No account is linked that customers could write to")
        return chosen

    def _step(self, load: Load) -> None:
        if not load.running:
            return
        now = self._state.now()
        for _ in range(min(load.due(now), _PER_STEP)):
            account, customer, text = load.next()
            self._deliveries.offer(account, customer, "", text)
        if load.is_over(now) and not load.due(now):
            load.running = False
        else:
            self._state.agenda.after(_STEP_S, self._step, load)
