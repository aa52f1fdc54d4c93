"""One line of what `wafleet doctor` found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do."""

    subject: str
    level: Literal["ok", "warn", "bad"]
    says: str
    remedy: str = ""
