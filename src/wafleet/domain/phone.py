"""Phone numbers as people write them, as one thing: E.164."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers

from wafleet.domain.errors import Invalid

_DRESSING: Final = re.compile(r"[\s().\-/\u00a0\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_PLUS: Final = re.compile(r"^(?:\+|00)")
# A customer whose phone WhatsApp hides: by the linked-device network's id, or by Meta's for one business
_HIDDEN: Final = re.compile(r"lid:[0-9]{5,20}|bsuid:[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_TWINNED: Final = ("+52", "+54", "+55")
_TWINS: Final = (
    (re.compile(r"\+55([1-9][0-9])9([6-9][0-9]{7})"), r"+55\1\2"),  # Brazil: mobile numbers got a ninth digit
    (re.compile(r"\+55([1-9][0-9])([6-9][0-9]{7})"), r"+55\g<1>9\2"),
    (re.compile(r"\+521([2-9][0-9]{9})"), r"+52\1"),  # Mexico: a 1 stood before mobile numbers, until 2019
    (re.compile(r"\+52([2-9][0-9]{9})"), r"+521\1"),
    (re.compile(r"\+549([1-3][0-9]{9})"), r"+54\1"),  # Argentina: a 9 stands there, and many leave it out
    (re.compile(r"\+54([1-3][0-9]{9})"), r"+549\1"),
)
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


def identity(written: str, *, field: str = "to") -> str:
    """Read whom somebody means: a phone number in any usual spelling, or an id as conversations show it."""
    return written if _HIDDEN.fullmatch(written) else normalise(written, field=field)


def spellings(identity: str) -> tuple[str, ...]:
    """Return all identities under which networks may know the same person, the given one first.

    Mobile numbers of three countries got or lost a digit while WhatsApp kept what people had registered with: an answer
    of +55 21 98765 4321 comes from +55 21 8765 4321, and one of +52 55... from +52 1 55.... No other phone has either.
    Sources: https://waha.devlike.pro/docs/apps/brazilian-phone-numbers/ and .../phone-numbers-mexico/;
    https://faq.whatsapp.com/1294841057948784 (Argentina).
    """
    if identity.startswith(_TWINNED):
        for pattern, twin in _TWINS:
            if found := pattern.fullmatch(identity):
                return identity, found.expand(twin)
    return (identity,)


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
