"""An account this node holds the lease of."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from wafleet.accounts.live.live import Live
from wafleet.accounts.live.store import Row
from wafleet.domain.account import State
from wafleet.engine.leases import Lease


@dataclass(slots=True, eq=False)
class Held:
    """What the node keeps of an account between two of its changes; nothing runs while nothing happens."""

    row: Row
    lease: Lease
    live: Live | None = None
    secret: bytes = b""  # decrypted credentials of the live session
    failures: int = 0
    writes: int = 0  # state writes of ours, so that an older read does not undo what we know
    dropped: bool = False  # the lease is gone: touch nothing
    link_under_way: bool = False
    note: tuple[State, str, str] | None = None  # what its lane says of it and is not written: state, reason, detail
    keeping: asyncio.Task[None] | None = None  # credentials being stored
    work: asyncio.Task[None] | None = field(default=None)

    def busy(self) -> bool:
        """Whether something is under way; whoever does it looks at the account again when it ends."""
        return self.work is not None and not self.work.done()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start the one thing that is done with this account at a time."""
        self.work = asyncio.create_task(work, name=f"account {self.row.id}")
        return self.work
