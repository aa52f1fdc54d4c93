"""The ears of one session: what the network says, handed to the slices above."""

import asyncio
from datetime import datetime
from typing import Final, Protocol

from wafleet.accounts.live.live import Live, Traffic
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.transports.calls import Sign

OPENING_S: Final = 0.05


class Host(Protocol):
    """Who looks after a session's life."""

    def ended(self, live: Live, reason: str, detail: str, until: datetime | None) -> None: ...

    def renewed(self, live: Live, secret: bytes) -> None: ...

    def signed(self, live: Live, sign: Sign) -> None: ...

    def now(self) -> float: ...


class Ears:
    """Hears one session. A customer's message is acknowledged to the network only once it is stored."""

    def __init__(self, live: Live, traffic: Traffic, host: Host) -> None:
        self._live, self._traffic, self._host = live, traffic, host

    def received(self, inbound: Inbound) -> None:
        live = self._live
        live.pulse.inbound = self._host.now()
        if inbound.identity == live.number.phone:  # a canary came home
            live.pulse.canary, live.pulse.canary_seen = None, live.pulse.inbound
            self._tell(inbound.provider_id)
            return
        stored = self._traffic.received(live, inbound)
        stored.add_done_callback(lambda answer: self._acknowledge(answer, inbound.provider_id))

    def receipt(self, receipt: Receipt) -> None:
        live = self._live
        live.pulse.receipted(self._host.now())
        if receipt.message is None or receipt.message != live.canary:
            self._traffic.receipt(live, receipt)

    def phone_seen(self, at: datetime) -> None:
        self._live.phone_seen = at

    def sign(self, sign: Sign) -> None:
        self._host.signed(self._live, sign)

    def credentials(self, secret: bytes) -> None:
        self._host.renewed(self._live, secret)

    def closed(self, reason: str, detail: str = "", until: datetime | None = None) -> None:
        self._host.ended(self._live, reason, detail, until)

    def _acknowledge(self, answer: "asyncio.Future[bool]", provider_id: str) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._tell(provider_id)

    def _tell(self, provider_id: str) -> None:
        """Acknowledge to the network; what is not acknowledged it delivers again."""
        if self._live.closed:
            return
        if (session := self._live.opened()) is not None:
            session.acknowledge([provider_id])
        else:  # it arrived in one breath with the answer that opens the session
            asyncio.get_running_loop().call_later(OPENING_S, self._tell, provider_id)
