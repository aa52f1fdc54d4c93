"""From the start of a request to the API until the network has the message, at 50 messages a second."""

import asyncio
import time
from collections.abc import Sequence

import httpx

from benchmarks.figures import Figure, percentile
from benchmarks.place import NETWORK_IS, Node, Place, Seeded, bare, open_place, until

ACCOUNTS, RATE = 200, 50


async def measure(*, quick: bool) -> list[Figure]:
    """Measure wafleet, then a bare HTTP server that commits one row per request."""
    total = RATE * (4 if quick else 12)
    async with open_place() as place:
        accounts = await place.seed(ACCOUNTS)
        async with place.node() as node:
            await until(place.online, lambda n: n == ACCOUNTS)
            await _sent(place, node, accounts, RATE)  # warms connections and plans
            waits = await _sent(place, node, accounts, total)
        async with bare("echo", place.dsn) as (_, port), httpx.AsyncClient() as http:
            await _paced(http, [(f"http://127.0.0.1:{port}/", {})] * RATE)
            answered = await _paced(http, [(f"http://127.0.0.1:{port}/", {"text": "hello"})] * total)
        limit = percentile([ended - began for began, ended, _ in answered], 0.99) * 1000
    p50, p99 = (percentile(waits, share) * 1000 for share in (0.5, 0.99))
    return [
        Figure(
            name="API to wire, p99",
            value=p99,
            unit="ms",
            limit=limit,
            limit_is="a bare HTTP server answers a POST after committing one row, p99",
            target=50,
            notes=[f"p50 {p50:.1f} ms", f"{total} messages at {RATE}/s, {ACCOUNTS} accounts", NETWORK_IS],
        )
    ]


async def _sent(place: Place, node: Node, accounts: Sequence[Seeded], total: int) -> list[float]:
    """Send over HTTP; return how long each message took from the request's start to the network."""
    auth = {"Authorization": f"Bearer {node.token}"}
    asked = [
        (
            f"{node.url}/api/v1/accounts/{accounts[nr % len(accounts)].id}/messages",
            {"to": f"+44770{nr:07d}", "text": "Your table is ready"},
        )
        for nr in range(total)
    ]
    async with httpx.AsyncClient(headers=auth) as http:
        answers = await _paced(http, asked)
    began = {bytes.fromhex(answer.json()["id"].replace("-", "")): start for start, _, answer in answers}
    crossed: dict[bytes, float] = {}

    async def seen() -> int:
        for account in accounts:
            crossed.update({line.ref: line.at for line in await place.control.refs(account.phone)})
        return len(began.keys() & crossed.keys())

    await until(seen, lambda n: n == total)
    return [crossed[ref] - start for ref, start in began.items()]


async def _paced(
    http: httpx.AsyncClient, asked: Sequence[tuple[str, dict[str, str]]]
) -> list[tuple[float, float, httpx.Response]]:
    """Post at an even rate, whatever the answers take; return (began, answered, answer)."""

    async def post(url: str, body: dict[str, str]) -> tuple[float, float, httpx.Response]:
        began = time.time()
        answer = (await http.post(url, json=body)).raise_for_status()
        return began, time.time(), answer

    tasks: list[asyncio.Task[tuple[float, float, httpx.Response]]] = []
    start = time.perf_counter()
    for nr, (url, body) in enumerate(asked):
        await asyncio.sleep(max(0.0, start + nr / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(post(url, body)))
    return await asyncio.gather(*tasks)
