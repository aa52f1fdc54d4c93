"""Linked devices above the network: programs that log in as devices of a phone, through an emulator of that server."""

from typing import Protocol

from wafleet.simulator.faults import Fault


class Companions(Protocol):
    """Whoever holds linked devices. Their accounts log in to this network like any other. Each returns at once."""

    def holds(self, phone: str) -> bool:
        """Tell whether an account's sessions are those of linked devices."""
        ...

    def scan(self, phone: str, qr: str) -> None:
        """Have a phone scan the QR code a device shows. Raises Impossible."""
        ...

    def enter(self, phone: str, code: str) -> None:
        """Have a phone take the pairing code a device shows. Raises Impossible."""
        ...

    def feel(self, phone: str, fault: Fault) -> bool:
        """Let devices feel a fault that strikes now; True: the network need not end their session itself."""
        ...

    def recover(self, phone: str) -> None:
        """Let devices have what did not pass while an account's line was silent: it passes again."""
        ...

    def restart(self) -> None:
        """Cut off whoever is being linked: the whole network goes away."""
        ...

    def type(self, customer: str, phone: str) -> None:
        """Show devices that a customer types to their account."""
        ...
