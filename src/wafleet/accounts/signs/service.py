"""What networks say of accounts themselves: quality, limits, how they stand. Kept with the account, told as events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple

from wafleet.accounts import store
from wafleet.accounts.live import leads_to
from wafleet.accounts.signs import store as signs_store
from wafleet.accounts.signs.store import Standing
from wafleet.domain.account import MOVES, State, explain
from wafleet.domain.clean import clean
from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId
from wafleet.engine import bus
from wafleet.engine.batch import Batch
from wafleet.engine.db import Db, Tx
from wafleet.transports.calls import Sign

KINDS: Final[Mapping[str, Kind]] = {
    "quality": Kind.ACCOUNT_QUALITY,
    "limit": Kind.ACCOUNT_LIMIT,
    "status": Kind.ACCOUNT_STATUS,
    "template": Kind.ACCOUNT_TEMPLATE,
    "identity": Kind.ACCOUNT_IDENTITY,
}
KEPT: Final = frozenset({"quality", "limit", "status"})  # facts of the account; the rest only happens
AT_REST: Final = frozenset({State.NEW, State.LINKING, State.DISABLED, State.LOGGED_OUT})
AGAIN: Final = timedelta(minutes=15)  # until connecting is tried, where the network says that a number does not work
LONGEST: Final = 500


class Said(NamedTuple):
    account: AccountId
    transport: str  # whose network said it; its account may have moved since
    sign: Sign


class Signs:
    """Keeps what networks say; what was said before, in the same words, changes nothing.

    Nor does what a network says of an account that has moved away from it.

    changed  called after the commit with the accounts whose row changed
    """

    def __init__(self, db: Db, *, changed: Callable[[Sequence[AccountId]], None]) -> None:
        self._db, self._changed = db, changed
        self.batch: Batch[Said, bool] = Batch("account_signs", self._write, most=500, patient=True)

    async def _write(self, said: Sequence[Said]) -> list[bool]:
        async with self._db.fleet_tx() as tx:
            standing = await signs_store.hold(tx, list({one.account for one in said}))
            changed = [await self._take(tx, standing, one) for one in said]
        if accounts := list({one.account for one, new in zip(said, changed, strict=True) if new}):
            self._changed(accounts)
        return changed

    async def _take(self, tx: Tx, standing: dict[AccountId, Standing], one: Said) -> bool:
        before = standing.get(one.account)
        if before is None or before.transport != one.transport or one.sign.kind not in KINDS:
            return False
        sign = replace(one.sign, value=clean(one.sign.value)[:LONGEST], detail=clean(one.sign.detail)[:LONGEST])
        after = standing[one.account] = replace(before, provider=noted(before.provider, sign))
        if sign.kind not in KEPT or after.provider != before.provider:
            await signs_store.keep(tx, account=before.id, provider=after.provider)
            await bus.append(tx, [_event(before, KINDS[sign.kind], _facts(before, sign))])
        elif not sign.reason:
            return False
        if (move := led(after, sign)) is not None:
            standing[one.account] = await self._move(tx, after, sign, *move)
        return True

    async def _move(self, tx: Tx, before: Standing, sign: Sign, to: State, reason: str) -> Standing:
        wait = AGAIN if to is State.BLOCKED and reason and explain(reason).retried else None
        wait = None if reason == "starting" else wait
        await store.move(
            tx, id=before.id, before=[before.state], to=to, reason=reason, detail=sign.detail, retry_in=wait
        )
        told = {"from": before.state, "to": to, "reason": reason, "detail": sign.detail}
        await bus.append(tx, [_event(before, Kind.ACCOUNT_STATE, told)])
        return replace(before, state=to, reason=reason)


def noted(provider: Mapping[str, str], sign: Sign) -> dict[str, str]:
    """Return what is known of an account after one more sign."""
    return {**provider, sign.kind: sign.value} if sign.kind in KEPT else dict(provider)


def led(standing: Standing, sign: Sign) -> tuple[State, str] | None:
    """Return the state and reason that a sign leads to; None: the account stays as it is.

    One whose number works again is connected at once. Whether it truly does, its session finds out.
    """
    if standing.state in AT_REST:
        return None
    if sign.reason:
        to = leads_to(sign.reason)
        allowed = to is standing.state or to in MOVES[standing.state]
        return (to, sign.reason) if allowed and standing.reason != sign.reason else None
    if sign.kind == "status" and standing.state in {State.BLOCKED, State.OFFLINE} and standing.reason != "starting":
        return standing.state, "starting"
    return None


def _facts(before: Standing, sign: Sign) -> dict[str, Any]:
    facts = {"value": sign.value, "reason": sign.reason, "detail": sign.detail}
    if sign.kind in KEPT:
        facts = {"from": before.provider.get(sign.kind, ""), "to": sign.value, **facts}
        del facts["value"]
    return {name: value for name, value in facts.items() if value or name in {"from", "to"}}


def _event(one: Standing, kind: Kind, data: dict[str, Any]) -> bus.Event:
    return bus.Event(kind=kind, tenant=one.tenant_id, account=one.id, data=data)
