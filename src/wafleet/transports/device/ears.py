"""What one account in a worker process tells our side, and how it ends."""

from enum import StrEnum
from typing import Protocol


class Why(StrEnum):
    """Why a client is no longer there."""

    CRASHED = "crashed"  # its process ended by itself
    DISK = "disk"  # its process could not write into the account's folder, and ended itself
    STUCK = "stuck"  # its process stood still and was killed
    MEMORY = "memory"  # its process took more memory than it may and was ended
    LIFETIME = "lifetime"  # its process was old enough; ended in good order, to be opened again at once
    GARBLED = "garbled"  # its process said what no worker says, or far too much, and was killed
    STOPPED = "stopped"  # we ended it: nobody is told


class Gone(Exception):
    """The client ended before the call was answered.

    named    the network's id of the message of this call. Empty: it never left this machine, and never will
    crashed  its worker died meanwhile, perhaps over this very call
    """

    def __init__(self, why: str, named: str = "", *, crashed: bool = False) -> None:
        super().__init__(why)
        self.named, self.crashed = named, crashed


class NoAnswer(Exception):
    """The call was not answered in time.

    named  the network's id of the message of this call. Empty: it never left this machine, and never will
    """

    def __init__(self, why: str, named: str = "") -> None:
        super().__init__(why)
        self.named = named


class Unable(Exception):
    """The worker cannot make this call: not connected for the first time yet, an unknown name, or wrong arguments."""


class ClientEars(Protocol):
    """Hears what happens to one client. Plain calls on the event loop, in order; each must return at once."""

    def event(self, code: int, data: bytes, seq: int) -> None:
        """Take one event of the library, serialized; codes 17 and 44 stay in the spool until `Client.stored`.

        seq  its number in the spool, rising, and used again once the spool is empty; 0 where it is not spooled
        """
        ...

    def qr(self, text: str) -> None:
        """Show this QR code instead of the one before."""
        ...

    def named(self, ref: str, id: str) -> None:
        """Learn the network's name of a message of ours, before it goes out; it is in the journal by then."""
        ...

    def swallowed(self, id: str, sender: str) -> None:
        """Learn that a message came and the library made nothing of it; it waits for `Client.stored` like others."""
        ...

    def noticed(self, xml: str) -> None:
        """Read a stanza that the library may tell nobody about: failure, stream error, passkey, `<ib>`."""
        ...

    def returned(self, error: str) -> None:
        """Learn that the library's own main call ended: empty after a stop, else what it says went wrong."""
        ...

    def gone(self, why: Why, detail: str) -> None:
        """Learn that the client ended by itself. Called once, last, and not after `Client.stop` or `Client.kill`."""
        ...
