"""Shows customers that somebody is writing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from wafleet.transports.base import SendError

TYPING_S: Final = 25.0  # phones show typing for no longer


class Appearing:
    """Shows an account as there while it types, and as away again although nobody says that typing has ended.

    say  calls the library, with a function and its arguments; raises SendError
    """

    def __init__(self, say: Callable[..., Awaitable[None]]) -> None:
        self._say = say
        self._leaving: asyncio.TimerHandle | None = None

    async def typing(self, to: bytes, on: bool) -> None:
        """Show a customer that somebody is writing, or no longer. Raises SendError."""
        await self._appear(on)
        await self._say("SendChatPresence", to, 0 if on else 1, 0)

    def end(self) -> None:
        """Show nothing any more: the session is over."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _appear(self, there: bool) -> None:
        self.end()
        if there:
            self._leaving = asyncio.get_running_loop().call_later(TYPING_S, self._leave)
        with suppress(SendError):  # fails without the phone's own name; typing may be seen all the same
            await self._say("SendPresence", b"available" if there else b"unavailable")

    def _leave(self) -> None:
        self._left = asyncio.create_task(self._appear(False), name="shown as away")
