"""Keeps one caller from taking the node for itself, and strangers from trying token after token."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wafleet.api.middleware import header
from wafleet.api.problems import REQUEST_ID, problem
from wafleet.engine.clock import Clock

Key = TypeVar("Key")

MOST_REMEMBERED: Final = 20_000
GUESSES_PER_S: Final = 1.0  # requests from one address that were answered 401
GUESSES_AT_ONCE: Final = 60.0
FREE: Final = ("/health", "/static/")


@dataclass(slots=True)
class Bucket:
    """Fills at a steady rate up to a brim; every request takes one drop."""

    drops: float
    at: float
    trusted: bool = False  # its credentials were good once

    def take(self, now: float, *, per_s: float, brim: float) -> float:
        """Take a drop and return 0, or return the seconds until there is one."""
        self.drops = min(brim, self.drops + (now - self.at) * per_s)
        self.at = now
        if self.drops < 1:
            return (1 - self.drops) / per_s
        self.drops -= 1
        return 0.0


class RateLimit:
    """Limits requests per token, cookie or, without either, address; health checks and static files are free.

    Credentials never seen to be good also share a limit on failures per address: guessing is slow, while those who
    come through the same proxy with good ones notice nothing. In memory: each node counts for itself.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, per_s: float, burst: float) -> None:
        self._app, self._clock, self._per_s, self._burst = app, clock, per_s, burst
        self._callers: OrderedDict[tuple[str, bytes], Bucket] = OrderedDict()
        self._guesses: OrderedDict[str, Bucket] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or str(scope["path"]).startswith(FREE):
            return await self._app(scope, receive, send)
        now, address = self._clock.monotonic(), str(scope["client"][0]) if scope.get("client") else ""
        credentials = header(scope, b"authorization") or header(scope, b"cookie")
        caller = _bucket(self._callers, ("", credentials) if credentials else (address, b""), self._burst, now)
        wait = caller.take(now, per_s=self._per_s, brim=self._burst)
        if not wait and credentials and not caller.trusted:
            wait = self._wait_for_guess(address, now)
        if wait:
            headers, seconds = {"Retry-After": str(math.ceil(wait))}, math.ceil(wait)
            sentence = f"Too many requests: wait {seconds} s, then try again"
            refusal = problem(scope[REQUEST_ID], status=429, code="too_many", detail=sentence, headers=headers)
            return await refusal(scope, receive, send)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start" and credentials:
                self._note(caller, address, message["status"])
            await send(message)

        return await self._app(scope, receive, noted)

    def _wait_for_guess(self, address: str, now: float) -> float:
        guesses = self._guesses.get(address)
        if guesses is None:
            return 0.0
        wait = guesses.take(now, per_s=GUESSES_PER_S, brim=GUESSES_AT_ONCE)
        if not wait:
            guesses.drops += 1  # only a wrong one costs
        return wait

    def _note(self, caller: Bucket, address: str, status: int) -> None:
        if status != 401:
            caller.trusted = status < 400 or caller.trusted
            return
        caller.trusted = False
        now = self._clock.monotonic()
        _bucket(self._guesses, address, GUESSES_AT_ONCE, now).take(now, per_s=GUESSES_PER_S, brim=GUESSES_AT_ONCE)


def _bucket(known: OrderedDict[Key, Bucket], key: Key, brim: float, now: float) -> Bucket:
    bucket = known.get(key)
    if bucket is None:
        bucket = known[key] = Bucket(brim, now)
        if len(known) > MOST_REMEMBERED:
            known.popitem(last=False)
    else:
        known.move_to_end(key)
    return bucket
