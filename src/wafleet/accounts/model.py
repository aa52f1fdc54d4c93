"""An account as people and programs see it, and what they may write. Never its credentials."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import msgspec

from wafleet.accounts import proxy_password as private
from wafleet.accounts.settings import read_settings, stored
from wafleet.domain import phone
from wafleet.domain.account import Desired, State, explain
from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.web import Stamp

LONGEST_NAME: Final = 100
LONGEST_ROLE: Final = 50
LARGEST_METADATA: Final = 16_384  # bytes of JSON
HIGHEST_PRIORITY: Final = 1_000_000
SHOWN_OF_SECRET: Final = 4
SHORTEST_SHOWN: Final = 12  # of a shorter secret, four characters would be too much


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One WhatsApp number of the fleet, and how it is now."""

    id: AccountId
    tenant_id: TenantId
    tenant: str
    name: str
    phone: str  # E.164
    transport: str
    role: str
    priority: int  # higher starts first
    metadata: dict[str, Any]
    settings: dict[str, Any]
    desired: Desired
    state: State
    reason: str
    detail: str
    sentence: str = ""  # follows from the reason, like the next step
    next_step: str = ""
    state_since: Stamp
    retry_at: Stamp | None
    credentials_hint: str
    linked: bool
    node: str | None  # which node holds its session
    last_inbound_at: Stamp | None
    last_sent_at: Stamp | None
    phone_seen_at: Stamp | None  # of a linked device: when its phone was last in touch
    provider: dict[str, str]  # what its network last said of it: quality, limit, status
    last_call_at: Stamp | None  # when its network last called wafleet
    call_refused_at: Stamp | None  # when a call was last refused, and why
    call_refused: str
    waiting: int  # messages in its outbox
    created_at: Stamp
    updated_at: Stamp

    def __post_init__(self) -> None:
        why = explain(self.reason)
        object.__setattr__(self, "desired", Desired(self.desired))
        object.__setattr__(self, "state", State(self.state))
        object.__setattr__(self, "sentence", why.sentence)
        object.__setattr__(self, "next_step", why.next_step)


LINKED: Final = "linked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingView:
    """What a person must do now to link an account's phone, or how the last attempt ended.

    When linking anew fails, an account goes back to its former session: its state does not tell, `ended` does.
    """

    state: State
    reason: str
    ended: str = ""  # "linked", or the reason why not; empty while it is being linked, and before the first attempt
    detail: str = ""  # of an attempt that failed
    sentence: str = ""  # follows from `ended` where that is a reason, else from `reason`; like the next step
    next_step: str = ""
    qr: str = ""  # the text inside the QR code
    code: str = ""  # the pairing code to type on the phone
    expires_at: Stamp | None = None
    deadline_at: Stamp | None = None  # when linking is given up

    def __post_init__(self) -> None:
        why = explain(self.reason if self.ended in {"", LINKED} else self.ended)
        object.__setattr__(self, "state", State(self.state))
        object.__setattr__(self, "sentence", why.sentence)
        object.__setattr__(self, "next_step", why.next_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What one account did in a period."""

    account: AccountId
    since: Stamp
    until: Stamp
    sent: int
    received: int
    delivered: int
    read: int
    failed: int
    unknown: int
    waiting: int  # now
    uptime_percent: float | None  # since the account was added; None before it was ever online
    response_s: float | None  # median from a customer's message to our answer; None where nothing was answered
    delivery_s: float | None  # median from sent to delivered


class Fields(TypedDict, total=False):
    """What may be written of an account. What is left out stays as it is; a new one needs name, phone, transport."""

    name: str
    phone: str  # in any usual spelling
    transport: str
    role: str
    priority: int
    metadata: Mapping[str, Any]
    settings: Mapping[str, Any]
    enabled: bool
    credentials: str | Mapping[str, str]  # write-only; for transports whose credentials are entered, not linked


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Fields that were read and found sound; None: not given."""

    name: str | None = None
    phone: str | None = None
    transport: str | None = None
    role: str | None = None
    priority: int | None = None
    metadata: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    enabled: bool | None = None
    credentials: str | None = None
    password: str | None = None  # of the proxy in `settings`; "" when there is none, *** for the one that is stored

    def public(self) -> dict[str, Any]:
        """Return what was given, without the credentials."""
        names = ("name", "phone", "transport", "role", "priority", "metadata", "settings")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def only(self, names: Collection[str]) -> "Checked":
        """Return the same with nothing but these fields given."""
        return Checked(**{name: getattr(self, name) for name in names})


def checked(fields: Fields, *, at: str = "") -> Checked:
    """Read fields as a person wrote them. Raises Invalid naming the field, with `at` before it."""
    settings, password = _settings(fields, at)
    return Checked(
        name=line(fields["name"], f"{at}name", LONGEST_NAME) if "name" in fields else None,
        phone=phone.normalise(fields["phone"], field=f"{at}phone") if "phone" in fields else None,
        transport=fields.get("transport"),
        role=line(fields["role"], f"{at}role", LONGEST_ROLE, empty=True) if "role" in fields else None,
        priority=_priority(fields["priority"], f"{at}priority") if "priority" in fields else None,
        metadata=_metadata(fields["metadata"], f"{at}metadata") if "metadata" in fields else None,
        settings=settings,
        password=password,
        enabled=fields.get("enabled"),
        credentials=_secret(fields["credentials"], f"{at}credentials") if "credentials" in fields else None,
    )


def line(text: str, field: str, longest: int, *, empty: bool = False) -> str:
    """Return one line of text, trimmed. Raises Invalid when it is empty, too long, or holds control characters."""
    text = text.strip()
    if not text and not empty:
        raise Invalid(field, f"{field} is empty: write at least one character")
    if len(text) > longest:
        raise Invalid(field, f"{field} has {len(text)} characters: write at most {longest}")
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in text):
        raise Invalid(field, f"{field} holds control characters: remove them")
    return text


