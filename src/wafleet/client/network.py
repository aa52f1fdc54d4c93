"""The simulated network, where wafleet runs on one: for administrators of the whole installation."""

from typing import Any

import msgspec

from wafleet.client.wire import Wire


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The network's accounts, faults and loads."""

    accounts: list[dict[str, Any]]
    linked: int
    online: int
    customers: int
    loads: int
    crossed: int
    faults: list[dict[str, Any]]


class NetworkLedger(msgspec.Struct, frozen=True, kw_only=True):
    """What crossed the network per account, counted outside wafleet."""

    accounts: list[dict[str, Any]]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It was done; `id` names what it made."""

    id: str = ""


class Network(Wire):
    """Looks at the simulated network and interferes with it. `account` is a phone; `*` means all in faults."""

    def network_status(self) -> NetworkStatus:
        """Show the network's accounts, faults and loads."""
        return self._ask(NetworkStatus, "GET /simulator")

    def network_ledger(self, *, account: str | None = None) -> NetworkLedger:
        """Count what crossed the network, per account."""
        return self._ask(NetworkLedger, "GET /simulator/ledger", account=account)

    def scan(self, account: str) -> Done:
        """Scan the QR code of an account that is being linked, as its phone would."""
        return self._ask(Done, "POST /simulator/scan/{account}", account=account)

    def say(self, customer: str, account: str, text: str, *, name: str = "") -> Done:
        """Have a customer write to an account."""
        body = {"customer": customer, "account": account, "text": text, "name": name}
        return self._ask(Done, "POST /simulator/say", body=body)

    def start_fault(self, account: str, kind: str, *, lasts_s: float | None = None) -> Done:
        """Let something go wrong in the network."""
        return self._ask(Done, "POST /simulator/faults", body={"account": account, "kind": kind, "lasts_s": lasts_s})

    def end_fault(self, account: str, kind: str) -> Done:
        """End a fault before its time."""
        return self._ask(Done, "DELETE /simulator/faults/{account}/{fault}", account=account, fault=kind)

    def start_load(self, per_second: float, *, total: int | None = None, lasts_s: float | None = None) -> Done:
        """Have customers write to every linked account at a steady rate."""
        body = {"per_second": per_second, "total": total, "lasts_s": lasts_s}
        return self._ask(Done, "POST /simulator/load", body=body)
