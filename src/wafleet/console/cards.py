"""What the Overview knows of each account, and what changed since a moment ago."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One account on the Overview. Times are milliseconds since 1970, as browsers count."""

    id: str
    name: str
    phone: str  # E.164
    shown: str  # the phone number as people read it
    tenant: str
    transport: str
    role: str
    state: str
    reason: str  # the code
    sentence: str  # why it is where it is; empty when all is well
    next_step: str
    since: int
    active: int | None  # when it last sent or received
    waiting: int
    sent: int  # today
    received: int  # today
    spark: Sequence[int]  # messages per five minutes, oldest first
    soon: bool = False  # it is well, and `next_step` is due within days
    linkable: bool = True  # a phone links it, by QR or pairing code


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """What a screen must alter: `changed` holds only the fields that differ, all of them for an account that is new."""

    now: int
    changed: Sequence[Mapping[str, Any]]
    gone: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


class Full(msgspec.Struct, frozen=True, kw_only=True):
    now: int
    accounts: Sequence[Card]


FIELDS = Card.__struct_fields__


def difference(before: Mapping[str, Card], after: Iterable[Card], *, now: int) -> Patch:
    """Compare two views of the fleet. Applying the result to `before` gives `after`, whatever the order."""
    changed: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    for card in after:
        seen.add(card.id)
        old = before.get(card.id)
        if old is None:
            changed.append(msgspec.structs.asdict(card))
        elif old != card:
            changed.append({"id": card.id} | _differing(old, card))
    return Patch(now=now, changed=changed, gone=[id for id in before if id not in seen])


def _differing(old: Card, new: Card) -> dict[str, Any]:
    return {f: value for f in FIELDS if (value := getattr(new, f)) != getattr(old, f)}


def embedded(value: msgspec.Struct | Mapping[str, Any]) -> str:
    """Write JSON that may stand inside a `<script type="application/json">`, whatever names people chose."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
