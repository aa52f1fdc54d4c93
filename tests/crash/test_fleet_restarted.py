"""A large fleet killed and started again is online within seconds, without a person and without a new QR code."""

import psycopg
import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import until
from tests.crash.traffic import fleet_of

pytestmark = [pytest.mark.crash, pytest.mark.timeout(150)]
ACCOUNTS = 300


async def links(dsn: str) -> int:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        rows = await (await conn.execute("select count(*) from events where kind = 'account.linked'")).fetchall()
    return rows[0][0]


async def test_three_hundred_accounts_are_online_again_after_a_start_without_being_linked_anew(
    stage: Stage, dsn: str
) -> None:
    program, control = stage.program(DATABASE_URL=dsn), await stage.control()
    await program.start()
    await fleet_of(program, ACCOUNTS)
    program.kill()
    await until(control.status, lambda seen: seen.online == 0)
    await program.start()
    await until(program.online, lambda online: online == ACCOUNTS, limit_s=60)
    assert await links(dsn) == ACCOUNTS
    assert sum(one.replaced for one in await control.ledger()) == 0
