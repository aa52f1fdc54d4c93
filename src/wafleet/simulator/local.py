"""The client without a wire: the world lives in this process. For tests and for trying things out."""

from collections.abc import Sequence

from wafleet.simulator.clock import ManualClock
from wafleet.simulator.frames import Message
from wafleet.simulator.pulse import Pulse
from wafleet.simulator.switchboard import Line
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World


class Local(Wire):
    """A connection to a world in this process. A world on a real clock is kept going; a manual one is the caller's."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._line = Line(world, self._deliver, self._loop.call_soon)
        self._pulse = None if isinstance(world.clock, ManualClock) else Pulse.keep(world)

    async def close(self) -> None:
        """Say what is still to be said, then close."""
        self._flush()
        self.cut()

    def cut(self) -> None:
        """Break the connection, as a crash of either side would."""
        if self.alive:
            self._line.lost()
            self._lose()

    def _carry(self, messages: Sequence[Message]) -> None:
        self._line.take(messages)

    def _deliver(self, messages: Sequence[Message]) -> None:
        if self.alive:
            self._take(messages)
