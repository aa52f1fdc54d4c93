"""What an operator may set per account, as types: an unknown or impossible value is refused with its path."""

import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from wafleet.accounts.needs import GatewaySession, MetaNumber, Twilio
from wafleet.accounts.proxy_password import check_proxy
from wafleet.domain import phone
from wafleet.domain.errors import Invalid

T = TypeVar("T")
_CLOCK_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_WHERE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


class Quiet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hours in which nothing is sent; `from` later than `to` spans midnight."""

    from_: str = msgspec.field(name="from")  # "22:00"
    to: str  # "07:00"
    zone: str = "UTC"  # IANA name, such as "Asia/Dubai"

    def __post_init__(self) -> None:
        for written in (self.from_, self.to):
            if not _CLOCK_TIME.fullmatch(written):
                raise ValueError(f"{written!r} is not a time of day: write it like 22:00")
        if self.from_ == self.to:
            raise ValueError("quiet hours cannot begin and end at the same minute: leave them out to have none")
        try:
            ZoneInfo(self.zone)
        except (OSError, ValueError, LookupError):
            raise ValueError(f"{self.zone!r} is not a time zone: write it like Asia/Dubai") from None

    @property
    def begins(self) -> time:
        return time.fromisoformat(self.from_)

    @property
    def ends(self) -> time:
        return time.fromisoformat(self.to)


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How fast an account sends; what is left out goes at the installation's pace."""

    per_second: Annotated[float, Meta(gt=0, le=1000)] | None = None
    burst: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] | None = None  # share of each gap
    per_recipient_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    daily_cap: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    warm_up_days: Annotated[float, Meta(ge=0, le=365)] | None = None
    quiet: Quiet | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a linked device reaches WhatsApp, and what its phone calls it; takes effect at the next connection."""

    proxy: str | None = None  # "http://user:password@proxy.example.com:8080"; the password is shown as ***
    name: Annotated[str, Meta(min_length=1, max_length=25)] | None = None  # in the phone's list, from linking on

    def __post_init__(self) -> None:
        if self.name is not None and not (self.name.strip() and self.name.isprintable()):
            raise ValueError("a device's name is one line of text: write at least one letter")


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One account's own settings; what is left out follows the installation's."""

    pace: Pace = Pace()
    keep_alive_s: Annotated[float, Meta(ge=1, le=3600)] | None = None
    device: Device = Device()
    twilio: Twilio = Twilio()
    meta: MetaNumber = MetaNumber()
    gateway: GatewaySession = GatewaySession()
    commands: tuple[str, ...] = ()  # phones that may use chat commands, E.164


def read_settings(raw: Mapping[str, Any], *, field: str = "settings") -> AccountSettings:
    """Read settings as a person wrote them. Raises Invalid naming the field's path."""
    settings = convert(raw, AccountSettings, field=field)
    if settings.device.proxy is not None:
        _check_proxy(settings.device.proxy, f"{field}.device.proxy")
    commands = [phone.normalise(one, field=f"{field}.commands[{i}]") for i, one in enumerate(settings.commands)]
    return msgspec.structs.replace(settings, commands=tuple(dict.fromkeys(commands)))


def _check_proxy(proxy: str, field: str) -> None:
    try:
        check_proxy(proxy)
    except ValueError as error:
        raise Invalid(field, f"{field}: {error}") from None


def stored(settings: AccountSettings) -> dict[str, Any]:
    """Return settings as they are stored: only what was set."""
    return msgspec.to_builtins(settings)


def convert(raw: object, wanted: type[T], *, field: str = "") -> T:
    """Read builtin values as `wanted`. Raises Invalid naming the path below `field`, with the remedy."""
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), field) from None


def _invalid(words: str, field: str) -> Invalid:
    found = _WHERE.fullmatch(words)
    what, path = (found["what"], found["path"] or "") if found else (words, "")
    where = ".".join(filter(None, (field, path))).replace(".[", "[")
    if unknown := _UNKNOWN.fullmatch(what):
        where = ".".join(filter(None, (where, unknown[1])))
        return Invalid(where, f"{where}: there is no such setting; remove it or correct its spelling", code="unknown")
    if missing := _MISSING.fullmatch(what):
        where = ".".join(filter(None, (where, missing[1])))
        return Invalid(where, f"{where} is missing", code="missing")
    if what.startswith("Expected `str`"):
        return Invalid(where, f"{where}: this must be text; put it in quotes")
    return Invalid(where, f"{where}: {what}")
