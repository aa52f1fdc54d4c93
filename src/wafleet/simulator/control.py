"""Control of a simulated network, typed: for the command line, the demo, and wafleet's own API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from wafleet.simulator import orders
from wafleet.simulator.client import connect_folder
from wafleet.simulator.faults import Fault
from wafleet.simulator.orders import (
    AccountLine,
    CustomerLine,
    LedgerLine,
    LoadLine,
    OfferLine,
    Order,
    RefLine,
    StatusReport,
)
from wafleet.simulator.wire import Refusal, Wire

__all__ = [
    "AccountLine",
    "Control",
    "CustomerLine",
    "Fault",
    "LedgerLine",
    "LoadLine",
    "NotDone",
    "OfferLine",
    "RefLine",
    "StatusReport",
]

_LIMIT_S = 30.0
_Page = TypeVar("_Page", RefLine, OfferLine)


class NotDone(ValueError):
    """The network did not do what was asked; the sentence says why."""


class Control:
    """Look at a network and interfere with it. Phones are E.164; every method raises NotDone or ConnectionError."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @classmethod
    async def at(cls, folder: Path) -> "Control":
        """Connect to the simulator whose folder this is. Raises NotRunning."""
        return cls(await connect_folder(folder))

    async def close(self) -> None:
        await self._wire.close()

    async def status(self) -> StatusReport:
        """Return accounts, faults and loads."""
        return await self._told(orders.Status(), StatusReport)

    async def scan(self, account: str, *, qr: str = "", code: str = "") -> None:
        """Scan the QR code of an account that is being linked; a linked device needs the text or the code it shows."""
        await self._told(orders.Scan(account, qr, code), None)

    async def passkey(self, demanded: bool) -> None:
        """Have phones ask for a passkey when they are linked, or no longer."""
        await self._told(orders.Passkey(demanded), None)

    async def rotate(self, account: str) -> None:
        """Give an account new credentials, as the network does now and then."""
        await self._told(orders.Rotate(account), None)

    async def adopt(self, account: str) -> bytes:
        """Give an account to a provider: it is linked without a QR code. Returns its credentials."""
        try:
            return await self._wire.command(orders.Adopt(account), _LIMIT_S)
        except Refusal as e:
            raise NotDone(e.detail) from e

    async def say(
        self, customer: str, account: str, text: str, *, name: str = "", body: dict[str, Any] | None = None
    ) -> str:
        """Have a customer write to an account; return the message's id."""
        return await self._told(orders.Say(customer, account, text, name, body), str)

    async def start_fault(
        self,
        account: str,
        kind: str,
        *,
        lasts: float | None = None,
        seconds: float | None = None,
        share: float = 1.0,
        detail: str = "",
    ) -> Fault:
        """Start a fault of `FAULTS` on one account, or on all with `*`."""
        return await self._told(orders.StartFault(account, kind, lasts, seconds, share, detail), Fault)

    async def end_fault(self, account: str, kind: str) -> None:
        """End a fault before its time."""
        await self._told(orders.EndFault(account, kind), Fault)

    async def faults(self) -> list[Fault]:
        """List the faults under way."""
        return await self._told(orders.Faults(), list[Fault])

    async def restart(self, away_s: float = 3.0) -> None:
        """Restart the whole network: every session drops, and none opens for so long."""
        await self.start_fault("*", "restart", lasts=away_s)

    async def ledger(self, account: str | None = None) -> list[LedgerLine]:
        """Return what crossed the network, one line per account."""
        return await self._told(orders.Ledger(account), list[LedgerLine])

    async def refs(self, account: str) -> list[RefLine]:
        """List what an account sent, by its own names, oldest first."""
        return await self._pages(account, orders.Refs, RefLine)

    async def offers(self, account: str) -> list[OfferLine]:
        """List what customers wrote to an account, oldest first."""
        return await self._pages(account, orders.Offers, OfferLine)

    async def start_load(
        self,
        rate: float,
        *,
        accounts: Sequence[str] | None = None,
        total: int | None = None,
        lasts: float | None = None,
        customers: int = 10,
    ) -> LoadLine:
        """Have customers write `rate` messages a second to these accounts, or to all linked ones."""
        order = orders.StartLoad(rate, None if accounts is None else list(accounts), total, lasts, customers)
        return await self._told(order, LoadLine)

    async def stop_load(self, id: int | None = None) -> None:
        """End one load, or all."""
        await self._told(orders.StopLoad(id), None)

    async def loads(self) -> list[LoadLine]:
        return await self._told(orders.Loads(), list[LoadLine])

    async def customers(self) -> list[CustomerLine]:
        """List the customers that live by a scenario."""
        return await self._told(orders.Customers(), list[CustomerLine])

    async def _told(self, order: Order, kind: Any) -> Any:
        try:
            value = await self._wire.command(order, _LIMIT_S)
        except Refusal as e:
            raise NotDone(e.detail) from e
        return msgspec.convert(value, kind)

    async def _pages(
        self, account: str, order: type[orders.Refs] | type[orders.Offers], kind: type[_Page]
    ) -> list[_Page]:
        found: list[_Page] = []
        while page := await self._told(order(account, len(found)), list[kind]):
            found += page
        return found
