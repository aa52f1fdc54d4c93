"""Phone numbers as people write them, as one thing: E.164."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers

from wafleet.domain.errors import Invalid

_DRESSING: Final = re.compile(r"[\s().\-/\u00a0\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_PLUS: Final = re.compile(r"^(?:\+|00)")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


@lru_cache(maxsize=50_000)
def normalise(written: str, *, region: str | None = None, field: str = "phone") -> str:
    """Read a phone number in any usual spelling and return it as E.164, such as `+966501234567`.

    Understands `whatsapp:`, `tel:`, spaces and brackets, `00`, and Arabic or other decimal digits. A number without
    a country code is read in `region` (ISO 3166, such as "SA"); without one it is refused, never guessed. Letters
    are refused rather than dropped, so that `050 1234567 (Ahmed)` cannot become another number.
    Raises Invalid naming `field`.
    """
    text = _western(written.strip())
    text = _DRESSING.sub("", re.sub(r"^(?:whatsapp|tel):", "", text, flags=re.IGNORECASE))
    if not re.fullmatch(r"\+?[0-9]+", text):
        raise Invalid(field, f"{written!r} is not a phone number: write it like +447700900123")
    text = _PLUS.sub("+", text)
    if _E164.fullmatch(text):
        return text
    return _national(written, text, region, field)


def _western(text: str) -> str:
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text).replace("\uff0b", "+")


def _national(written: str, text: str, region: str | None, field: str) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise Invalid(field, f"{written!r} lacks a country code: write it like +447700900123") from None
    if not phonenumbers.is_possible_number(number):
        raise Invalid(field, f"{written!r} has the wrong number of digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
