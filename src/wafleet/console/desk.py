"""The fleet as the console's pages want it, from the services that know it."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import phonenumbers

from wafleet.accounts import Account, Accounts, Fleet, FleetRow, PairingView
from wafleet.console.cards import Card
from wafleet.console.needs import LinkStep
from wafleet.domain.absence import absence
from wafleet.domain.account import State
from wafleet.domain.errors import NotFound
from wafleet.tenants import Caller, Tenants

ENDINGS = {
    "link_expired": "expired",
    "link_cancelled": "cancelled",
    "link_refused": "refused",
    "passkey": "passkey",
    "link_wrong_phone": "wrong_phone",
}
WORKING = frozenset({State.CONNECTING, State.ONLINE, State.DEGRADED, State.RECOVERING, State.OFFLINE})


class FleetDesk:
    """Answers the Overview from the accounts and tenants slices.

    picture     draws a QR code's text as SVG
    linkable    transports whose accounts are linked by a phone
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        fleet: Fleet,
        tenants: Tenants,
        picture: Callable[[str], str],
        linkable: Collection[str],
    ) -> None:
        self._accounts, self._fleet, self._tenants = accounts, fleet, tenants
        self._picture, self._linkable = picture, frozenset(linkable)

    async def cards(self, caller: Caller) -> Sequence[Card]:
        """Return every account in the caller's sight."""
        view = await self._fleet.view(caller)
        return [self._card(row, *_why(row, view.at)) for row in view.accounts]

    def _card(self, row: FleetRow, sentence: str, next_step: str) -> Card:
        return Card(
            id=str(row.id),
            name=row.name,
            phone=row.phone,
            shown=shown(row.phone),
            tenant=row.tenant,
            transport=row.transport,
            role=row.role,
            state=row.state.value,
            reason=row.reason,
            sentence=sentence,
            next_step=next_step,
            soon=_is_well(row.state, row.reason) and bool(sentence),
            since=_ms(row.state_since),
            active=_ms(row.last_activity_at) if row.last_activity_at else None,
            waiting=row.waiting,
            sent=row.sent_today,
            received=row.received_today,
            spark=row.spark,
            linkable=row.transport in self._linkable,
        )

    async def place(self, caller: Caller) -> str:
        return "" if caller.tenant is None else (await self._tenants.get(caller, str(caller.tenant))).name

    async def link(self, caller: Caller, account: str) -> None:
        await self._accounts.link(caller, id_of(account), again=True)

    async def link_step(self, caller: Caller, account: str) -> LinkStep:
        id = id_of(account)
        return self._step(await self._accounts.get(caller, id), await self._accounts.pairing(caller, id))

    async def cancel_link(self, caller: Caller, account: str) -> None:
        await self._accounts.cancel_link(caller, id_of(account))

    async def reconnect(self, caller: Caller, account: str) -> None:
        await self._accounts.reconnect(caller, id_of(account))

    async def enable(self, caller: Caller, account: str) -> None:
        await self._accounts.enable(caller, id_of(account))

    async def disable(self, caller: Caller, account: str) -> None:
        await self._accounts.disable(caller, id_of(account))

    def _step(self, account: Account, pairing: PairingView) -> LinkStep:
        stage = _stage(pairing)
        linked, linking = stage == "linked", pairing.state == State.LINKING
        goes_on = account.linked and not linked and pairing.state in WORKING
        return LinkStep(
            name=account.name,
            phone=shown(account.phone),
            stage=stage,
            sentence="The phone is linked." if linked else _sentence(pairing, goes_on=goes_on),
            detail="" if linked or linking else pairing.detail,
            next_step="Nothing to do: the number connects by itself." if linked else pairing.next_step,
            qr=self._picture(pairing.qr) if linking and pairing.qr else "",
            code=pairing.code if linking else "",
            expires_at=pairing.expires_at if linking else None,
            deadline_at=pairing.deadline_at if linking else None,
        )


def _stage(pairing: PairingView) -> str:
    if pairing.state == State.LINKING:
        return "scan" if pairing.qr or pairing.code else "starting"
    return "linked" if pairing.ended == "linked" else ENDINGS.get(pairing.ended, "failed")


def _sentence(pairing: PairingView, *, goes_on: bool) -> str:
    return f"{pairing.sentence} The number goes on with its earlier session." if goes_on else pairing.sentence


def _why(row: FleetRow, now: datetime) -> tuple[str, str]:
    """Say why an account is not well, or what a person must do soon so that it stays well, and the next step."""
    if not _is_well(row.state, row.reason):
        return row.sentence, row.next_step
    away = absence(row.phone_seen_at, now=now)
    return (away.sentence, away.next_step) if away is not None and away.next_step else ("", "")


def _is_well(state: State, reason: str) -> bool:
    return state == State.ONLINE or not reason


@lru_cache(maxsize=50_000)
def shown(phone: str) -> str:
    """Write an E.164 number as people read it: +966 50 123 4567."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def id_of(account: str) -> UUID:
    """Read an account's id. Raises NotFound: what is no id names no account."""
    try:
        return UUID(account)
    except ValueError:
        raise NotFound("There is no such account") from None
