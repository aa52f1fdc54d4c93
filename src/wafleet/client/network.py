"""The simulated network, where the installation uses it: look at it, and let things go wrong."""

from wafleet.client.fleet_answers import NetworkDone, NetworkLedger, NetworkStatus
from wafleet.client.wire import Wire


class Network(Wire):
    """The simulated network's controls, for those who reach the whole fleet. `account` is a phone, or * for all."""

    def network(self) -> NetworkStatus:
        """Show the network's accounts, faults and loads."""
        return self._ask(NetworkStatus, "GET /simulator")

    def network_ledger(self, account: str | None = None) -> NetworkLedger:
        """Count what crossed the network per account, outside wafleet."""
        return self._ask(NetworkLedger, "GET /simulator/ledger", account=account)

    def scan(self, account: str, *, qr: str = "", code: str = "") -> NetworkDone:
        """Scan the QR code of an account that is being linked; a linked device needs the text or the code it shows."""
        body = {"qr": qr, "code": code}
        return self._ask(NetworkDone, "POST /simulator/scan/{account}", body=body, account=account)

    def say(self, customer: str, account: str, text: str, *, name: str = "") -> NetworkDone:
        """Have a customer write to an account."""
        body = {"customer": customer, "account": account, "text": text, "name": name}
        return self._ask(NetworkDone, "POST /simulator/say", body=body)

    def start_fault(
        self,
        account: str,
        kind: str,
        *,
        lasts_s: float | None = None,
        seconds: float | None = None,
        share: float = 1.0,
        detail: str = "",
    ) -> NetworkDone:
        """Let something go wrong, for a time or for as long as this kind usually does."""
        how = {"lasts_s": lasts_s, "seconds": seconds, "share": share, "detail": detail}
        body = {"account": account, "kind": kind, **how}
        return self._ask(NetworkDone, "POST /simulator/faults", body=body)

    def end_fault(self, account: str, kind: str) -> NetworkDone:
        """End a fault before its time."""
        return self._ask(NetworkDone, "DELETE /simulator/faults/{account}/{kind}", account=account, kind=kind)

    def start_load(self, per_second: float, *, total: int | None = None, lasts_s: float | None = None) -> NetworkDone:
        """Have customers write to every linked account at a steady rate."""
        body = {"per_second": per_second, "total": total, "lasts_s": lasts_s}
        return self._ask(NetworkDone, "POST /simulator/load", body=body)
