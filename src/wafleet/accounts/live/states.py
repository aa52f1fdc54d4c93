"""Writes observed states: many accounts in one statement, each fenced by its lease's epoch."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.store import Move
from wafleet.domain.account import State, explain
from wafleet.domain.ids import AccountId
from wafleet.engine.batch import Batch
from wafleet.engine.db import Db

log = structlog.get_logger(__name__)


class States:
    """Moves accounts through their states; while the database is away moves wait, in order."""

    def __init__(self, db: Db, *, told: Callable[[], None]) -> None:
        self._db, self._told = db, told
        self.batch: Batch[Move, bool] = Batch("account_states", self._write, most=1000, patient=True)

    async def move(
        self, held: Held, to: State, reason: str = "", detail: str = "", *, retry_in: timedelta | None = None
    ) -> bool:
        """Write one move and tell whether it landed; it does not when the lease is lost or the move not allowed.

        Somebody changed the account then, and nothing is done with it before it was read anew.
        """
        if held.dropped:
            return False
        held.writes += 1
        landed = await self.batch.put(
            Move(held.row.id, held.lease.epoch, to, reason, detail, retry_in, held.failures, held.link_deadline)
        )
        held.writes += 1
        held.stale = not landed
        if landed:
            self._note(held, to, reason, detail)
        return landed

    def _note(self, held: Held, to: State, reason: str, detail: str) -> None:
        row = held.row
        if to not in {State.CONNECTING, State.ONLINE} and reason not in {"handover", row.reason}:
            log.warning(
                "account_state",
                account=str(row.id),
                state=to,
                reason=reason,
                why=explain(reason).sentence,
                detail=detail,
            )
        row.state, row.reason, row.retry_at = to, reason, None
        if to is State.LOGGED_OUT:
            held.proven = False

    async def _write(self, moves: Sequence[Move]) -> list[bool]:
        landed = [False] * len(moves)
        async with self._db.fleet_tx() as tx:
            for turn in _turns(moves):
                done = await store.move(tx, [moves[i] for i in turn])
                for i in turn:
                    landed[i] = moves[i].account in done
        self._told()
        return landed


def _turns(moves: Sequence[Move]) -> list[list[int]]:
    """Split moves so that an account appears once in each statement, its moves in their order."""
    turns: list[list[int]] = []
    seen: dict[AccountId, int] = {}
    for i, move in enumerate(moves):
        turn = seen.get(move.account, -1) + 1
        seen[move.account] = turn
        if turn == len(turns):
            turns.append([])
        turns[turn].append(i)
    return turns
