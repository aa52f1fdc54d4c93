"""Carries out what was asked of the accounts this node holds."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, cast
from uuid import UUID

import structlog

from wafleet.accounts.asks import store
from wafleet.accounts.asks.store import Asked
from wafleet.accounts.live.held import Held
from wafleet.domain.ids import AccountId
from wafleet.engine.db import Db
from wafleet.transports.base import Asks, SendError

log = structlog.get_logger(__name__)
PAUSE_S: Final = 0.5  # between two lookups of one account: who asks quickly for many is taken for a spammer
LIMIT_S: Final = 7.0


class Lists(Protocol):
    """A session that can list what the network approved beforehand, where `Capabilities.asks` names "templates"."""

    async def templates(self) -> list[dict[str, Any]]:
        """Return templates: name, language, status, category, text, header, variables. Raises SendError."""
        ...


class Asking:
    """One question of an account at a time, in order; nothing runs while nothing is asked.

    answered  called with the question's id once its answer is stored
    """

    def __init__(self, db: Db, *, held: Mapping[AccountId, Held], answered: Callable[[UUID], None]) -> None:
        self._db, self._held, self._answered = db, held, answered
        self._turns: defaultdict[AccountId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looking = asyncio.Lock()
        self._begun, self._over = set[UUID](), set[UUID]()
        self._tasks = set[asyncio.Task[None]]()

    def asked(self, accounts: Iterable[AccountId] | None) -> None:
        """Look at what was asked of these accounts; None: of any."""
        mine = [one for one in (self._held if accounts is None else accounts) if one in self._held]
        if mine:
            self._begin(self._look(mine))

    async def _look(self, accounts: list[AccountId]) -> None:
        async with self._looking:
            over = set(self._over)  # a look that began earlier may still see these unanswered
            async with self._db.fleet_tx() as tx:
                found = await store.waiting(tx, accounts=accounts)
            self._begun -= over
            self._over -= over
            for one in found:
                if one.id not in self._begun:
                    self._begun.add(one.id)
                    self._begin(self._carry_out(one))

    async def _carry_out(self, one: Asked) -> None:
        try:
            async with self._turns[one.account_id]:
                answer = await self._answer(one)
                async with self._db.fleet_tx() as tx:
                    await store.answer(tx, asked=one, answer=answer)
                self._answered(one.id)
                if one.kind == "lookup":
                    await asyncio.sleep(PAUSE_S)
        finally:
            self._over.add(one.id)

    async def _answer(self, one: Asked) -> dict[str, Any]:
        held = self._held.get(one.account_id)
        if held is None or held.live is None or not held.live.usable:
            return {"error": "the account is not connected any more"}
        try:
            async with asyncio.timeout(LIMIT_S):
                return await _said(cast("Asks", held.live.session), one)
        except (SendError, TimeoutError) as error:
            log.info("ask_failed", account=str(one.account_id), kind=one.kind, error=repr(error))
            return {"error": str(error) or "no answer came back in time"}

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("asking_failed", error=repr(error))


async def _said(session: Asks, one: Asked) -> dict[str, Any]:
    body = one.body
    match one.kind:
        case "lookup":
            return {"found": dict(await session.lookup(body["phones"]))}
        case "templates":
            return {"templates": await cast("Lists", session).templates()}
        case "typing":
            await session.typing(body["to"], body["on"], newest=body["newest"])
        case _:
            await session.read(body["identity"], body["provider_ids"])
    return {}
