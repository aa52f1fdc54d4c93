"""Where wafleet is, and how this user's commands are let in."""

import os
from pathlib import Path
from typing import Final

import msgspec
from platformdirs import user_data_dir

from wafleet.client.errors import START_IT, ApiError, Unreachable
from wafleet.config import Settings, load

FILE: Final = "wafleet.json"
DEMO: Final = "wafleet-demo"


class Published(msgspec.Struct, frozen=True):
    """What a running wafleet writes into its data folder."""

    url: str
    token: str
    pid: int = 0


def find(data_dir: Path | None = None) -> tuple[str, str]:
    """Return the URL and the token to use. Raises SettingsError, and ApiError saying what to set or start.

    data_dir    named on the command line, it wins; else WAFLEET_URL with WAFLEET_TOKEN; else what the wafleet of the
                data folder published when it started
    """
    settings = load(data_dir=data_dir)
    named = data_dir is not None
    token = settings.token.get_secret_value() if settings.token and not named else None
    if settings.url and token:
        return settings.url, token
    if settings.url and not named:
        raise ApiError(
            f"WAFLEET_URL is {settings.url}, but there is no token for it: set WAFLEET_TOKEN, or unset WAFLEET_URL",
            code="token_needed",
        )
    for folder in folders(settings):
        if published := read_published(folder):
            return published.url, token or published.token
    tried = " or ".join(map(str, folders(settings)))
    raise Unreachable(f"No wafleet was started in {tried}: {START_IT}, or set WAFLEET_DATA_DIR", code="unreachable")


def folders(settings: Settings) -> list[Path]:
    """Return the data folders commands look into, the likeliest first.

    The one that was named; else the default one and the demo's, a running wafleet before one that is not.
    """
    if "data_dir" in settings.model_fields_set:
        return [settings.data_dir]
    both = [settings.data_dir, Path(user_data_dir(DEMO))]
    return sorted(both, key=lambda folder: (not _runs(folder), not (folder / FILE).exists()))


def read_published(folder: Path) -> Published | None:
    """Return where the wafleet of a data folder listens, or listened last."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Published)
    except (OSError, msgspec.MsgspecError):
        return None


def _runs(folder: Path) -> bool:
    published = read_published(folder)
    return published is not None and _alive(published.pid)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
