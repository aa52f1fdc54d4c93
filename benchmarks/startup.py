"""From the start of wafleet's process until every account is online."""

import time

from benchmarks.figures import Figure
from benchmarks.place import Hearing, connect, open_place, until


async def measure(*, quick: bool) -> list[Figure]:
    """Measure wafleet, then nothing but the sessions and one update of their rows."""
    accounts = 200 if quick else 1000
    async with open_place() as place:
        seeded = await place.seed(accounts)
        async with place.node() as node:
            await until(place.online, lambda n: n == accounts)
            took, answers = time.time() - node.began, node.answered - node.began
        began = time.perf_counter()
        transport, _ = await connect(place.folder / "simulator", seeded, Hearing)
        async with place.db.fleet_tx() as tx:
            await tx.run("update accounts set reason = 'bare', updated_at = now()")
        limit = time.perf_counter() - began
        await transport.close()
    return [
        Figure(
            name=f"{accounts:,} accounts restored",
            value=took,
            unit="s",
            limit=limit,
            limit_is="the same logins by a bare client that already runs, and one update of the rows",
            target=5,
            notes=[f"of which {answers:.1f} s until the process answers over HTTP", "PostgreSQL runs already"],
        )
    ]
