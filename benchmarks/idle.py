"""What a fleet costs while nothing happens: processor time and memory."""

import asyncio

import psutil

from benchmarks.figures import Figure
from benchmarks.place import Node, Place, bare, cpu, memory_mb, open_place, told, until


async def measure(*, quick: bool) -> list[Figure]:
    """Measure wafleet's processor time, then that of a client that only asks each session whether it is there."""
    accounts, seconds = (200, 10) if quick else (1000, 35)
    async with open_place() as place:
        seeded = await place.seed(accounts)
        async with place.node() as node:
            await until(place.online, lambda n: n == accounts)
            await asyncio.sleep(3)
            before = cpu(node.process), place.postgres_cpu()
            await asyncio.sleep(seconds)
            used, by_postgres = cpu(node.process) - before[0], place.postgres_cpu() - before[1]
        folder = str(place.folder / "simulator")
        async with bare("sessions", folder, say=told(seeded)) as (child, _):
            process = psutil.Process(child.pid)
            start = cpu(process)
            await asyncio.sleep(seconds / 2)
            limit = (cpu(process) - start) * 2
    return [
        Figure(
            name=f"idle, {accounts:,} accounts",
            value=used / seconds * 100,
            unit="% core",
            limit=limit / seconds * 100,
            limit_is="a bare client asks each session every 30 s whether it is there",
            target=5,
            notes=[f"over {seconds} s", f"PostgreSQL beside it {by_postgres / seconds * 100:.1f} %"],
        )
    ]


async def memory(*, quick: bool) -> list[Figure]:
    """Measure wafleet's memory with and without accounts, then that of a client that only holds the sessions."""
    accounts = 500 if quick else 5000
    async with open_place() as place:
        async with place.node() as node:
            empty = await _settled(node)
        seeded = await place.seed(accounts)
        async with place.node() as node:
            await until(place.online, lambda n: n == accounts)
            full = await _settled(node)
        limit = await _bare(place, told(seeded)) / accounts
    return [
        Figure(
            name=f"memory per account, {accounts:,} idle",
            value=(full - empty) / accounts,
            unit="MB",
            limit=limit,
            limit_is="a bare client that holds the same sessions",
            target=0.3,
            notes=[f"wafleet without accounts {empty:.0f} MB, with them {full:.0f} MB (proportional set size)"],
        )
    ]


async def _bare(place: Place, accounts: str) -> float:
    async with bare("sessions", str(place.folder / "simulator"), say=accounts) as (_, grown):
        return float(grown)


async def _settled(node: Node) -> float:
    await asyncio.sleep(4)
    await node.do("collect")
    return memory_mb(node.process)
