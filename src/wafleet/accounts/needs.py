"""What accounts at providers need: settings that may be shown, and credentials that may not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta

from wafleet.domain.errors import Forbidden, Invalid

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Url = Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s/?#@]+[^\s?#]*$")]
Digits = Annotated[str, Meta(pattern=r"^[0-9]{5,32}$")]
LONGEST_SECRET: Final = 4096


class Twilio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A WhatsApp sender at Twilio."""

    sender_sid: Annotated[str, Meta(pattern=r"^XE[0-9a-zA-Z]{32}$")] | None = None
    waba_id: Digits | None = None
    messaging_service_sid: Annotated[str, Meta(pattern=r"^MG[0-9a-zA-Z]{32}$")] | None = None
    support_contact: Line | None = None
    url: Url | None = None  # in place of Twilio's own


class MetaNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A number on Meta's Cloud API."""

    phone_number_id: Digits | None = None
    waba_id: Digits | None = None
    url: Url | None = None  # in place of Meta's own


class GatewaySession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A session of a gateway."""

    session: Line | None = None
    url: Url | None = None  # in place of the installation's own


@dataclass(frozen=True, slots=True)
class Secret:
    """One credential of an account."""

    name: str  # as it is stored
    older: str  # as it may be written as well
    needed: bool = True
    public: bool = False  # it proves nothing alone, so its end may be shown


CREDENTIALS: Final[Mapping[str, Sequence[Secret]]] = {
    "twilio": (Secret("accountSid", "account_sid", public=True), Secret("authToken", "auth_token")),
    "meta": (
        Secret("accessToken", "access_token"),
        Secret("appSecret", "app_secret"),
        Secret("verifyToken", "verify_token", needed=False),
    ),
    "gateway": (Secret("apiKey", "api_key"), Secret("hmacKey", "hmac_key", needed=False)),
}
NEEDED: Final[Mapping[str, Sequence[str]]] = {"meta": ("phone_number_id",)}


def check_credentials(transport: str, written: str, *, field: str) -> str:
    """Return credentials as they are stored. Raises Invalid naming the field, and never repeating what it holds."""
    if (known := CREDENTIALS.get(transport)) is None:
        return written
    given = _object(written, field, known)
    names = {one.name for one in known} | {one.older for one in known}
    if unknown := next((name for name in given if name not in names), None):
        where = f"{field}.{unknown[:60]}"
        raise Invalid(where, f"{where}: {transport} has no such credential; remove it", code="unknown")
    found = {one.name: _value(given, one, field) for one in known}
    return msgspec.json.encode({name: value for name, value in found.items() if value}).decode()


def check_settings(transport: str, settings: Mapping[str, Any], *, field: str) -> None:
    """Raise Invalid when an account of this transport cannot work without a setting that is missing."""
    own = cast("dict[str, Any]", settings.get(transport) or {})
    for name in NEEDED.get(transport, ()):
        if not own.get(name):
            where = f"{field}.{transport}.{name}"
            raise Invalid(where, f"{where} is missing", code="missing")


def _object(written: str, field: str, known: Sequence[Secret]) -> dict[str, Any]:
    try:
        return msgspec.json.decode(written, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        names = " and ".join(one.name for one in known if one.needed)
        raise Invalid(field, f"{field}: write an object with {names}") from None


def _value(given: Mapping[str, Any], one: Secret, field: str) -> str:
    value = given.get(one.name, given.get(one.older, ""))
    where = f"{field}.{one.name}"
    if not isinstance(value, str) or len(value) > LONGEST_SECRET or not value.isprintable():
        raise Invalid(where, f"{where} must be one line of text")
    if one.needed and not value.strip():
        raise Invalid(where, f"{where} is missing", code="missing")
    return value.strip()


def check_addresses(
    settings: Mapping[str, Any] | None, before: Mapping[str, Any], *, platform: bool, at: str = ""
) -> None:
    """Let nobody but the platform's administrator send wafleet elsewhere than to the provider. Raises Forbidden.

    Whoever names an address has wafleet call it from inside the installation's own network.
    """
    for kind in CREDENTIALS:
        named = _address(settings or {}, kind)
        if named and named != _address(before, kind) and not platform:
            where = f"{at}settings.{kind}.url"
            raise Forbidden(
                f"{where}: only the platform's administrator may name an address; leave it out, or ask them"
            )


def _address(settings: Mapping[str, Any], kind: str) -> object:
    own = settings.get(kind)
    return cast("Mapping[str, Any]", own).get("url") if isinstance(own, Mapping) else None
