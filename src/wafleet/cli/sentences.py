"""Failures as one sentence each, with the exit status scripts go by.

1  something is wrong with this installation, or with what was asked
2  the command was not understood (Typer's own)
3  it worked, and the answer is not good: accounts offline, a ledger that does not balance
4  wafleet, or its database, cannot be reached
"""

import errno
from typing import cast

FAILED = 1
NOT_WELL = 3
UNREACHABLE = 4


def explain(error: BaseException) -> tuple[str | None, int]:
    """Return the sentence and the exit status of a failure; no sentence for a bug, which deserves its traceback."""
    # What can raise these takes long to import, and `wafleet --help` needs none of it.
    from wafleet.client import ApiError
    from wafleet.client import Unreachable as NoAnswer
    from wafleet.config import SettingsError
    from wafleet.domain.errors import Invalid, Unavailable, WafleetError
    from wafleet.engine.db import DatabaseAway
    from wafleet.engine.migrate import SchemaError, Unreachable
    from wafleet.engine.postgres import PostgresError
    from wafleet.engine.secrets import SecretError

    if isinstance(error, BaseExceptionGroup):
        return explain(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    if isinstance(error, DatabaseAway | Unreachable | Unavailable | NoAnswer):
        return str(error), UNREACHABLE
    if isinstance(error, Invalid) and error.field not in error.sentence:
        return f"{error.field}: {error}", FAILED
    if isinstance(error, SettingsError | SchemaError | PostgresError | SecretError | WafleetError | ApiError):
        return str(error), FAILED
    if isinstance(error, OSError):
        return _of_the_system(error), FAILED
    return None, FAILED


def _of_the_system(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.EADDRINUSE:
            return "The port is in use: stop the program that listens there, or choose another with WAFLEET_PORT"
        case errno.ENOSPC:
            return f"The disk is full{where}: free some space, then start again; nothing is lost"
        case errno.ENOTDIR | errno.EEXIST:
            return f"A folder is expected where a file is{where}: move it away, or set WAFLEET_DATA_DIR"
        case errno.EACCES | errno.EPERM:
            return f"This user may not do that{where}: run as the owner of the data folder, or set WAFLEET_DATA_DIR"
        case _:
            return f"{error.strerror or error}{where}"
