"""Codes of providers that no table knows. Each is told once an hour, so that somebody hears of it."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter

log = structlog.get_logger(__name__)
AGAIN_S: Final = 3600.0
MOST: Final = 1000  # codes that are remembered, or wait to be told

counted = Counter("wafleet_provider_unknown_codes_total", "Errors of providers that no table knows", ["provider"])


class Code(NamedTuple):
    """One code, as its provider told it."""

    provider: str
    code: str
    detail: str


class Unknown:
    """What this process met. The log hears of it at once; `waiting` is for whoever tells it in the event log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._met: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.waiting: list[Code] = []

    def met(self, code: Code) -> None:
        """Take note of a code; within an hour of the last time it is only counted."""
        counted.labels(code.provider).inc()
        key, now = code[:2], self._clock()
        if now - self._met.get(key, -AGAIN_S) < AGAIN_S:
            return
        self._met[key] = now
        self._met.move_to_end(key)
        if len(self._met) > MOST:
            self._met.popitem(last=False)
        log.warning("message.unknown_error", provider=code.provider, code=code.code, words=code.detail)
        if len(self.waiting) < MOST:
            self.waiting.append(code)


CODES: Final = Unknown()  # one for the process, as counters are: codes are met where nothing else is known
