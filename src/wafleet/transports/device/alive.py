"""How this node's workers learn that it lives: without its word, another node may run their accounts before long.

A node that is killed takes its workers along. One that merely stands still (stopped, or starved of processor time)
loses its leases and notices nothing, and so would its workers: they would keep their sockets while another node opens
the same accounts. So they share a moment in memory until which they may go on, and end themselves when it has come.
This node moves it on with one timer, whatever their number.
"""

import asyncio
import mmap
import os
import time
from typing import Final

PATIENCE_S: Final = 3.0  # fits the leases of the default settings
_BEATS: Final = 6  # within that time


def patience_s(*, lease_s: float, renew_s: float) -> float:
    """Return for how long workers may go on while their node stands still: less than is left of its leases then.

    It may have stood still just before it was to renew them.
    """
    return (lease_s - renew_s) * 3 / 4


class Alive:
    """The moment until which workers may go on, by the monotonic clock; `file` is inherited by each of them."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.file = os.memfd_create("wafleet-alive")
        os.ftruncate(self.file, mmap.PAGESIZE)
        self._memory = mmap.mmap(self.file, mmap.PAGESIZE)
        self._until = memoryview(self._memory).cast("d")

    def beat(self) -> None:
        """Let them go on from now."""
        self._until[0] = time.monotonic() + self._patience_s

    async def keep_beating(self) -> None:
        """Let them go on for as long as this event loop turns."""
        while True:
            self.beat()
            await asyncio.sleep(self._patience_s / _BEATS)

    def close(self) -> None:
        """Let go of the memory, when no worker is left."""
        self._until.release()
        self._memory.close()
        os.close(self.file)
