"""What wafleet is told of one sender at Twilio: who may speak for it, and how it stands."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from wafleet.transports.base import OpenError
from wafleet.transports.calls import Sign
from wafleet.transports.twilio.errors import PROVIDER, TABLE

API: Final = "https://api.twilio.com"
MESSAGING: Final = "https://messaging.twilio.com"
CONTENT: Final = "https://content.twilio.com"

_WORKS: Final = frozenset({"ONLINE", "ONLINE:UPDATING"})
_PENDING: Final = frozenset({"CREATING", "PENDING_VERIFICATION", "VERIFYING", "TWILIO_REVIEW", "DRAFT", "STUBBED"})
_ACCOUNTS: Final = frozenset({"restricted", "billing", "sender_missing", "permission"})


class Keys(msgspec.Struct, frozen=True, rename="camel"):
    """An account at Twilio and its secret."""

    account_sid: str
    auth_token: str

    def __repr__(self) -> str:
        return f"Keys({self.account_sid})"

    @property
    def auth(self) -> tuple[str, str]:
        return self.account_sid, self.auth_token


class Place(msgspec.Struct, frozen=True):
    """Which sender of that account, and where Twilio is; what else is set is not for this."""

    sender_sid: str = ""  # XE...: without it, quality and limits are not known
    messaging_service_sid: str = ""  # MG...: its rules apply to what is sent
    url: str = ""  # instead of Twilio's own, for everything

    @property
    def api(self) -> str:
        return self.url.rstrip("/") or API

    @property
    def messaging(self) -> str:
        return self.url.rstrip("/") or MESSAGING

    @property
    def content(self) -> str:
        return self.url.rstrip("/") or CONTENT


@lru_cache(maxsize=1024)  # each call is checked with them
def keys(credentials: bytes) -> Keys:
    """Read an account's credentials. Raises OpenError when they are none."""
    try:
        found = msgspec.json.decode(credentials, type=Keys)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise OpenError("credentials", "they must be accountSid and authToken of Twilio") from None
    if not found.account_sid or not found.auth_token:
        raise OpenError("credentials_missing", "accountSid or authToken is empty")
    return found


def place(settings: Mapping[str, object]) -> Place:
    """Read an account's settings at Twilio. Raises OpenError when they are none."""
    try:
        return msgspec.convert(settings.get(PROVIDER) or {}, Place)
    except msgspec.ValidationError as e:
        raise OpenError("provider_refused", f"settings.twilio: {e}") from None


def signs(sender: Mapping[str, Any]) -> list[Sign]:
    """Say what Twilio's Senders API tells of a sender: its state, quality and limit, as far as it does."""
    said = [Sign("status", _text(sender.get("status")) or "unknown", reason(sender), offline(sender))]
    properties = sender.get("properties")
    if isinstance(properties, dict):
        known = cast("dict[str, Any]", properties)
        quality = _text(known.get("quality_rating"))
        limit = _text(known.get("messaging_limit"))
        said += [Sign("quality", quality)] if quality else []
        said += [Sign("limit", limit)] if limit else []
    return said


def offline(sender: Mapping[str, Any]) -> str:
    """Say in Twilio's words why a sender is offline."""
    return "; ".join(f"{PROVIDER} {_text(one.get('code'))} {_text(one.get('message'))}" for one in _reasons(sender))


def reason(sender: Mapping[str, Any]) -> str:
    """Return why a sender cannot send, as a code of REASONS; empty when it can, or when nobody knows its state."""
    status = _text(sender.get("status"))
    if not status or status in _WORKS:
        return ""
    if status != "OFFLINE":
        return "sender_pending" if status in _PENDING else ""
    codes = [TABLE[code].reason for code in _codes(sender) if code in TABLE]
    return next((one for one in codes if one in _ACCOUNTS), "restricted")


def _codes(sender: Mapping[str, Any]) -> list[str]:
    return [_text(one.get("code")) for one in _reasons(sender)]


def _reasons(sender: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = sender.get("offline_reasons")
    known = cast("list[object]", given) if isinstance(given, list) else []
    return [cast("dict[str, Any]", one) for one in known if isinstance(one, dict)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
