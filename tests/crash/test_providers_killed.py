"""kill -9 between a send and what is noted of it, for numbers at providers: the truth is found by asking them."""

import asyncio
from collections import Counter
from random import Random

import psycopg
import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import Program, free_port, until
from tests.crash.providers import NAMES, StandIn
from tests.crash.traffic import SENT, Writers

from wafleet.simulator.control import Control

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
KINDS, KILLS, EACH, TALKS = ("twilio", "meta", "gateway"), 6, 28, 2
# Of what is killed before it left, these cannot say that it never came: it stays unknown, shown, and is not repeated.
CANNOT_TELL = {"meta", "gateway"}
UNDER_WAY = """
    select a.transport, count(*) from outbox o join accounts a on a.id = o.account_id
     where o.state = 'sending' group by 1
"""
OUTBOX = """
    select a.transport, o.state, coalesce(o.provider_id, ''), c.identity
      from outbox o join accounts a on a.id = o.account_id join conversations c on c.id = o.conversation_id
"""


async def test_kills_between_send_and_settle_lose_and_repeat_nothing_at_providers(stage: Stage, dsn: str) -> None:
    random, port = Random(3), free_port()
    public = f"http://127.0.0.1:{port}"
    program = stage.program(DATABASE_URL=dsn, PORT=str(port), PUBLIC_URL=public)
    control = await stage.control()
    await program.start()
    providers = await _providers(stage, program, public)
    await _customers_write_first(control, dsn, providers)
    await _answer_late_and_ill(control, providers)
    writers = Writers([program], [one.account for one in providers if one.account], EACH * len(KINDS), each=TALKS)
    writing = stage.meanwhile(writers.run())
    felt = Counter[str]()
    for _ in range(KILLS):
        crossed = await _crossed(control, providers)
        await until(lambda: _crossed(control, providers), lambda now, was=crossed: now > was, limit_s=60)
        await asyncio.sleep(random.uniform(0, 0.2))
        program.kill()
        felt += await _under_way(dsn)
        await program.start()
        await until(program.online, lambda online: online == len(KINDS), limit_s=60)
    await writing
    for one in providers:
        for fault in ("slow_answers", "ill_answers"):
            await control.end_fault(one.phone, fault)
    await until(lambda: _open(program), lambda left: left == 0, limit_s=90)
    assert set(felt) == set(KINDS), felt
    for one in providers:
        await _prove(control, dsn, one)


async def _providers(stage: Stage, program: Program, public: str) -> list[StandIn]:
    async with program.api() as api:
        (await api.post("/api/v1/tenants", json={"name": "Crash"})).raise_for_status()
    made = [StandIn(kind, f"+97152000001{place}", stage.folder, public) for place, kind in enumerate(KINDS)]
    for one in made:
        stage.processes.append(one)
        await one.register(program, "Crash")
    await asyncio.gather(*(one.start() for one in made))
    await until(program.online, lambda online: online == len(KINDS), limit_s=60)
    return made


async def _customers_write_first(control: Control, dsn: str, providers: list[StandIn]) -> None:
    """Have those write whom the writers answer, so that they may be answered."""
    for place in range(TALKS * len(KINDS)):
        await control.say(f"+97155{place:07d}", providers[place % len(KINDS)].phone, "hello")

    async def heard() -> int:
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            row = await (await conn.execute("select count(*) from messages where direction = 'in'")).fetchone()
        return row[0] if row else 0

    await until(heard, lambda count: count == TALKS * len(KINDS))


async def _answer_late_and_ill(control: Control, providers: list[StandIn]) -> None:
    """Have every message cross long before its answer comes, and some answers be a 500 after all."""
    for one in providers:
        await control.start_fault(one.phone, "slow_answers", seconds=0.3)
        await control.start_fault(one.phone, "ill_answers", detail="500", share=0.1)


async def _crossed(control: Control, providers: list[StandIn]) -> int:
    return sum([line.sent for line in await control.ledger() if line.account in {one.phone for one in providers}])


async def _under_way(dsn: str) -> Counter[str]:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        return Counter(dict(await (await conn.execute(UNDER_WAY)).fetchall()))


async def _open(program: Program) -> int:
    return int(str((await program.get("/fleet"))["waiting"]))


async def _prove(control: Control, dsn: str, one: StandIn) -> None:
    """Compare the provider's own names of what crossed, each once, with what the database calls sent."""

    async def differing() -> dict[str, object]:
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            rows = await (await conn.execute(OUTBOX + "where a.transport = %s", [one.kind])).fetchall()
        sent = Counter(name for _, state, name, _ in rows if state in SENT)
        refs = await control.refs(one.phone)
        people = {to for *_, to in rows}
        crossed = {ref.ref: {NAMES[one.kind](ref.ref, to) for to in people} & set(sent) for ref in refs}
        states = Counter(state for _, state, *_ in rows)
        lost_track = [ref.hex() for ref, names in crossed.items() if len(names) != 1]
        return {"rows": len(rows), "states": states, "crossed": len(refs), "not known as sent": lost_track}

    def settled(seen: dict[str, object]) -> bool:
        states: Counter[str] = seen["states"]  # pyright: ignore[reportAssignmentType]
        sent = sum(count for state, count in states.items() if state in SENT)
        rest = sum(states.values()) - sent - (states["unknown"] if one.kind in CANNOT_TELL else 0)
        return (seen["rows"], rest, seen["crossed"]) == (EACH, 0, sent) and not seen["not known as sent"]

    await until(differing, settled, limit_s=60)
    (line,) = [line for line in await control.ledger() if line.account == one.phone]
    assert (line.sent_twice, line.out_of_order) == (0, 0)
