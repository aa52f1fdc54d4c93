"""What customers wrote while nobody here could be told: looked for whenever a session opens, where networks list it."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from wafleet.accounts import Live
from wafleet.domain.ids import AccountId
from wafleet.domain.inbound import Inbound
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.inbox import store
from wafleet.inbox.accept import Inbox
from wafleet.transports.base import Recalls, SendError

log = structlog.get_logger(__name__)
BACK: Final = timedelta(hours=24)  # so far back is looked; before the account was added, customers wrote to others


class Gaps:
    """Takes in what a network lists and the inbox lacks, beside the session's work: going online waits for nothing."""

    def __init__(self, db: Db, *, inbox: Inbox, clock: Clock) -> None:
        self._db, self._inbox, self._clock = db, inbox, clock
        self._looking: dict[AccountId, asyncio.Task[None]] = {}

    def look(self, live: Live) -> None:
        """Begin to look for what an account missed, where its network can tell."""
        self.leave(live)
        if isinstance(live.session, Recalls):
            self._looking[live.account] = asyncio.create_task(self._look(live, live.session))

    def leave(self, live: Live) -> None:
        """Look no further: the session is over, and the next one looks again."""
        if (task := self._looking.pop(live.account, None)) is not None:
            task.cancel()

    async def _look(self, live: Live, session: Recalls) -> None:
        try:
            listed = await session.since(max(self._clock.now() - BACK, live.row.created_at))
            missed = await self._missed(live.account, listed)
        except (SendError, DatabaseAway) as error:
            return log.warning("gap_not_looked_for", account=str(live.account), why=str(error))
        except Exception:  # nobody waits for this task: what it meets must be told here
            return log.exception("gap_not_looked_for", account=str(live.account))
        for one in missed:
            self._inbox.accept(live.tenant, live.account, one)
        if missed:
            log.info("gap_closed", account=str(live.account), messages=len(missed))
        return None

    async def _missed(self, account: AccountId, listed: list[Inbound]) -> list[Inbound]:
        async with self._db.fleet_tx() as tx:
            known = await store.named_by_network(tx, {(account, one.provider_id) for one in listed})
        return [one for one in listed if (account, one.provider_id) not in known]
