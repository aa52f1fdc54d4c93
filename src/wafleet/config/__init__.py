"""Every setting there is: read once at start, in `app`; a slice is handed its own section and nothing else.

environment (WAFLEET_PORT, WAFLEET_OUTBOX__BATCH)  over  .env  over  wafleet.toml  over  the defaults in `sections.py`
"""

from wafleet.config.reading import Described, SettingsError, describe, load
from wafleet.config.sections import (
    ConsoleSettings,
    DevicesSettings,
    KeepAliveSettings,
    MediaSettings,
    OutboxSettings,
    Role,
    SessionsSettings,
    Settings,
    SimulatorSettings,
)

__all__ = [
    "ConsoleSettings",
    "Described",
    "DevicesSettings",
    "KeepAliveSettings",
    "MediaSettings",
    "OutboxSettings",
    "Role",
    "SessionsSettings",
    "Settings",
    "SettingsError",
    "SimulatorSettings",
    "describe",
    "load",
]
