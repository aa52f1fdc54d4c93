"""Proof of life: asks every session now and then whether it is there, and tests those that are suspect."""

import asyncio
import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import structlog

from wafleet.accounts.live import rules
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.live import Live
from wafleet.config import KeepAliveSettings
from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.message import Text
from wafleet.engine.clock import Clock
from wafleet.transports.base import Outgoing, SendError

log = structlog.get_logger(__name__)
AGAIN_S = 2.0  # pause between tries


@dataclass(slots=True)
class _Watch:
    live: Live
    misses: int = 0


class KeepAlive:
    """A wheel of sessions by when each is asked next: an idle account costs one ping per period and nothing else."""

    def __init__(self, *, clock: Clock, settings: KeepAliveSettings, held: Mapping[AccountId, Held]) -> None:
        self._clock, self._settings, self._held = clock, settings, held
        self._wheel: list[tuple[float, int, _Watch]] = []
        self._watched: dict[AccountId, Live] = {}
        self._order = count()
        self._asking: set[asyncio.Task[None]] = set()

    async def turn(self) -> None:
        """Ask every session whose time has come."""
        self._watch_new()
        now = self._clock.monotonic()
        while self._wheel and self._wheel[0][0] <= now:
            _, _, watch = heapq.heappop(self._wheel)
            if watch.live.closed:
                continue
            task = asyncio.create_task(self._ask(watch))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _watch_new(self) -> None:
        for account, held in self._held.items():
            if held.live is not None and self._watched.get(account) is not held.live:
                self._watched[account] = held.live
                self._later(_Watch(held.live), self._period(held.live) * random.uniform(0.2, 1))
        for gone in [account for account, live in self._watched.items() if live.closed]:
            del self._watched[gone]

    async def _ask(self, watch: _Watch) -> None:
        live = watch.live
        try:
            async with asyncio.timeout(self._settings.limit_s):
                await live.session.ping()
        except (TimeoutError, ConnectionError):
            self._missed(watch)
        else:
            watch.misses = 0
            if live.capabilities.canary:
                await self._prove(live)
            elif live.capabilities.exclusive:  # of the others nothing is gained by opening them anew
                self._listen(live)
            self._later(watch, self._next(live))

    def _missed(self, watch: _Watch) -> None:
        watch.misses += 1
        if watch.live.closed:
            return
        if watch.misses >= self._settings.tries:
            log.warning("keep_alive_unanswered", account=str(watch.live.account), tries=watch.misses)
            watch.live.restart(watch.live, "silent", f"{watch.misses} keep-alives unanswered")
        self._later(watch, AGAIN_S)

    async def _prove(self, live: Live) -> None:
        now, pulse = self._clock.monotonic(), live.pulse
        verdict = rules.canary_verdict(pulse, now=now, limit=self._settings.limit_s)
        if verdict:
            pulse.canary = None
            live.restart(live, verdict, f"a message to itself did not come back within {self._settings.limit_s:g} s")
        elif pulse.canary is None and rules.suspicion(
            pulse, now=now, canary_after=self._settings.canary_after_s, receipt_lag=self._settings.receipt_lag_s
        ):
            await self._send_canary(live)

    def _listen(self, live: Live) -> None:
        now, held, lag = self._clock.monotonic(), self._held.get(live.account), self._settings.receipt_lag_s
        if held is None or held.live is not live or held.busy():
            return
        if rules.is_mute(live.pulse, now=now, receipt_lag=lag, doubted=held.doubted):
            held.doubted = now
            live.restart(live, "mute", f"no receipt came from any of {rules.PEOPLE} people within {lag:g} s")

    async def _send_canary(self, live: Live) -> None:
        live.canary = MessageId(new_id())
        live.pulse.canary = self._clock.monotonic()
        live.pulse.unreceipted = None
        try:
            await live.session.send(Outgoing(live.canary, live.number.phone, Text("wafleet canary")))
        except SendError as error:
            live.pulse.canary = None
            log.info("canary_not_sent", account=str(live.account), reason=error.reason)

    def _next(self, live: Live) -> float:
        period = self._period(live)
        return min(period, self._settings.limit_s + 0.1) if live.pulse.canary is not None else period

    def _period(self, live: Live) -> float:
        own = live.row.settings.get("keep_alive_s")
        return float(own) if isinstance(own, int | float) else self._settings.every_s

    def _later(self, watch: _Watch, seconds: float) -> None:
        heapq.heappush(self._wheel, (self._clock.monotonic() + seconds, next(self._order), watch))
