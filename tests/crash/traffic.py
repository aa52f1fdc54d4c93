"""Messages in both directions, and the proof that none was lost and none went twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import psycopg
from tests.crash.programs import Program, until

from wafleet.simulator.control import Control

SENT = {"sent", "delivered", "read"}


async def fleet_of(program: Program, count: int, *, first: int = 1) -> dict[str, UUID]:
    """Create and link accounts through the API; return their phones and ids once all are online."""
    made: dict[str, UUID] = {}
    async with program.api() as api:
        if first == 1:
            (await api.post("/api/v1/tenants", json={"name": "Crash"})).raise_for_status()
        for number in range(first, first + count):
            phone = f"+97152{number:07d}"
            body = {"name": f"Number {number}", "phone": phone, "transport": "simulator", "tenant": "Crash"}
            reply = await api.post("/api/v1/accounts", json=body)
            assert reply.status_code == 201, reply.text
            made[phone] = UUID(reply.json()["id"])
        for id in made.values():
            reply = await api.post(f"/api/v1/accounts/{id}/link")
            assert reply.status_code == 202, reply.text
    await until(program.online, lambda online: online >= first - 1 + count, limit_s=60)
    return made


@dataclass
class Writers:
    """Integrators at work: each writes numbered messages to customers of one account, in order, and repeats a
    request under the same key until it is acknowledged.
    """

    programs: Sequence[Program]  # asked in turn: whoever answers will do
    accounts: Sequence[UUID]
    total: int
    each: int = 3  # conversations per account
    pause_s: float = 0.0
    acknowledged: dict[str, UUID] = field(default_factory=dict[str, UUID])  # key -> message
    answers: Counter[int] = field(default_factory=Counter[int])  # by HTTP status; 0: the connection broke

    async def run(self) -> None:
        conversations = len(self.accounts) * self.each
        async with httpx.AsyncClient(timeout=20, trust_env=False, verify=False) as http, asyncio.TaskGroup() as tasks:
            for place in range(conversations):
                count = self.total // conversations + (place < self.total % conversations)
                tasks.create_task(self._write(http, place, count))

    async def reached(self, count: int) -> None:
        """Return once so many messages were acknowledged."""

        async def look() -> int:
            return len(self.acknowledged)

        await until(look, lambda seen: seen >= count, limit_s=60)

    async def _write(self, http: httpx.AsyncClient, place: int, count: int) -> None:
        account = self.accounts[place % len(self.accounts)]
        for number in range(1, count + 1):
            body = {"account": str(account), "to": f"+97155{place:07d}", "text": f"order #{number}"}
            self.acknowledged[f"{place}-{number}"] = await self._insist(http, f"{place}-{number}", body)
            if self.pause_s:
                await asyncio.sleep(self.pause_s)

    async def _insist(self, http: httpx.AsyncClient, key: str, body: dict[str, str]) -> UUID:
        turn = 0
        while True:
            program = self.programs[turn % len(self.programs)]
            turn += 1
            headers = {"Authorization": f"Bearer {program.token}", "Idempotency-Key": key}
            try:
                reply = await http.post(f"{program.url}/api/v1/messages", json=body, headers=headers)
            except httpx.TransportError:
                self.answers[0] += 1
                await asyncio.sleep(0.1)
                continue
            self.answers[reply.status_code] += 1
            if reply.status_code == 202:
                return UUID(reply.json()["id"])
            assert reply.status_code in {429, 503}, reply.text
            assert reply.headers["content-type"] == "application/problem+json"
            await asyncio.sleep(0.1)


@dataclass(frozen=True)
class Stored:
    """What the database knows."""

    outgoing: dict[UUID, str]  # message -> state
    incoming: Counter[str]  # the network's ids


async def stored(dsn: str) -> Stored:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        sent = await (await conn.execute("select message_id, state from outbox")).fetchall()
        said = await (await conn.execute("select provider_id from messages where direction = 'in'")).fetchall()
    return Stored({row[0]: row[1] for row in sent}, Counter(row[0] for row in said))


async def _open_ends(program: Program, control: Control) -> dict[str, Any]:
    try:
        fleet = await program.get("/fleet")
    except (httpx.HTTPStatusError, httpx.TransportError) as error:
        return {"api": repr(error)}
    lines = await control.ledger()
    return {"to send": fleet["waiting"], "to take in": sum(one.waiting for one in lines)}


async def prove(
    program: Program,
    control: Control,
    dsn: str,
    acknowledged: set[UUID],
    *,
    written: int,
    replaced: int = 0,
    limit_s: float = 45,
) -> None:
    """Wait until nothing is open, then compare what crossed the network with what the API promised and what is stored.

    written   messages that customers wrote
    replaced  sessions that may have been ended by another login of their account
    """
    await until(
        lambda: _open_ends(program, control), lambda left: left == {"to send": 0, "to take in": 0}, limit_s=limit_s
    )
    lines = await control.ledger()
    sent = {UUID(bytes=ref.ref): ref.times for one in lines for ref in await control.refs(one.account)}
    offered = {offer.id for one in lines for offer in await control.offers(one.account)}
    known = await stored(dsn)
    assert set(sent) == acknowledged
    assert set(known.outgoing) == acknowledged
    assert set(sent.values()) <= {1}
    assert set(known.outgoing.values()) <= SENT, Counter(known.outgoing.values())
    assert len(offered) == written
    assert known.incoming == Counter(offered)
    assert [one for one in lines if one.sent_twice or one.out_of_order or one.waiting or one.hidden] == []
    assert sum(one.replaced for one in lines) <= replaced
    ledger = await until(lambda: program.get("/ledger"), lambda told: _handled(told) == written)
    assert ledger["balanced"] is True, ledger["sentence"]


def _handled(ledger: dict[str, Any]) -> int:
    return int(ledger["totals"]["handled"])


async def customers_write(control: Control, rate: float = 0, total: int = 0) -> None:
    """Have customers write, if so many are given, and return once they have written all."""
    if total:
        await control.start_load(rate, total=total, customers=5)

    async def writing() -> bool:
        return any(load.running for load in await control.loads())

    await until(writing, lambda still: not still, limit_s=60)
