"""A wafleet to be measured, as `wafleet up` starts it; told on stdin what to do, a line of JSON each."""

import asyncio
import gc
import json
import sys
import time
from typing import Any
from uuid import UUID

from wafleet.app import App
from wafleet.cli.serving import Address, serve
from wafleet.cli.start import run
from wafleet.config import load
from wafleet.domain.ids import AccountId, TenantId
from wafleet.domain.message import Text
from wafleet.engine.observe import start_logs
from wafleet.tenants import EVERYTHING, Caller

WORDS = "Your order is on its way and will be with you shortly"


async def queue(
    app: App, *, tenant: str, accounts: list[str], talks: int, total: int, at_once: int, start: int = 0
) -> dict[str, Any]:
    """Queue messages through the outbox service, numbered within each of their conversations.

    start  so many were queued before
    """
    caller = Caller(actor="benchmark", tenant=TenantId(UUID(tenant)), scopes=EVERYTHING)
    ids = [AccountId(UUID(one)) for one in accounts]

    async def some(first: int) -> None:
        for nr in range(start + first, start + total, at_once):
            account, talk = ids[nr % len(ids)], nr // len(ids) % talks
            text = Text(f"{WORDS} #{nr // (len(ids) * talks)}")
            await app.slices.outbox.send(caller, to=f"+44770{talk:07d}", content=text, account=account)

    began = time.time()
    async with asyncio.TaskGroup() as tasks:
        for first in range(at_once):
            tasks.create_task(some(first))
    return {"began": began, "ended": time.time()}


async def orders(app: App) -> None:
    """Do what is asked until nobody asks any more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        given = json.loads(line)
        order = given.pop("do")
        _say(await queue(app, **given) if order == "queue" else {"collected": gc.collect()})


async def main() -> None:
    settings = load()
    start_logs(settings.data_dir / "logs", level=settings.log_level, console="off")
    tasks: list[asyncio.Task[None]] = []

    async def ready(app: App, address: Address) -> None:
        tasks.append(asyncio.create_task(orders(app)))
        _say({"url": address.url, "token": address.token})

    await serve(settings, ready=ready)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main())
