"""Run one command's work inside the opened installation."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from wafleet.cli.database import Office
    from wafleet.engine.web import Page
    from wafleet.tenants import Caller

T = TypeVar("T")


def within(data_dir: Path | None, work: Callable[[Office, Caller], Awaitable[T]]) -> T:
    """Open the installation's database, do the work as the person at this machine, close it, and return the result."""
    import asyncio

    from wafleet.cli.database import CALLER, office

    hush()

    async def inside() -> T:
        async with office(data_dir) as one:
            return await work(one, CALLER)

    return asyncio.run(inside())


def hush() -> None:
    """Keep what servers log off the answer: a command says what it did itself, and warnings go to standard error."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


async def every(page: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Return the items of all pages."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        got = await page(cursor)
        found += got.items
        if got.next is None:
            return found
        cursor = got.next
