"""Codes of providers that nobody knows are told in the event log, where somebody hears of them."""

from wafleet.accounts import UnknownCodes
from wafleet.engine.db import Db
from wafleet.transports.unknown import Code, Unknown


async def test_a_code_that_nobody_knows_is_an_event_told_once(db: Db) -> None:
    codes, told = Unknown(), list[str]()
    telling = UnknownCodes(db, told=lambda: told.append("told"), codes=codes)
    await telling.tell()
    assert told == []
    for _ in range(3):
        codes.met(Code("meta", "139999", "new in this version"))
    for _ in range(2):
        await telling.tell()
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select tenant_id, account_id, data from events where kind = 'provider.unknown_code'")
    assert rows == [(None, None, {"provider": "meta", "code": "139999", "detail": "new in this version"})]
    assert told == ["told"]
