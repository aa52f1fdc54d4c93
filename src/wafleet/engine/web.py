"""What every HTTP face shares: bodies that refuse what they do not know, pages, cursors, times."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel, PlainSerializer, field_validator

Item = TypeVar("Item")
Place = TypeVar("Place")

MOST_PER_PAGE: Final = 200
CHECKSUM_BYTES: Final = 6


def iso(at: datetime) -> str:
    """Write a moment as people and programs read it: ISO 8601, UTC, with Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


Stamp = Annotated[datetime, PlainSerializer(iso, return_type=str, when_used="json")]
Limit = Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="how many items at most")]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next` of the page before, to continue where it ended")
]


class Body(BaseModel, extra="forbid"):
    """What a caller may say: fields that do not exist are refused, and so is text no database can store."""

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if _has_nul(value):
            raise ValueError("remove the character U+0000: it cannot be stored")
        return value


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict | list):
        return "\\u0000" in msgspec.json.encode(value).decode()
    return False


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` asks for the following one and is null on the last."""

    items: list[Item]
    next: str | None = None


class BadCursor(ValueError):
    """A cursor that this program did not make."""


def page(rows: Sequence[Item], *, limit: int, place: Callable[[Item], Sequence[object]]) -> Page[Item]:
    """Make a page of rows that were fetched with `limit + 1`: the one too many tells whether more follow.

    place    where a row stands in the order of the list: what its cursor holds
    """
    items = list(rows[:limit])
    return Page[Item](items=items, next=encode_cursor(*place(items[-1])) if len(rows) > limit else None)


def encode_cursor(*place: object) -> str:
    """Write a place in a list as opaque text."""
    body = msgspec.json.encode(place)
    return base64.urlsafe_b64encode(_checksum(body) + body).rstrip(b"=").decode()


def decode_cursor(cursor: str, kind: type[Place]) -> Place:
    """Read a cursor back as `kind`, for example `tuple[datetime, UUID]`. Raises BadCursor.

    The checksum finds slips, not attackers: a place reveals nothing, since row security decides what is seen there.
    """
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if _checksum(raw[CHECKSUM_BYTES:]) != raw[:CHECKSUM_BYTES]:
            raise BadCursor
        return msgspec.json.decode(raw[CHECKSUM_BYTES:], type=kind)
    except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError, ValueError) as error:
        raise BadCursor("Take the cursor from `next` of the page before, as it is") from error


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=CHECKSUM_BYTES).digest()
