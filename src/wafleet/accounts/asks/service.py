"""Questions to WhatsApp besides messages: whoever holds the account's session carries them out, on any node.

    ask: a row ── woken ──▶ the session's owner ── WhatsApp ──▶ the answer in the row ── woken ──▶ whoever asked

Rows last for seconds. Nobody looks for them unless woken, so accounts that are asked nothing cost nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from wafleet.accounts.asks import store
from wafleet.accounts.changes import limit_of
from wafleet.accounts.store import account as account_of
from wafleet.domain import phone
from wafleet.domain.account import State
from wafleet.domain.errors import Conflict, Invalid, Late, NotFound
from wafleet.domain.ids import AccountId, new_id
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.wakes import Waiting, Wakes
from wafleet.tenants import Caller
from wafleet.transports.base import Transport

ASKED: Final = "asks"  # woken with the ids of accounts that something was asked of
ANSWERED: Final = "answers"  # woken with the ids of asks that were answered
PATIENCE_S: Final = 8.0
AGAIN_S: Final = 1.0  # a wake-up may be lost
REMEMBERED: Final = timedelta(days=1)  # what WhatsApp said of a phone
MOST_PHONES: Final = 50
_LIVE: Final = frozenset({State.ONLINE, State.DEGRADED})
_WORDS: Final = {
    "lookup": "look numbers up",
    "typing": "show that somebody is writing",
    "read": "show what was read",
    "templates": "list templates",
}


class Asks:
    """Looks numbers up, lists templates, shows that somebody writes, and tells customers what was read."""

    def __init__(self, db: Db, clock: Clock, *, wakes: Wakes, transports: Mapping[str, Transport]) -> None:
        self._db, self._clock, self._wakes, self._transports = db, clock, wakes, transports

    async def lookup(self, caller: Caller, account: UUID, phones: Sequence[str]) -> dict[str, bool | None]:
        """Tell which phones are on WhatsApp; None: it cannot tell. What was asked within a day is remembered.

        Raises Invalid (also where the account's transport cannot look up), NotFound, Conflict when it is not
        connected, and Late.
        """
        if not 0 < len(phones) <= MOST_PHONES:
            raise Invalid("phones", f"phones: name 1 to {MOST_PHONES} numbers at a time")
        wanted = list(dict.fromkeys(phone.normalise(p, field=f"phones[{i}]") for i, p in enumerate(phones)))
        async with self._db.tx(caller.reach) as tx:
            known = await store.remembered(tx, account=account, phones=wanted, since=self._clock.now() - REMEMBERED)
        asked = [one for one in wanted if one not in known]
        if asked:
            known |= (await self._ask(caller, account, "lookup", {"phones": asked})).get("found", {})
        else:
            await self._live(caller, account, "lookup", connected=False)
        return {one: known.get(one) for one in wanted}

    async def typing(self, caller: Caller, account: UUID, *, to: str, on: bool) -> None:
        """Show a customer that somebody is writing, or no longer. Raises as `lookup`."""
        to, newest = phone.identity(to), ""
        if on:
            async with self._db.tx(caller.reach) as tx:
                newest = await store.newest_of(tx, account=account, identity=to)
        await self._ask(caller, account, "typing", {"to": to, "on": on, "newest": newest})

    async def tell_read(self, caller: Caller, account: UUID, *, identity: str, provider_ids: Sequence[str]) -> None:
        """Show a customer that these messages were read, where the transport can; nobody waits for it."""
        try:
            id = await self._live(caller, account, "read")
            await self._put(caller, id, "read", {"identity": identity, "provider_ids": list(provider_ids)})
        except (Conflict, Invalid, NotFound, DatabaseAway):
            return

    async def templates(self, caller: Caller, account: UUID) -> list[dict[str, Any]]:
        """List the templates that the network approved for this account, with their blanks. Raises as `lookup`."""
        return (await self._ask(caller, account, "templates", {})).get("templates", [])

    async def forget(self) -> None:
        """Delete questions that are over, and what was remembered for long enough."""
        async with self._db.fleet_tx() as tx:
            await store.forget(tx, older_than=REMEMBERED)

    async def _ask(self, caller: Caller, account: UUID, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        id = await self._live(caller, account, kind)
        with self._wakes.waiting(ANSWERED) as waiting:
            answer = await self._answer(waiting, caller, await self._put(caller, id, kind, body))
        if answer is None:
            raise Late("WhatsApp did not answer in time: try again in a moment")
        if "error" in answer:
            raise Conflict(f"WhatsApp did not do this: {answer['error']}", code="refused")
        return answer

    async def _live(self, caller: Caller, account: UUID, kind: str, *, connected: bool = True) -> AccountId:
        async with self._db.tx(caller.reach) as tx:
            found = await account_of(tx, id=account, only=limit_of(caller))
        if found is None:
            raise NotFound("There is no such account: look it up in the list of accounts")
        transport = self._transports.get(found.transport)
        if transport is None or kind not in transport.capabilities.asks:
            raise Invalid("account", f"Accounts of {found.transport!r} cannot {_WORDS[kind]}", code="cannot_do")
        if connected and found.state not in _LIVE:
            raise Conflict(f"This account is {found.state}: ask once it is online", code="not_connected")
        return found.id

    async def _put(self, caller: Caller, account: AccountId, kind: str, body: dict[str, Any]) -> UUID:
        id = new_id()
        async with self._db.tx(caller.reach) as tx:
            await store.put(tx, id=id, account=account, kind=kind, body=body, within=timedelta(seconds=PATIENCE_S))
        self._wakes.wake(ASKED, str(account))
        return id

    async def _answer(self, waiting: Waiting, caller: Caller, id: UUID) -> dict[str, Any] | None:
        until = self._clock.monotonic() + PATIENCE_S
        while True:
            waiting.clear()
            async with self._db.tx(caller.reach) as tx:
                answer = await store.answer_of(tx, id=id)
            left = until - self._clock.monotonic()
            if answer is not None or left <= 0:
                return answer
            await waiting.wait(min(left, AGAIN_S))