def searchable(text: str) -> str:
    """Return what the database can compare: whatever no stored text can hold is taken out."""
    return "".join(c for c in text.strip() if unicodedata.category(c) not in {"Cc", "Cs"})[:200]


def wanted(text: str | None) -> str | None:
    """Return a filter the database can compare; None, like empty text, filters nothing."""
    return searchable(text) or None if text else None


def hint(secret: str) -> str:
    """Return the end of a secret by which its owner recognises it, or nothing where it is too short to show."""
    if secret.startswith("{"):
        parts = msgspec.json.decode(secret, type=dict[str, str])
        secret = parts.get("accountSid") or max(parts.values(), key=len, default="")
    return secret[-SHOWN_OF_SECRET:] if len(secret) >= SHORTEST_SHOWN else ""


def about(account: AccountId) -> bytes:
    """Name what an account's encrypted credentials belong to, so that they cannot be moved to another row."""
    return account.bytes


def _settings(fields: Fields, at: str) -> tuple[dict[str, Any] | None, str | None]:
    if "settings" not in fields:
        return None, None
    return private.split(stored(read_settings(fields["settings"], field=f"{at}settings")))


def _priority(value: int, field: str) -> int:
    if not -HIGHEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        raise Invalid(field, f"{field} is out of range: write a number up to {HIGHEST_PRIORITY}")
    return value


def _metadata(value: Mapping[str, Any], field: str) -> dict[str, Any]:
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise Invalid(field, f"{field} holds something that is not JSON text") from None
    if len(text) > LARGEST_METADATA:
        raise Invalid(field, f"{field} has {len(text)} bytes of JSON: keep it under {LARGEST_METADATA}")
    if b"\\u0000" in text:
        raise Invalid(field, f"{field} holds a null character: remove it")
    return msgspec.json.decode(text, type=dict[str, Any])


def _secret(value: str | Mapping[str, str], field: str) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(dict(sorted(value.items()))).decode()
    if not text or len(text) > LARGEST_METADATA:
        raise Invalid(field, f"{field} must have 1 to {LARGEST_METADATA} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(field, f"{field} is not text") from None
    return text
