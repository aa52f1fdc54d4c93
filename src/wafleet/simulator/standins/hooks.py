"""Webhooks of a stand-in: posted in order for each customer, and again by the rules of the provider."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Self

import httpx

log = logging.getLogger(__name__)

UNREACHED: Final = 0  # in place of a status: no connection
SILENT: Final = -1  # in place of a status: no answer in time, or half of one


def _server_trouble(status: int) -> bool:
    return status <= UNREACHED or status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One call of a webhook.

    key      calls of one key go out one after the other, each when the one before has ended
    pauses   seconds before each further try; none: there is one try
    again    tells from the status of an answer whether another try makes sense
    ended    is told whether it was accepted, once nothing more is tried
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    key: str
    pauses: Sequence[float] = ()
    again: Callable[[int], bool] = _server_trouble
    limit_s: float = 15.0
    ended: Callable[[bool], None] | None = None


@dataclass(slots=True)
class Counts:
    """What became of the calls."""

    accepted: int = 0
    refused: int = 0  # given up
    tries: int = 0
    dropped: int = 0  # never tried: too many waited
    answers: dict[int, int] = field(default_factory=dict[int, int])  # by status


@cache
def authorities() -> ssl.SSLContext:
    """Return whom HTTPS trusts, read once: that takes longer than all else in making a client."""
    return httpx.create_ssl_context(trust_env=False)


class Webhooks:
    """Call webhooks. Use as a context manager; what still waits at its end is given up without a word.

    at_once  calls under way at the same time
    most     calls that may wait; beyond these, new ones are refused
    """

    def __init__(self, *, at_once: int = 32, most: int = 20_000) -> None:
        self._free, self._most = asyncio.Semaphore(at_once), most
        self._http = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - each call has its own limit
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
            trust_env=False,
            verify=authorities(),
        )
        self._waiting: dict[str, deque[Hook]] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self.counts, self.waiting = Counts(), 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for lane in list(self._lanes):
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        await self._http.aclose()

    def post(self, hook: Hook) -> bool:
        """Have one call made; False when too many wait already."""
        if self.waiting >= self._most:
            self.counts.dropped += 1
            log.warning("too many webhooks wait; one was dropped", extra={"url": hook.url})
            return False
        self.waiting += 1
        if (lane := self._waiting.get(hook.key)) is not None:
            lane.append(hook)
            return True
        self._waiting[hook.key] = deque((hook,))
        task = asyncio.create_task(self._run(hook.key))
        self._lanes.add(task)
        task.add_done_callback(self._lanes.discard)
        return True

    async def _run(self, key: str) -> None:
        lane = self._waiting[key]
        while lane:
            hook = lane.popleft()
            accepted = await self._call(hook)
            self.waiting -= 1
            if accepted:
                self.counts.accepted += 1
            else:
                self.counts.refused += 1
            if hook.ended:
                hook.ended(accepted)
        del self._waiting[key]

    async def _call(self, hook: Hook) -> bool:
        status = UNREACHED
        for pause in (*hook.pauses, None):
            async with self._free:
                status = await self._try(hook)
            if 200 <= status < 300:
                return True
            if pause is None or not hook.again(status):
                break
            await asyncio.sleep(pause)
        log.warning("a webhook was given up", extra={"url": hook.url, "status": status})
        return False

    async def _try(self, hook: Hook) -> int:
        self.counts.tries += 1
        try:
            async with asyncio.timeout(hook.limit_s):
                answer = await self._http.post(hook.url, content=hook.body, headers=dict(hook.headers))
                status = answer.status_code
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            status = UNREACHED
        except (httpx.HTTPError, TimeoutError):
            status = SILENT
        self.counts.answers[status] = self.counts.answers.get(status, 0) + 1
        return status
