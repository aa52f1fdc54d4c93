"""An account this node holds the lease of."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
    failures: int = 0  # in a row, without a session that lasted
    online_at: float | None = None  # monotonic; when its session came online last
    writes: int = 0  # state writes of ours, so that an older read does not undo what we know
    stale: bool = False  # what we know of it was no longer so when we wrote: it is read anew first
    lapsed: bool = False  # its session was closed since this node is not sure of the lease any more
    dropped: bool = False  # the lease is gone: touch nothing
    link_under_way: bool = False
    link_deadline: datetime | None = None  # of the attempt to link that was begun here last: each has its own
    proven: bool = False  # its credentials opened a session, and the network has not ended that for good
    doubted: float = float("-inf")  # monotonic; when its session was last opened anew since receipts stayed away
    note: tuple[State, str, str] | None = None  # what its lane says of it and is not written: state, reason, detail
    renewed: bytes | None = None  # credentials that are not stored yet
    stored: bytes = b""  # the last that were stored after the session was closed
    rest_until: float = 0.0  # monotonic; nothing is tried with an account at rest before
    keeping: asyncio.Task[None] | None = None  # credentials being stored
    work: asyncio.Task[None] | None = field(default=None)

    def busy(self) -> bool:
        """Whether something is under way; whoever does it looks at the account again when it ends."""
        return self.work is not None and not self.work.done()

    def lasted(self, now: float) -> timedelta:
        """Return how long the session that has ended was online; asked again, nothing."""
        since, self.online_at = self.online_at, None
        return timedelta() if since is None else timedelta(seconds=now - since)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start the one thing that is done with this account at a time."""
        self.work = asyncio.create_task(work, name=f"account {self.row.id}")
        return self.work
