"""Where an account's gateway is, what it calls the account, and the keys to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import quote

import httpx
import msgspec

from wafleet.transports.base import Number, OpenError


class Keys(msgspec.Struct, frozen=True, rename="camel"):
    """What proves us to the gateway, and the gateway to us."""

    api_key: str
    hmac_key: str = ""

    def __repr__(self) -> str:
        return "Keys(***)"

    @classmethod
    def read(cls, credentials: bytes) -> Self:
        """Read stored credentials. Raises ValueError."""
        try:
            found = msgspec.json.decode(credentials, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("no JSON object of texts") from None
        if not found.api_key:
            raise ValueError("no API key")
        return found


@dataclass(frozen=True, slots=True)
class Place:
    """One session of one gateway."""

    url: str
    session: str
    keys: Keys

    @classmethod
    def of(cls, number: Number, credentials: bytes, url: str) -> Self:
        """Find an account's place; `url` is the installation's own gateway. Raises OpenError."""
        own = own_settings(number.settings)
        try:
            keys = Keys.read(credentials)
        except ValueError as error:  # its words may hold a part of the key
            raise OpenError("credentials", "these are no credentials of a gateway: enter its API key") from error
        at = str(own.get("url") or url).rstrip("/")
        if not at:
            raise OpenError("unready", "the address of the gateway is missing: set gateway.url for this account")
        return cls(at, session_name(number.settings), keys)

    def request(self, http: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Request:
        """Make a request of this gateway; `{session}` in its path stands for the session's name."""
        path = path.replace("{session}", quote(self.session, safe=""))
        return http.build_request(method, self.url + path, headers={"X-Api-Key": self.keys.api_key}, **more)


def own_settings(settings: Mapping[str, object]) -> Mapping[str, Any]:
    """Return the part of an account's settings that is about its gateway."""
    own = settings.get("gateway")
    return cast("Mapping[str, Any]", own) if isinstance(own, Mapping) else {}


def session_name(settings: Mapping[str, object]) -> str:
    """Return what the gateway calls the account; where nothing was set, the name gateways with one session use."""
    return str(own_settings(settings).get("session") or "default")
