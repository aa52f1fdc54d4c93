"""One account's lane on this node: what is on the wire, how fast it may go, what stands in doubt."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wafleet.accounts import Live, Pace
from wafleet.domain.ids import MessageId
from wafleet.outbox.lanes import pacing
from wafleet.outbox.lanes.pacing import Allowance, Gauge
from wafleet.outbox.lanes.reach import Reach
from wafleet.outbox.model import Claim


@dataclass(slots=True, eq=False)
class Lane:
    """Exists while the account's session does; knows nothing that the database does not, but for the pace."""

    live: Live
    pace: Pace
    gauge: Gauge
    reach: Reach | None = None  # with how many people it may begin to talk today; None: no limit
    sends: dict[MessageId, "asyncio.Task[None]"] = field(default_factory=dict[MessageId, "asyncio.Task[None]"])
    doubts: dict[MessageId, Claim] = field(default_factory=dict[MessageId, Claim])  # sent maybe: being looked up
    resolving: "asyncio.Task[None] | None" = None
    troubled: str = ""  # why the account was called degraded by this lane
    again: bool = False  # something may wait for what is on the wire: claim again once that is settled
    noted: tuple[str, datetime | None] = ("", None)  # why it waits and until when, as last noted
    ready: bool = False  # what earlier sessions left is settled

    def allowance(self, now: datetime) -> Allowance:
        """Say how many messages may be claimed now."""
        window = self.live.capabilities.window - len(self.sends) - len(self.doubts)
        if not self.ready or not self.live.usable or window <= 0:
            return Allowance(0)
        return pacing.allow(self.pace, self.gauge, window=window, age=self.age(now), now=now)

    def age(self, now: datetime) -> timedelta:
        return now - self.live.row.created_at
