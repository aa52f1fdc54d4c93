"""Accounts that their networks call: found fast, with what proves a call, on whichever node it comes in."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

import structlog

from wafleet.accounts.callees import store
from wafleet.accounts.callees.store import Heard
from wafleet.accounts.proxy_password import Sealer
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.batch import Batch
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.engine.loops import Loop
from wafleet.engine.secrets import SecretError

log = structlog.get_logger(__name__)
NAMED_BY: Final[Mapping[str, str]] = {"meta": "phone_number_id", "gateway": "session"}  # setting with the number's name
OF_BUSINESS: Final = "waba:"  # before the name of a business account: news of all its numbers
MOST: Final = 20_000  # accounts that are remembered, and addresses that belong to none
GOOD_S: Final = 60.0  # what is remembered is read again after this, should a notice of a change be lost
NOBODY_S: Final = 5.0
SAME_NAME: Final = 200  # numbers of one business account
STILL_CALLED: Final = timedelta(days=7)  # a number that was moved: receipts of its last messages may come this long

Key = tuple[str, AccountId]


@dataclass(frozen=True, slots=True)
class Callee:
    """An account as a call of its network finds it. Its credentials are in plain: it is never shown or logged."""

    account: AccountId
    tenant: TenantId
    transport: str
    credentials: bytes
    settings: Mapping[str, Any]
    names: frozenset[str]  # what the network may call its number
    read_at: float  # monotonic

    def __repr__(self) -> str:
        return f"<callee {self.account}>"

    @property
    def business(self) -> str:
        """The business account it belongs to, as far as its settings say."""
        return _setting(self.transport, self.settings, "waba_id")


class Callees:
    """Remembers accounts that are called. `forget` what changed; everything else is found in a few microseconds."""

    def __init__(self, db: Db, *, clock: Clock, secrets: Sealer) -> None:
        self._db, self._clock, self._secrets = db, clock, secrets
        self._known: OrderedDict[Key, Callee] = OrderedDict()
        self._nobody: OrderedDict[object, float] = OrderedDict()
        self._named: OrderedDict[tuple[str, str], tuple[float, list[Callee]]] = OrderedDict()
        self._heard: dict[Key, Heard] = {}
        self.batch: Batch[Key, Callee | None] = Batch("callees", self._read, most=500, patient=False)

    def known(self, transport: str, account: AccountId) -> Callee | None:
        """Return an account that is remembered, without waiting."""
        found = self._known.get((transport, account))
        return found if found is not None and self._clock.monotonic() - found.read_at < GOOD_S else None

    async def find(self, transport: str, account: AccountId, *, anew: bool = False) -> Callee | None:
        """Return the account with this id if the network of `transport` may call it. Raises DatabaseAway.

        anew  read it again, whatever is remembered: its credentials may have been replaced a moment ago
        """
        key = (transport, account)
        if not anew:
            if (found := self.known(transport, account)) is not None:
                return found
            if self._clock.monotonic() - self._nobody.get(key, -NOBODY_S) < NOBODY_S:
                return None
        return await self.batch.put(key)

    def age(self, callee: Callee) -> float:
        """Return how many seconds ago an account was read."""
        return self._clock.monotonic() - callee.read_at

    async def named(self, transport: str, number: str) -> Sequence[Callee]:
        """Return the accounts whose network calls their number, or the business account they belong to, so."""
        now, key = self._clock.monotonic(), (transport, number)
        at, found = self._named.get(key, (-GOOD_S, []))
        if now - at < (GOOD_S if found else NOBODY_S):
            return found
        business = number.startswith(OF_BUSINESS)
        setting = "waba_id" if business else NAMED_BY.get(transport, "")
        name = number.removeprefix(OF_BUSINESS)
        async with self._db.fleet_tx() as tx:
            rows = await store.named(tx, transport=transport, key=setting, number=name, most=SAME_NAME)
        found = [one for row in rows if (one := self._opened(row)) is not None]
        _remember(self._named, key, (now, found))
        return found

    def forget(self, accounts: Iterable[AccountId] | None) -> None:
        """Read these accounts again when they are called next; None: all."""
        self._named.clear()
        self._nobody.clear()
        gone = None if accounts is None else set(accounts)
        for key in [key for key in self._known if gone is None or key[1] in gone]:
            del self._known[key]

    def heard(self, callee: Callee, *, inbound: bool) -> None:
        """Take note that an account was called; stored within a second or so."""
        heard = self._of(callee)
        heard.called_at = self._clock.now()
        heard.inbound_at = heard.called_at if inbound else heard.inbound_at

    def refused(self, callee: Callee, why: str) -> None:
        """Take note that a call was refused, so that whoever set the webhook up can see why."""
        heard = self._of(callee)
        if not heard.refused:
            log.warning("call_refused", account=str(callee.account), transport=callee.transport, why=why)
        heard.refused_at, heard.refused = self._clock.now(), why

    def loops(self) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (Loop(name="calls.note", turn=self.note, every=timedelta(seconds=1)),)

    async def note(self) -> None:
        """Store who was called since the last time."""
        heard, self._heard = self._heard, {}
        if heard:
            async with self._db.fleet_tx() as tx:
                await store.note(tx, list(heard.values()))

    def _of(self, callee: Callee) -> Heard:
        key = (callee.transport, callee.account)
        heard = self._heard.get(key)
        if heard is None:
            heard = self._heard[key] = Heard(callee.account, callee.tenant, callee.transport)
        return heard

    async def _read(self, keys: Sequence[Key]) -> list[Callee | None]:
        async with self._db.fleet_tx() as tx:
            rows = await store.called(tx, {(id, kind) for kind, id in keys}, moved_within=STILL_CALLED)
        found = {(row.transport, row.id): self._opened(row) for row in rows}
        for key in keys:
            if (one := found.get(key)) is None:
                self._known.pop(key, None)
                _remember(self._nobody, key, self._clock.monotonic())
            else:
                _remember(self._known, key, one)
        return [found.get(key) for key in keys]

    def _opened(self, row: store.Called) -> Callee | None:
        try:
            credentials = self._secrets.decrypt(row.credentials, about=row.id.bytes)
        except SecretError:
            log.warning("credentials_unreadable", account=str(row.id))
            return None
        return Callee(
            account=row.id,
            tenant=row.tenant_id,
            transport=row.transport,
            credentials=credentials,
            settings=row.settings,
            names=frozenset(filter(None, (row.phone, _named(row.transport, row.settings)))),
            read_at=self._clock.monotonic(),
        )


def _named(transport: str, settings: Mapping[str, Any]) -> str:
    return _setting(transport, settings, NAMED_BY[transport]) if transport in NAMED_BY else ""


def _setting(transport: str, settings: Mapping[str, Any], name: str) -> str:
    section = settings.get(transport)
    return str(cast("dict[str, Any]", section).get(name) or "") if isinstance(section, dict) else ""


def _remember(known: "OrderedDict[Any, Any]", key: object, value: object) -> None:
    known[key] = value
    if len(known) > MOST:
        known.popitem(last=False)
