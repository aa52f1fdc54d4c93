"""Reads the older system's `bots-config.json` as a fleet file.

Any of these shapes:

    [{"name": "Sales", "phone": "+971501234567", "role": "sales", "enabled": true, "sessionPath": "./s/1"}]
    {"sales": {"number": "971501234567"}, "support": {"phoneNumber": "+971501111111"}}
    {"bots": ...}                            either of the above

A bot's keys: `name` (in a map, its key when left out), `phone` (or `number`, `phoneNumber`), `role`, `enabled`,
`transport`, `sessionPath` (or `session`). Sessions are not taken over: a phone is linked anew. A number of digits only
that does not begin with 0 is read as WhatsApp writes numbers, with its country code first. Whatever is not understood
becomes a note; nothing is dropped silently.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from wafleet.accounts.fleet_file.plan import FleetFile, from_data
from wafleet.domain.errors import Invalid

_PHONES: Final = ("phone", "number", "phoneNumber")
_SESSIONS: Final = ("sessionPath", "session")
_TAKEN: Final = ("role", "enabled", "transport")
_KNOWN: Final = frozenset({"name", *_PHONES, *_SESSIONS, *_TAKEN})
_ADDRESS: Final = re.compile(r"([0-9]+)(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us)")  # WhatsApp's own way to write a number
_BARE: Final = re.compile(r"[1-9][0-9]{7,14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something in the old file that its owner should know of."""

    path: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An older file as a fleet file of one tenant, and what could not be taken over."""

    file: FleetFile
    notes: list[Note]


def read(text: str, *, tenant: str, transport: str) -> Imported:
    """Read an older file for `tenant`. Raises Invalid naming the path in that file and the remedy.

    transport    of bots that name none
    """
    notes: list[Note] = []
    accounts: list[dict[str, Any]] = []
    paths: list[str] = []
    for path, key, raw in _bots(_parsed(text), notes):
        accounts.append({"transport": transport} | _account(path, key, raw, notes))
        paths.append(path)
    try:
        file = from_data({"tenants": [{"name": tenant, "accounts": accounts}]})
    except Invalid as error:
        raise _where_it_was(error, paths) from None
    return Imported(file=file, notes=notes)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Invalid("file", f"This is not JSON: {error}") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for n, (key, _) in enumerate(pairs) if key in dict(pairs[:n]))
        raise Invalid(twice, f"{twice!r} stands twice in one place: rename or remove one of the two", code="duplicate")
    return made


def _bots(raw: Any, notes: list[Note], at: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each bot with its path and, from a map, its key."""
    if isinstance(raw, dict) and "bots" in raw and not at:
        whole = cast(dict[str, Any], raw)
        notes += [_unknown(key) for key in whole if key != "bots"]
        yield from _bots(whole["bots"], notes, "bots")
    elif isinstance(raw, dict):
        for key, value in cast(dict[str, Any], raw).items():
            path = f"{at}.{key}".lstrip(".")
            yield path, key, _object(value, path)
    elif isinstance(raw, list):
        for n, value in enumerate(cast(list[Any], raw)):
            yield f"{at}[{n}]", "", _object(value, f"{at}[{n}]")
    else:
        raise Invalid(at or "file", "The file must hold a list of bots, or a map from names to bots")


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(path, f"{path} is not a bot: write an object with a phone")
    return cast(dict[str, Any], value)


def _account(path: str, key: str, raw: dict[str, Any], notes: list[Note]) -> dict[str, Any]:
    notes += [_unknown(f"{path}.{other}") for other in raw if other not in _KNOWN]
    for session in (one for one in _SESSIONS if one in raw):
        notes.append(Note(path=f"{path}.{session}", sentence="The old session is not taken over: link this phone anew"))
    made = {name: raw[name] for name in _TAKEN if name in raw}
    made["phone"] = _phone(path, raw, notes)
    made["name"] = raw.get("name", key) or made["phone"]
    return made


def _phone(path: str, raw: dict[str, Any], notes: list[Note]) -> Any:
    given = [name for name in _PHONES if name in raw]
    if len(given) != 1:
        what = f"has {' and '.join(given)}: keep one of them" if given else "has no phone: add it"
        raise Invalid(f"{path}.phone", f"{path} {what}")
    where, written = f"{path}.{given[0]}", raw[given[0]]
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise Invalid(where, f"{where} is not a phone number: write it like +447700900123")
    text = str(written).strip()
    if address := _ADDRESS.fullmatch(text):
        text = address[1]
    if _BARE.fullmatch(text):
        notes.append(Note(path=where, sentence=f"Read as +{text}: check its country code"))
        return f"+{text}"
    return text


def _unknown(path: str) -> Note:
    return Note(path=path, sentence="Nothing here corresponds to this: it is left out")


def _where_it_was(error: Invalid, paths: list[str]) -> Invalid:
    """Say the same about the place in the older file."""

    def old(match: re.Match[str]) -> str:
        return paths[int(match[1])]

    found = re.compile(r"tenants\[0\]\.accounts\[([0-9]+)\]")
    return Invalid(found.sub(old, error.field), found.sub(old, error.sentence), code=error.code)
