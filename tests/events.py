"""What was written down in a test has the shape that the page of events promises."""

import re
from typing import Final

import psycopg

from wafleet.domain.events import MEANINGS, Kind

_FREE: Final = {Kind.ACCOUNT_CREATED, Kind.ACCOUNT_CHANGED}  # carry the fields that were given, whichever they are
_WHOLE: Final = {Kind.ACCOUNT_STATE}  # carries all of them, whoever moved the account


def _promised(kind: Kind) -> set[str]:
    return set(re.split(r",\s*", MEANINGS[kind].partition("data: ")[2]))


async def undocumented(dsn: str) -> list[tuple[str, list[str]]]:
    """Return kinds of events whose data differ from what is promised, with what they carry."""
    kinds = {kind.value: kind for kind in Kind}
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        found = await conn.execute("select distinct kind, array(select jsonb_object_keys(data) order by 1) from events")
        seen = await found.fetchall()
    return [
        (name, keys)
        for name, keys in seen
        if (kind := kinds.get(name)) and kind not in _FREE
        if not (set(keys) == _promised(kind) if kind in _WHOLE else set(keys) <= _promised(kind))
    ]
