"""The moves between states are the same in Python and in the database."""

from enum import StrEnum

import pytest

from wafleet.domain.account import DEADLINES, MOVES, REASONS, State
from wafleet.domain.message import MOVES as SENDING
from wafleet.engine.db import Db


@pytest.mark.parametrize(("machine", "moves"), [("account", MOVES), ("outbox", SENDING)])
async def test_the_database_allows_what_python_allows(
    db: Db, machine: str, moves: dict[StrEnum, frozenset[StrEnum]]
) -> None:
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select before, after from moves where machine = %(machine)s", machine=machine)
    assert set(rows) == {(before.value, after.value) for before, some in moves.items() for after in some}


@pytest.mark.parametrize("state", list(DEADLINES))
def test_a_state_that_must_not_last_ends_where_it_may(state: State) -> None:
    limit, to, reason = DEADLINES[state]
    assert limit.total_seconds() > 0
    assert to in MOVES[state]
    assert REASONS[reason].sentence
