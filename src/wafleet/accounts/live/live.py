"""A live session as the slices above see it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from wafleet.accounts.live.rules import Pulse
from wafleet.accounts.live.store import Row
from wafleet.domain.ids import AccountId, MessageId, TenantId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.engine.leases import Lease
from wafleet.transports.base import Capabilities, Number, Session


@dataclass(slots=True, eq=False)
class Live:
    """One account's session on this node, together with the lease that permits it."""

    row: Row
    number: Number
    transport: str  # which it was opened on; its account may have moved since
    lease: Lease
    capabilities: Capabilities
    pulse: Pulse
    sure: Callable[[], bool]  # whether this node's leases certainly hold at this moment
    restart: Callable[["Live", str, str], None]  # (live, reason, detail): close it and open it anew
    trouble: Callable[["Live", str, str], None]  # (live, reason, detail): say it is degraded; "" says it is well
    session: Session = field(init=False)
    closed: bool = False
    ended: tuple[str, str, datetime | None] | None = None  # why the network ended it
    phone_seen: datetime | None = None  # when the phone itself was last in touch; None once that is stored
    canary: MessageId | None = None  # the message to itself that is under way

    @property
    def account(self) -> AccountId:
        return self.row.id

    @property
    def tenant(self) -> TenantId:
        return self.row.tenant_id

    def opened(self) -> Session | None:
        """Return the session once there is one."""
        return getattr(self, "session", None)

    @property
    def usable(self) -> bool:
        """Whether something may be sent right now."""
        return not self.closed and self.sure()


class Traffic(Protocol):
    """What the slices above do with live sessions; `app` hands it down."""

    def received(self, live: Live, inbound: Inbound) -> "asyncio.Future[bool]":
        """Store a customer's message; the answer comes after the commit."""
        ...

    def receipt(self, live: Live, receipt: Receipt) -> None: ...

    async def opened(self, live: Live) -> None:
        """Settle what an earlier session left under way; afterwards the account counts as online."""
        ...

    def closed(self, live: Live) -> None: ...
