"""What people typed into a form, as the fields of an account; and what is wrong, beside the field it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from wafleet.accounts import Fields
from wafleet.console.ways import Entry
from wafleet.domain.errors import Invalid, NotFound, WafleetError

NEEDED: Final = "This is needed."
TENANT: Final = "tenant"
TAKEN: Final[Mapping[str, str]] = {"phone_taken": "phone", "name_taken": "name"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person must correct."""

    field: str  # the form's name for it; empty: no field of its own
    sentence: str


def read(entries: Sequence[Entry], form: Mapping[str, str]) -> Fields:
    """Return what was filled in, each value where it is kept; what is empty is left out."""
    fields: dict[str, Any] = {}
    for entry in entries:
        if value := form.get(entry.name, "").strip():
            _put(fields, entry.path.split("."), value)
    return cast(Fields, fields)


def lacking(entries: Sequence[Entry], form: Mapping[str, str]) -> list[Problem]:
    """Return the needed fields that are empty, all at once."""
    return [Problem(one.name, NEEDED) for one in entries if one.needed and not form.get(one.name, "").strip()]


def problem(error: WafleetError, entries: Sequence[Entry]) -> Problem:
    """Return what an error says, beside the field it is about where the form has that field."""
    at, _, rest = error.sentence.partition(": ")
    path = error.field if isinstance(error, Invalid) else TAKEN.get(error.code, at)
    if path == TENANT or (isinstance(error, NotFound) and "tenant" in error.sentence):
        return Problem(TENANT, error.sentence)
    entry = next((one for one in entries if one.path == path), None)
    if entry is None:
        return Problem("", error.sentence)
    if error.code == "missing":
        return Problem(entry.name, NEEDED)
    if entry.shape and isinstance(error, Invalid):
        return Problem(entry.name, entry.shape)
    return Problem(entry.name, _plain(rest if rest and at == path else error.sentence, entry))


def _plain(sentence: str, entry: Entry) -> str:
    """Say a sentence in the form's words."""
    said = sentence.replace(entry.path, entry.label) if "." in entry.path else sentence
    return said[:1].upper() + said[1:]


def _put(fields: dict[str, Any], path: Sequence[str], value: str) -> None:
    *parents, last = path
    for name in parents:
        fields = fields.setdefault(name, {})
    fields[last] = value
