"""Files that customers sent through a network that keeps them: fetched once, by whichever node comes first.

The message is stored, told and answered at once; its file comes when it comes. What is fetched when a node dies is
fetched again by another.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from wafleet import media as stored
from wafleet.accounts import Callees
from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId
from wafleet.domain.message import Content, Media, media
from wafleet.engine import bus
from wafleet.engine.db import Db, Tx
from wafleet.engine.loops import Loop
from wafleet.inbox import files_store as store
from wafleet.inbox.files_store import Wanted
from wafleet.media import Untrue
from wafleet.transports.base import Fetches, NotSent, Number, RefusedContent, SendError, Throttled, Transport

log = structlog.get_logger(__name__)
AT_ONCE: Final = 6  # files, each in memory while it is fetched
OF_ONE: Final = 2  # ... of one account: a slow provider must not keep the others' files
LIMIT_S: Final = 120.0
LOOK: Final = timedelta(seconds=5)
SELDOM: Final = timedelta(minutes=1)
MOST_TRIES: Final = 20  # about half a day with these pauses
LONGEST_PAUSE_S: Final = 3600.0
GIVEN_UP: Final = "It could not be fetched in {tries} tries: {why}"


class Files:
    """Fetches files.

    keep  puts a file into the media store and returns how it is named there. Raises Untrue, OSError
    told  called after a message was completed, so that readers of the event log start at once
    """

    def __init__(
        self,
        db: Db,
        *,
        transports: Mapping[str, Transport],
        callees: Callees,
        keep: Callable[[Media, bytes], Awaitable[Media]],
        told: Callable[[], None],
    ) -> None:
        self._db, self._callees, self._keep, self._told = db, callees, keep, told
        self._transports = {kind: one for kind, one in transports.items() if isinstance(one, Fetches)}
        self._busy: Counter[AccountId] = Counter()
        self._loops = [
            Loop(name=f"files.{n}", turn=self._turn_of(n), every=SELDOM if n else LOOK) for n in range(AT_ONCE)
        ]

    def loops(self) -> Sequence[Loop]:
        """Return the duties that come round; none where no transport here keeps files."""
        return self._loops if self._transports else ()

    def wake(self) -> None:
        """Say that a message with a file was stored."""
        self._loops[0].woken.set()

    async def turn(self) -> bool:
        """Fetch the file that has waited longest; False when none is due."""
        if (wanted := await self._claim()) is None:
            return False
        await self._fetch_one(wanted)
        return True

    def _turn_of(self, n: int) -> Callable[[], Awaitable[None]]:
        """Each loop that finds something wakes the next: many files are fetched side by side, and idling costs one."""

        async def turn() -> None:
            while (wanted := await self._claim()) is not None:
                self._loops[(n + 1) % AT_ONCE].woken.set()
                await self._fetch_one(wanted)

        return turn

    async def _claim(self) -> Wanted | None:
        busy = [account for account, n in self._busy.items() if n >= OF_ONE]
        async with self._db.fleet_tx() as tx:
            return await store.claim(tx, busy=busy, for_s=LIMIT_S + 30)

    async def _fetch_one(self, wanted: Wanted) -> None:
        self._busy[wanted.account] += 1
        try:
            await self._fetch(wanted)
        finally:
            self._busy[wanted.account] -= 1

    async def _fetch(self, wanted: Wanted) -> None:
        announced = media(wanted.content) or Media("")
        try:
            async with asyncio.timeout(LIMIT_S):
                content = await self._fetched(wanted)
            file = await self._keep(announced, content)
        except (Untrue, RefusedContent) as error:
            return await self._settle(wanted, _missing(announced, _words(error)))
        except Exception as error:
            return await self._again(wanted, error)
        await self._settle(wanted, file)

    async def _fetched(self, wanted: Wanted) -> bytes:
        transport = self._transports.get(wanted.transport)
        callee = await self._callees.find(wanted.transport, wanted.account)
        if transport is None or callee is None:
            raise NotSent("not_linked", f"the account is not on {wanted.transport} any more")
        number = Number(wanted.account, wanted.phone, callee.settings, callee.credentials)
        return await transport.fetch(number, callee.credentials, wanted.reference)

    async def _again(self, wanted: Wanted, error: Exception) -> None:
        why = _words(error)
        if wanted.tries >= MOST_TRIES:
            told = GIVEN_UP.format(tries=wanted.tries, why=why)
            return await self._settle(wanted, _missing(media(wanted.content) or Media(""), told))
        if wanted.tries == 1 and not isinstance(error, SendError | OSError):
            log.warning("file_not_fetched", account=str(wanted.account), message=str(wanted.message), error=why)
        wait_s = min(2.0**wanted.tries, LONGEST_PAUSE_S)
        if isinstance(error, Throttled):
            wait_s = max(wait_s, error.retry_after.total_seconds())
        async with self._db.fleet_tx() as tx:
            await store.again(tx, wanted, wait_s=wait_s, why=why)

    async def _settle(self, wanted: Wanted, file: Media) -> None:
        content = _with(wanted.content, file)
        async with self._db.fleet_tx() as tx:
            if landed := await store.settle(tx, wanted, content):
                await _tell(tx, wanted, file)
        if landed:
            self._told()


async def _tell(tx: Tx, wanted: Wanted, file: Media) -> None:
    data = {"message": str(wanted.message), "conversation": str(wanted.conversation)}
    if file.id:
        await stored.received(tx, [(wanted.tenant, file)])
        kind, data = Kind.MESSAGE_MEDIA_READY, data | {"media": file.id}
    else:
        kind, data = Kind.MESSAGE_MEDIA_MISSING, data | {"why": file.missing}
    await bus.append(tx, [bus.Event(kind=kind, tenant=wanted.tenant, account=wanted.account, data=data)])


def _with(content: Content, file: Media) -> Content:
    return msgspec.structs.replace(content, media=file) if media(content) is not None else content


def _missing(announced: Media, why: str) -> Media:
    return msgspec.structs.replace(announced, missing=why[: store.LONGEST_WHY])


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not come within {LIMIT_S:g} s"
    if isinstance(error, SendError):
        return error.detail or error.reason
    return str(error) if isinstance(error, Untrue | OSError) else repr(error)
