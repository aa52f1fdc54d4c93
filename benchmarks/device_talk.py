"""Fifty linked devices in conversation: what is lost, what goes twice, and what grows."""

import asyncio
import time
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.device_place import Linked, link, open_device_place, workers
from benchmarks.figures import Figure
from benchmarks.place import Node, Place, memory_mb, until

EVERY_S = 6.0  # each account writes, and each is written to, once in so many seconds
SETTLED_S = 90.0  # how long the last messages may take


@dataclass(frozen=True, slots=True)
class Size:
    """What a fleet takes at one moment."""

    at: float  # seconds
    memory_mb: float  # of all workers
    descriptors: int
    node_mb: float


@dataclass(frozen=True, slots=True)
class Count:
    """What the network counted, compared with the database by sets of ids."""

    sent: int
    received: int
    lost: int
    twice: int
    left: int  # neither sent nor failed in the end


async def measure(*, quick: bool, minutes: float | None = None) -> list[Figure]:
    """Let them talk for 2 minutes, or for an hour, or for as long as told."""
    accounts, lasts = (50, 60 * (minutes or (2 if quick else 60)))
    async with open_device_place() as place, place.node() as node:
        linked = await link(place, node, accounts)
        await _talk(place, node, linked, lasts / 5)  # what grows until each customer has a session is no leak
        began = _size(node)
        await _talk(place, node, linked, lasts)
        ended = _size(node)
        count = await _count(place, linked)
    return [_lost(count, accounts, lasts), _twice(count), *_growth(began, ended)]


async def _talk(place: Place, node: Node, linked: list[Linked], lasts: float) -> None:
    rate = len(linked) / EVERY_S
    await place.control.start_load(rate, accounts=[one.phone for one in linked], lasts=lasts, customers=4)
    headers = {"Authorization": f"Bearer {node.token}"}
    async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers, timeout=30, trust_env=False) as api:
        began, number = time.monotonic(), 0
        while (now := time.monotonic() - began) < lasts:
            account = linked[number % len(linked)]
            body = {"account": account.id, "to": f"+97155{number // len(linked) % 4:07d}", "text": f"news #{number}"}
            (await api.post("/messages", json=body)).raise_for_status()
            number += 1
            await asyncio.sleep(max(0.0, number / rate - now))
    await until(lambda: _open(place), lambda left: left == 0, limit_s=SETTLED_S)


async def _open(place: Place) -> int:
    waiting = sum(one.waiting for one in await place.control.ledger())
    queued = await place.count("select count(*) from outbox where state in ('queued', 'sending')")
    return waiting + queued


def _size(node: Node) -> Size:
    here = workers(node)
    memory = sum(memory_mb(one) for one in here)
    return Size(
        time.monotonic(), memory, sum(one.num_fds() for one in here), memory_mb(psutil.Process(node.process.pid))
    )


async def _count(place: Place, linked: list[Linked]) -> Count:
    lines = await place.control.ledger()
    crossed = {ref.ref.decode(): ref.times for one in linked for ref in await place.control.refs(one.phone)}
    offered = {offer.id for one in linked for offer in await place.control.offers(one.phone)}
    async with place.db.fleet_tx() as tx:
        out = await tx.tuples("select provider_id, state from outbox")
        said = [row[0] for row in await tx.tuples("select provider_id from messages where direction = 'in'")]
    sent = {row[0] for row in out if row[1] in {"sent", "delivered", "read"}}
    return Count(
        sent=len(crossed),
        received=len(offered),
        lost=len(offered - set(said)) + len(sent - set(crossed)),
        twice=sum(times > 1 for times in crossed.values())
        + len(said)
        - len(set(said))
        + sum(x.sent_twice for x in lines),
        left=sum(row[1] not in {"sent", "delivered", "read"} for row in out),
    )


def _lost(count: Count, accounts: int, lasts: float) -> Figure:
    notes = [f"sent {count.sent:,}, received {count.received:,}, neither sent nor lost {count.left}"]
    name = f"{accounts} linked devices talk for {lasts / 60:.0f} min: lost"
    return Figure(
        name=name, value=count.lost, unit="", target=0, notes=[*notes, "the network's ledger, by sets of ids"]
    )


def _twice(count: Count) -> Figure:
    return Figure(name="... sent or stored twice", value=count.twice, unit="", target=0)


def _growth(began: Size, ended: Size) -> list[Figure]:
    hours = (ended.at - began.at) / 3600
    memory, descriptors = ended.memory_mb - began.memory_mb, ended.descriptors - began.descriptors
    return [
        Figure(
            name="... memory of all workers grows by",
            value=memory / hours,
            unit="MB/h",
            notes=[
                f"from {began.memory_mb:,.0f} to {ended.memory_mb:,.0f} MB; wafleet from {began.node_mb:.0f} to "
                f"{ended.node_mb:.0f} MB",
                "new customers bring new keys; a worker's lifetime bounds the rest (`devices.lifetime_h`)",
            ],
        ),
        Figure(
            name="... descriptors of all workers grow by",
            value=descriptors / hours,
            unit="/h",
            notes=[f"from {began.descriptors} to {ended.descriptors}"],
        ),
    ]
