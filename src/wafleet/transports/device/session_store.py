"""SQL of the library's own session of an account: a SQLite file that the library alone writes."""

import sqlite3


def is_whole(session: sqlite3.Connection) -> bool:
    """Tell whether a session can be gone on with: a machine that lost its power may leave half of one."""
    try:
        whole = session.execute("pragma quick_check(1)").fetchone() == ("ok",)
        return whole and session.execute("select 1 from whatsmeow_device").fetchone() is not None
    except sqlite3.Error:
        return False
