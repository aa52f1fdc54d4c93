"""From a customer's `!ping` until the reply crosses the network."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence

import psycopg

from benchmarks.figures import Figure, percentile
from benchmarks.place import NETWORK_IS, Hearing, Place, Seeded, connect, open_place, until
from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text
from wafleet.transports.base import Outgoing

RATE = 20
MANAGER = "+447700900001"


async def measure(*, quick: bool) -> list[Figure]:
    """Measure wafleet, then a client that commits one row and answers."""
    pings = 60 if quick else 200
    async with open_place() as place:
        accounts = await place.seed(pings)
        async with place.node() as node:
            await until(place.online, lambda n: n == pings)
            await _answered(place, accounts[:20])  # warms connections and plans
            await node.do("collect")
            waits = await _answered(place, accounts)
        limit = percentile(await _bare(place, accounts), 0.99) * 1000
    p50, p99 = (percentile(waits, share) * 1000 for share in (0.5, 0.99))
    return [
        Figure(
            name="!ping answered, p99",
            value=p99,
            unit="ms",
            limit=limit,
            limit_is="a client that commits one row and answers, p99",
            target=200,
            notes=[f"p50 {p50:.1f} ms", f"{pings} at {RATE}/s", NETWORK_IS],
        )
    ]


async def _bare(place: Place, accounts: Sequence[Seeded]) -> list[float]:
    async with await psycopg.AsyncConnection.connect(place.dsn, autocommit=True) as conn:
        await conn.execute("create table bare (words text)")
        alone, tasks = asyncio.Lock(), set[asyncio.Task[None]]()

        async def answer(one: Hearing, inbound: Inbound) -> None:
            async with alone:
                await conn.execute("insert into bare (words) values ('!ping')")
            assert one.session is not None
            one.session.acknowledge([inbound.provider_id])
            await one.session.send(Outgoing(MessageId(new_id()), inbound.identity, Text("pong")))

        transport, _ = await connect(place.folder / "simulator", accounts, lambda: _Answering(answer, tasks))
        waits = await _answered(place, accounts)
        await transport.close()
        return waits


class _Answering(Hearing):
    """Has every message answered."""

    def __init__(
        self, answer: Callable[[Hearing, Inbound], Coroutine[None, None, None]], tasks: "set[asyncio.Task[None]]"
    ) -> None:
        super().__init__()
        self._answer, self._tasks = answer, tasks

    def received(self, inbound: Inbound) -> None:
        task = asyncio.create_task(self._answer(self, inbound))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answered(place: Place, accounts: Sequence[Seeded]) -> list[float]:
    """Ask one account after another at an even rate; return how long each reply took to cross."""
    before = {one.phone: len(await place.control.refs(one.phone)) for one in accounts}
    began: dict[str, float] = {}
    for one in accounts:
        began[one.phone] = time.time()
        await place.control.say(MANAGER, one.phone, "!ping")
        await asyncio.sleep(max(0.0, began[one.phone] + 1 / RATE - time.time()))
    crossed: dict[str, float] = {}

    async def replied() -> int:
        for phone in began.keys() - crossed.keys():
            if new := (await place.control.refs(phone))[before[phone] :]:
                crossed[phone] = new[0].at
        return len(crossed)

    await until(replied, lambda n: n == len(accounts))
    return [crossed[phone] - start for phone, start in began.items()]
