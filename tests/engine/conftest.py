"""Waiting for what other sessions of the same server may delay."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Return once a condition holds: events wait for every transaction of the server that began earlier."""

    async def wait(condition: Callable[[], Awaitable[object]]) -> None:
        deadline = time.monotonic() + 60
        while not await condition():
            assert time.monotonic() < deadline, "it never came true"
            await asyncio.sleep(0.01)

    return wait
