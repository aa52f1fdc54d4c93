"""What an account on the Cloud API needs: its secrets, and which number it is at Meta."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from wafleet.transports.base import OpenError


class Keys(msgspec.Struct, frozen=True, rename="camel"):
    """One account's secrets. They are never part of a text: not of an error, a log line or a representation."""

    access_token: str = ""  # of a system user, with the rights to send messages and to manage the business account
    app_secret: str = ""  # Meta signs what it sends with it
    verify_token: str = ""  # what we told Meta when we entered our webhook's address

    def __repr__(self) -> str:
        return "Keys(***)"


class Own(msgspec.Struct, frozen=True, rename={"number": "phone_number_id", "business": "waba_id"}):
    """One account's own settings; what else is set is not for this."""

    number: str = ""  # Meta's id of the phone number
    business: str = ""  # Meta's id of the WhatsApp business account; without it there is no list of templates
    url: str = ""  # where its API is, when not where everybody's is


@lru_cache(maxsize=1024)  # each call is checked with them
def keys_of(credentials: bytes) -> Keys:
    """Read an account's secrets. Raises ValueError, without repeating any of them."""
    try:
        return msgspec.json.decode(credentials, type=Keys)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("the stored credentials are no JSON object of texts") from None


def own_of(settings: Mapping[str, object]) -> Own:
    """Read an account's own settings. Raises OpenError when they are none."""
    try:
        return msgspec.convert(settings.get("meta") or {}, Own)
    except msgspec.ValidationError as error:
        raise OpenError("provider_refused", f"settings.meta: {error}") from None
