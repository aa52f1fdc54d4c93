"""Where orders of controllers are carried out."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from wafleet.simulator import orders
from wafleet.simulator.world import World

PAGE: Final = 20_000  # lines of a listing in one answer


class Desk:
    """Carry out orders on a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._duties: Mapping[type[Any], Callable[[Any], object]] = {
            orders.Status: lambda _: world.status(),
            orders.Scan: world.scan,
            orders.Say: world.say,
            orders.StartFault: world.start_fault,
            orders.EndFault: lambda o: world.trouble.end(o.account, o.kind),
            orders.Faults: lambda _: world.trouble.active(),
            orders.Ledger: lambda o: world.ledger(o.account),
            orders.Refs: lambda o: world.refs(o.account, o.start, PAGE),
            orders.Offers: lambda o: world.offers(o.account, o.start, PAGE),
            orders.StartLoad: world.loads.start,
            orders.StopLoad: lambda o: world.loads.stop(o.id),
            orders.Loads: lambda _: world.loads.lines(),
            orders.Customers: lambda _: world.people.lines(),
            orders.Rotate: lambda o: world.sessions.rotate(world.account(o.account)),
            orders.Passkey: self._passkey,
            orders.Adopt: world.take_over,
        }

    def carry_out(self, order: orders.Order) -> object:
        """Do what is ordered and return what there is to tell. Raises Impossible."""
        return self._duties[type(order)](order)

    def _passkey(self, order: orders.Passkey) -> None:
        self._world.linking.passkey = order.demanded
