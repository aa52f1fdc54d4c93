"""Contact cards as WhatsApp writes them: vCard 3.0, with the number as WhatsApp knows it (`waid`).

Source: RFC 6350, sections 3.2 (long lines are folded) and 3.4 (what is escaped).
"""

import re
from typing import Final

from wafleet.domain.message import ContactCard

_RESERVED: Final = re.compile(r"([\\,;])")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NAME: Final = re.compile(r"^(?:[\w-]+\.)?FN[^:\n]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_PHONE: Final = re.compile(r"^(?:[\w-]+\.)?TEL([^:\n]*):(.*)$", re.IGNORECASE | re.MULTILINE)
_KNOWN_AS: Final = re.compile(r"waid=(\d+)", re.IGNORECASE)


def write(card: ContactCard) -> str:
    """Write a card."""
    name, digits = _escaped(card.name), "".join(c for c in card.phone if c in "0123456789")
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"N:;{name};;;", f"FN:{name}")
    return "\n".join((*lines, f"TEL;type=CELL;type=VOICE;waid={digits}:{_escaped(card.phone)}", "END:VCARD"))


def read(text: str) -> ContactCard:
    """Read the name and the first number of a card; what it lacks is empty."""
    lines = re.sub(r"\r?\n[ \t]", "", text)
    name, phone = _NAME.search(lines), _PHONE.search(lines)
    known = _KNOWN_AS.search(phone[1]) if phone else None
    return ContactCard(_plain(name[1]) if name else "", f"+{known[1]}" if known else _plain(phone[2]) if phone else "")


def _escaped(value: str) -> str:
    return "\\n".join(_RESERVED.sub(r"\\\1", value).splitlines())


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value).strip()
