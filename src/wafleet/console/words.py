"""How each state of an account looks and reads on a screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wafleet.console.ways import WAYS
from wafleet.domain.account import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One state on screen: never by colour alone, so it has a word and an icon too."""

    label: str
    tone: str  # good | busy | warn | bad | idle: the colours of tokens.css
    rank: int  # 0 is the worst: the order of "worst first"
    attention: bool = False  # a person should look
    action: str = ""  # what helps most often, as a button: link | show | reconnect | enable


S = State
LOOKS: Final[Mapping[State, Look]] = {
    S.BLOCKED: Look(label="Blocked", tone="bad", rank=0, attention=True),
    S.LOGGED_OUT: Look(label="Logged out", tone="bad", rank=1, attention=True, action="link"),
    S.OFFLINE: Look(label="Offline", tone="bad", rank=2, attention=True, action="reconnect"),
    S.DEGRADED: Look(label="Degraded", tone="warn", rank=3, attention=True, action="reconnect"),
    S.RECOVERING: Look(label="Recovering", tone="busy", rank=4),
    S.CONNECTING: Look(label="Connecting", tone="busy", rank=5),
    S.LINKING: Look(label="Linking", tone="busy", rank=6, action="show"),
    S.NEW: Look(label="Not linked", tone="idle", rank=7, action="link"),
    S.ONLINE: Look(label="Online", tone="good", rank=8),
    S.DISABLED: Look(label="Disabled", tone="idle", rank=9, action="enable"),
}

UNAIDED: Final = (
    "credentials",
    "credentials_lost",
    "throttled",
    "reach_out_lock",
    "banned",
    "banned_for_good",
    "outdated",
)
"""Reasons that no button of this page helps against."""

TRANSPORTS: Final[Mapping[str, str]] = {way.kind: way.label for way in WAYS.values()}


def look(state: str) -> Look:
    """Return how a state looks; one this console does not know is shown by its own name."""
    known = {str(name): look for name, look in LOOKS.items()}.get(state)
    return known or Look(label=state.replace("_", " ").capitalize(), tone="warn", rank=3, attention=True)
