"""What is heard, on a session or in a call, on its way to whoever stores it."""

import asyncio

from wafleet.accounts import Live, Said, Signs
from wafleet.domain.ids import AccountId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.inbox.accept import Inbox
from wafleet.inbox.gaps import Gaps
from wafleet.inbox.webhooks.service import Takers
from wafleet.outbox import Lanes
from wafleet.transports.calls import Sign


class SessionTraffic:
    """Hands what sessions hear to the slices that store it."""

    def __init__(self, inbox: Inbox, lanes: Lanes, gaps: Gaps) -> None:
        self._inbox, self._lanes, self._gaps = inbox, lanes, gaps

    def received(self, live: Live, inbound: Inbound) -> "asyncio.Future[bool]":
        return self._inbox.accept(live.tenant, live.account, inbound)

    def receipt(self, live: Live, receipt: Receipt) -> None:
        self._lanes.receipt(live, receipt)

    async def opened(self, live: Live) -> None:
        await self._lanes.opened(live)
        self._gaps.look(live)

    def closed(self, live: Live) -> None:
        self._lanes.closed(live)
        self._gaps.leave(live)


def takers(inbox: Inbox, lanes: Lanes, signs: Signs) -> Takers:
    """Return who stores what calls say."""

    def sign(account: AccountId, transport: str, said: Sign) -> "asyncio.Future[bool]":
        return signs.batch.put(Said(account, transport, said))

    return Takers(inbox.accept, lanes.heard, sign, lambda: len(inbox))
