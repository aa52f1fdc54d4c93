"""What an account on the Cloud API needs: its secrets, and which number it is at Meta."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import msgspec


@dataclass(frozen=True, slots=True)
class Keys:
    """One account's secrets. They are never part of a text: not of an error, a log line or a representation."""

    token: str  # of a system user, with the rights whatsapp_business_messaging and whatsapp_business_management
    secret: str  # of the app: Meta signs what it sends with it
    verify: str  # what we told Meta when we entered our webhook's address

    def __repr__(self) -> str:
        return "Keys(***)"


@dataclass(frozen=True, slots=True)
class Own:
    """One account's own settings."""

    number: str = ""  # Meta's id of the phone number
    business: str = ""  # Meta's id of the WhatsApp business account; without it there is no list of templates
    url: str = ""  # where its API is, when not where everybody's is


@lru_cache(maxsize=1024)  # each call is checked with them
def keys_of(credentials: bytes) -> Keys:
    """Read an account's secrets. Raises ValueError, without repeating any of them."""
    try:
        found = msgspec.json.decode(credentials, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("the stored credentials are no JSON object of texts") from None
    return Keys(
        token=_either(found, "access_token", "accessToken"),
        secret=_either(found, "app_secret", "appSecret"),
        verify=_either(found, "verify_token", "verifyToken"),
    )


def own_of(settings: Mapping[str, object]) -> Own:
    """Read an account's own settings; what is missing is empty."""
    found = settings.get("meta")
    if not isinstance(found, Mapping):
        return Own()
    own = {str(key): str(value) for key, value in cast("Mapping[object, object]", found).items() if value is not None}
    return Own(
        number=_either(own, "phone_number_id", "phoneNumberId"),
        business=_either(own, "waba_id", "wabaId"),
        url=own.get("url", "").rstrip("/"),
    )


def _either(found: Mapping[str, str], name: str, older: str) -> str:
    return (found.get(name) or found.get(older) or "").strip()
