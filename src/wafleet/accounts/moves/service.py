"""Moving an account to another transport: the same account, with its history, reached another way from now on."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

from wafleet.accounts import needs as providers
from wafleet.accounts import proxy_password as private
from wafleet.accounts.changes import Changes
from wafleet.accounts.model import Account, Fields, hint
from wafleet.accounts.moves import store
from wafleet.accounts.store import Held
from wafleet.domain.account import Desired, State
from wafleet.domain.errors import Conflict, Invalid
from wafleet.domain.events import Kind
from wafleet.engine.db import Tx
from wafleet.tenants import Caller, record
from wafleet.transports.base import Transport

NAMES: Final[Mapping[str, str]] = {"device": "lid:", "gateway": "lid:", "meta": "bsuid:"}  # of people without a phone
SHOWN: Final = 20
FALLEN_BACK: Final = frozenset({"buttons", "choices"})  # sent as numbered text where there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What moving an account did, or would do, and what it means for what was there before."""

    account: Account
    was: str  # the transport it leaves
    notes: list[str] = field(default_factory=list[str])  # what to know, in sentences
    unknown_people: int = 0  # conversations with people whom only the former network can name
    some_unknown: list[str] = field(default_factory=list[str])  # the newest of them
    unsendable: int = 0  # waiting messages that the new transport cannot send: they will fail, with a reason


@dataclass(frozen=True, slots=True)
class Consequences:
    notes: list[str]
    people: int
    some: list[str]
    unsendable: int


async def move(
    tx: Tx, changes: Changes, transports: Mapping[str, Transport], caller: Caller, held: Held, fields: Fields
) -> Consequences:
    """Write transport, credentials and settings of an account in one go. Raises Invalid, Conflict.

    Whoever holds its session closes it before it opens the new one. Its messages wait meanwhile.
    """
    given = changes.check({**fields, "settings": _merged(held, fields)})
    to = _elsewhere(held, given.transport)
    if given.password == private.HIDDEN:
        raise Invalid("settings.device.proxy", "settings.device.proxy: write the password in full")
    providers.check_addresses(given.settings, held.settings, platform=caller.platform)
    new = changes.entered(to, given)
    told = await _consequences(tx, transports, held, to)
    if held.state is not State.DISABLED:
        await changes.move(tx, held, State.DISABLED, "moving" if held.desired == Desired.RUNNING else "stopped")
    await store.put_away(tx, account=held.id)
    credentials = changes.sealed(held.id, new.credentials) if new.credentials else None
    await store.move(
        tx,
        account=held.id,
        to=to,
        settings=new.settings or {},
        credentials=credentials,
        hint=hint(new.credentials or ""),
        private=changes.hidden(held.id, new.password),
    )
    if held.desired == Desired.RUNNING:
        state, reason = changes.begins(new)
        await changes.move(tx, dataclasses.replace(held, state=State.DISABLED), state, reason)
    facts = {"from": held.transport, "to": to}
    await changes.tell(tx, Kind.ACCOUNT_MOVED, held, **facts)
    await record(tx, caller, "account.moved", held.id, tenant=held.tenant_id, was=held.transport, to=to)
    return told


async def weigh(
    tx: Tx, changes: Changes, transports: Mapping[str, Transport], held: Held, fields: Fields
) -> Consequences:
    """Tell what moving an account would mean for what is there, and change nothing. Raises Invalid, Conflict."""
    to = _elsewhere(held, changes.check(cast(Fields, {"transport": fields.get("transport")})).transport)
    return await _consequences(tx, transports, held, to)


def _elsewhere(held: Held, to: str | None) -> str:
    if to is None:
        raise Invalid("transport", "transport is missing: name where the account moves to", code="missing")
    if to == held.transport:
        raise Conflict(f"This account is on {held.transport!r} already: change its settings instead", code="same")
    return to


def _merged(held: Held, fields: Fields) -> dict[str, Any]:
    """Return the account's settings without those that belong to the transport it leaves."""
    kept = {name: value for name, value in held.settings.items() if name not in {held.transport, "device"}}
    return {**kept, **fields.get("settings", {})}


async def _consequences(tx: Tx, transports: Mapping[str, Transport], held: Held, to: str) -> Consequences:
    people, some = await store.hidden_people(tx, account=held.id, known=NAMES.get(to, ""), most=SHOWN)
    able = transports[to].capabilities
    waiting = await store.waiting_kinds(tx, account=held.id, free_for=able.free_for)
    sends = able.contents | FALLEN_BACK
    lost = {kind: n for kind, n, _ in waiting if kind not in sends}
    shut = sum(n for kind, _, n in waiting if kind in sends and kind not in able.always)
    notes: list[str] = []
    if people:
        notes.append(
            f"{_counted(people)} with people whose phone is hidden: {to} does not know them by the names of "
            f"{held.transport}. They stay to be read; an answer goes out once the person has written again."
        )
    if lost:
        kinds = ", ".join(f"{n} of kind {kind}" for kind, n in lost.items())
        notes.append(f"Of the messages that wait, {to} cannot send {kinds}: they will fail and say so.")
    if shut and able.free_for is not None:
        hours = able.free_for / timedelta(hours=1)
        notes.append(
            f"Of the messages that wait, {shut} will fail: {to} takes them only within {hours:g} hours after the "
            "customer wrote, which are over. They go out where the customer writes before they are due."
        )
    if held.transport == "device":
        notes.append("The phone still lists the linked device: remove it there, under Linked devices.")
    return Consequences(notes, people, some, sum(lost.values()) + shut)


def _counted(conversations: int) -> str:
    return "1 conversation is" if conversations == 1 else f"{conversations} conversations are"
