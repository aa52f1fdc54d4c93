"""A file of named values and of lists, for what must survive `kill -9` of its writer (not the machine's death)."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
pragma journal_mode = wal;
pragma synchronous = off;
create table if not exists kept (kind text, name text, value blob, primary key (kind, name)) without rowid;
create table if not exists lists (
    kind text, name text, number integer, value blob, primary key (kind, name, number)
) without rowid;
"""


class Rows:
    """Values by kind and name, and lists of values. What is put here is on its way to the file after `commit`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(0o600)
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(_SCHEMA)
        self._known = {(kind, name): hash(value) for kind, name, value in self._file.execute("select * from kept")}
        self._changing = False

    def put(self, kind: str, name: str, value: bytes) -> None:
        """Keep a value in place of the former one."""
        known = hash(value)
        if self._known.get((kind, name)) != known:
            self._known[kind, name] = known
            self._change("insert or replace into kept values (?, ?, ?)", kind, name, value)

    def all(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """Yield name and value of everything of a kind."""
        yield from self._file.execute("select name, value from kept where kind = ? order by name", (kind,)).fetchall()

    def append(self, kind: str, name: str, number: int, value: bytes) -> None:
        """Put a value at its place in a list; numbers grow."""
        self._change("insert or replace into lists values (?, ?, ?, ?)", kind, name, number, value)

    def take(self, kind: str, name: str, number: int) -> None:
        """Take one value out of a list."""
        self._change("delete from lists where kind = ? and name = ? and number = ?", kind, name, number)

    def shorten(self, kind: str, name: str, before: int) -> None:
        """Take every value out of a list whose number is below this one."""
        self._change("delete from lists where kind = ? and name = ? and number < ?", kind, name, before)

    def list(self, kind: str, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield number and value of a list, in order."""
        ask = "select number, value from lists where kind = ? and name = ? order by number"
        yield from self._file.execute(ask, (kind, name)).fetchall()

    def commit(self) -> None:
        """Put on disk what has changed."""
        if self._changing:
            self._changing = False
            self._file.execute("commit")

    def close(self) -> None:
        self.commit()
        self._file.close()

    def _change(self, words: str, *values: object) -> None:
        if not self._changing:
            self._changing = True
            self._file.execute("begin")
        self._file.execute(words, values)
