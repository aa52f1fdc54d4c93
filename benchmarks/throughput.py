"""Messages a second, durable end to end: queued, sent, and their delivered receipts stored."""

import asyncio
import time

import psycopg

from benchmarks.figures import Figure
from benchmarks.place import NETWORK_IS, Node, Place, Seeded, cpu, open_place, until
from wafleet.domain.ids import new_id

ACCOUNTS, TALKS, AT_ONCE, BATCH = 200, 40, 500, 500
DELIVERED = "select coalesce(sum(n), 0) from tallies where counter = 'delivered'"


async def measure(*, quick: bool) -> list[Figure]:
    """Measure the whole way with wafleet, PostgreSQL and the network on this machine, then PostgreSQL alone."""
    total = 6_000 if quick else 24_000
    async with open_place() as place:
        accounts = await place.seed(ACCOUNTS)
        async with place.node() as node:
            await until(place.online, lambda n: n == ACCOUNTS)
            await _run(place, node, accounts, 2_000)  # warms connections and plans
            rate, notes = await _run(place, node, accounts, total)
        notes.append(await _ledger(place, 2_000 + total))
        limit = await asyncio.to_thread(raw, place.dsn, str(place.tenant), total)
    return [
        Figure(
            name="durable messages end to end",
            value=rate,
            unit="msg/s",
            limit=limit,
            limit_is=f"the same rows and state changes from a bare loop, {BATCH} to a commit, nothing else running",
            target=1500,
            least=True,
            notes=[f"{total:,} messages, {ACCOUNTS} accounts", NETWORK_IS, *notes],
        )
    ]


async def _run(place: Place, node: Node, accounts: list[Seeded], total: int) -> tuple[float, list[str]]:
    wanted = await place.count(DELIVERED) + total
    parts = {
        "wafleet": lambda: cpu(node.process),
        "PostgreSQL": place.postgres_cpu,
        "network": lambda: cpu(place.simulator),
    }
    before = {name: used() for name, used in parts.items()}
    ids = [str(one.id) for one in accounts]
    queued = await node.do("queue", tenant=str(place.tenant), accounts=ids, talks=TALKS, total=total, at_once=AT_ONCE)
    await until(lambda: place.count(DELIVERED), lambda n: n >= wanted, limit_s=120)
    took = time.time() - queued["began"]
    spent = ", ".join(f"{name} {(used() - before[name]) / total * 1e6:.0f} us" for name, used in parts.items())
    queueing = total / (queued["ended"] - queued["began"])
    return total / took, [f"queued at {queueing:,.0f}/s meanwhile", f"CPU per message: {spent}"]


async def _ledger(place: Place, total: int) -> str:
    """Compare with what the network counted."""
    lines = await place.control.ledger()
    sent, twice, disorder = (sum(getattr(one, x) for one in lines) for x in ("sent", "sent_twice", "out_of_order"))
    stored = await place.count("select count(*) from outbox where state = 'delivered'")
    if (sent, twice, disorder, stored) != (total, 0, 0, total):
        raise AssertionError(f"{total} queued, {sent} sent, {twice} twice, {disorder} out of order, {stored} delivered")
    return f"the network's ledger: {total:,} sent, 0 twice, 0 out of order, 0 lost"


def raw(dsn: str, tenant: str, total: int) -> float:
    """Write the rows of so many messages and their changes of state, and nothing else, in large transactions."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=1) as conn:
        talks = conn.execute("select id, account_id from conversations limit 8000").fetchall()
        began = time.perf_counter()
        for start in range(0, total, BATCH):
            some = [talks[nr % len(talks)] for nr in range(start, min(start + BATCH, total))]
            rows = {
                "ids": [new_id() for _ in some],
                "talks": [talk for talk, _ in some],
                "accounts": [account for _, account in some],
                "tenant": tenant,
            }
            for statement in (_INSERT, *_CHANGES):
                conn.execute(statement, rows)
        return total / (time.perf_counter() - began)


_INSERT = """
    with d as (
        select * from unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(talks)b::uuid[]) as d (id, account_id, talk)
    ), m as (
        insert into messages (id, tenant_id, account_id, conversation_id, direction, content, words, at)
        select id, %(tenant)s, account_id, talk, 'out', '{"type": "text", "text": "Your order is on its way"}',
               'Your order is on its way and will be with you shortly', now() from d
        returning id, seq
    )
    insert into outbox (message_id, seq, tenant_id, account_id, conversation_id)
    select d.id, m.seq, %(tenant)s, account_id, talk from d join m using (id)
"""
_CHANGES = (
    """
    update outbox set state = 'sending', epoch = 1, claims = 1, attempts = 1, sending_at = now()
     where message_id = any(%(ids)b::uuid[])
    """,
    """
    update outbox set state = 'sent', provider_id = message_id::text, sent_at = now()
     where message_id = any(%(ids)b::uuid[])
    """,
    "update outbox set state = 'delivered', delivered_at = now() where message_id = any(%(ids)b::uuid[])",
)
