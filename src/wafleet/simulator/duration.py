"""Lengths of time as people write them: 500ms, 30s, 5m, 2h."""

import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?\s*")


def seconds(written: str | float) -> float:
    """Return the seconds in `30s`, `5m` or a bare number. Raises ValueError saying how to write it."""
    if isinstance(written, int | float):
        return float(written)
    found = _FORM.fullmatch(written)
    if not found:
        raise ValueError(f"{written!r} is not a length of time: write it like 500ms, 30s, 5m or 2h")
    return float(found[1]) * _UNITS[found[2] or "s"]
