"""How long the API takes to show a fleet of 1,000 accounts."""

import time

import httpx

from benchmarks.figures import Figure, percentile
from benchmarks.place import bare, open_place, until


async def measure(*, quick: bool) -> list[Figure]:
    """Ask wafleet again and again, then a bare server for the same bytes."""
    accounts, requests = (200, 50) if quick else (1000, 200)
    figures: list[Figure] = []
    async with open_place() as place:
        await place.seed(accounts)
        async with place.node() as node, bare("echo", place.dsn) as (_, port):
            await until(place.online, lambda n: n == accounts)
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {node.token}"}) as http:
                for path in ("fleet/view", f"accounts?limit={accounts}"):
                    body, waits = await _asked(http, f"{node.url}/api/v1/{path}", requests)
                    keep = f"http://127.0.0.1:{port}"
                    await http.post(f"{keep}/keep", content=body)
                    _, at_best = await _asked(http, keep, requests)
                    figures.append(_figure(path, accounts, body, waits, at_best))
    return figures


def _figure(path: str, accounts: int, body: bytes, waits: list[float], at_best: list[float]) -> Figure:
    return Figure(
        name=f"GET {path.partition('?')[0]}, p99",
        value=percentile(waits, 0.99),
        unit="ms",
        limit=percentile(at_best, 0.99),
        limit_is="a bare server sends the same bytes",
        target=50,
        notes=[
            f"p50 {percentile(waits, 0.5):.1f} ms, {len(waits)} requests one after another",
            f"{accounts} accounts in {len(body) / 1024:.0f} kB",
        ],
    )


async def _asked(http: httpx.AsyncClient, url: str, times: int) -> tuple[bytes, list[float]]:
    """Get the same again and again; return it, and how many milliseconds each answer took."""
    body, waits = b"", list[float]()
    for nr in range(times + 5):
        began = time.perf_counter()
        body = (await http.get(url)).raise_for_status().content
        if nr >= 5:
            waits.append((time.perf_counter() - began) * 1000)
    return body, waits
