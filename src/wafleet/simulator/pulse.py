"""Real time: wake the world when something is due, with one timer for all of it."""

import asyncio
from typing import Final

from wafleet.simulator.world import World

_SHORTEST_S: Final = 0.004  # happenings this close together share one wake-up


class Pulse:
    """Keep a world going on the running event loop until stopped."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._beating = False
        world.agenda.sooner = self._arm
        self._arm()

    @classmethod
    def keep(cls, world: World) -> "Pulse":
        """Return the pulse that keeps this world going on this loop; there is one, however many ask."""
        owner = getattr(world.agenda.sooner, "__self__", None)
        if isinstance(owner, cls) and owner.loop is asyncio.get_running_loop():
            return owner
        return cls(world)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        due = self._world.agenda.next_due
        if due is None or self._beating or (self._timer and self._due <= due + _SHORTEST_S):
            return
        if self._timer:
            self._timer.cancel()
        self._due = due
        self._timer = self.loop.call_later(max(due - self._world.clock(), 0.0) + _SHORTEST_S, self._beat)

    def _beat(self) -> None:
        self._timer, self._beating = None, True
        try:
            self._world.tick()
        finally:
            self._beating = False
            self._arm()
