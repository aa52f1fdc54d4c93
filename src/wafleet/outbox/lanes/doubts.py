"""Messages whose send returned no answer while the session lives on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from wafleet.engine.clock import Clock
from wafleet.outbox.lanes import verdicts
from wafleet.outbox.lanes.lane import Lane
from wafleet.outbox.model import Claim, Outcome
from wafleet.transports.base import Doubt, Found, SendError

PAUSES_S: Final = (0.5, 1.0, 2.0)  # before each time the network is asked


class Doubts:
    """Asks the network about them a few times; what it still does not have is settled by a new session.

    On a live session "I do not have it" proves nothing: the message may be under way. Only a new session rules that
    out, so the session is restarted and the next one's reconciliation decides.
    """

    def __init__(self, *, clock: Clock, settle: Callable[[Lane, Outcome], Awaitable[None]]) -> None:
        self._clock, self._settle = clock, settle

    def add(self, lane: Lane, claim: Claim) -> None:
        lane.doubts[claim.id] = claim
        if lane.resolving is None or lane.resolving.done():
            lane.resolving = asyncio.create_task(self._resolve(lane))

    async def _resolve(self, lane: Lane) -> None:
        while not lane.live.closed:
            for pause in PAUSES_S:
                await self._clock.sleep(pause)
                await self._ask(lane)
                if not lane.doubts:
                    return
            lane.live.restart(lane.live, "silent", f"no answer to {len(lane.doubts)} messages")

    async def _ask(self, lane: Lane) -> None:
        doubts = list(lane.doubts.values())
        try:
            found = await lane.live.session.find([_doubt(claim) for claim in doubts])
        except SendError:
            return
        for claim in doubts:
            if claim.id not in found:
                await self._end(lane, claim, verdicts.unknown(claim, "no answer came, and the network cannot tell"))
            elif isinstance(what := found[claim.id], Found):
                await self._end(lane, claim, verdicts.found(claim, what))

    async def _end(self, lane: Lane, claim: Claim, outcome: Outcome) -> None:
        lane.doubts.pop(claim.id, None)
        await self._settle(lane, outcome)


def _doubt(claim: Claim) -> Doubt:
    return Doubt(claim.id, claim.to, claim.content, claim.since)
