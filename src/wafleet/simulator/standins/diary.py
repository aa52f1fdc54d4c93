"""What a stand-in remembers beyond its end: a provider forgets nothing because one of its machines was killed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

Page = TypeVar("Page", bound=msgspec.Struct)


class Diary(Generic[Page]):
    """Snapshots of things by their names, newest last, in a file of one line each. A killed process loses none.

    path  None: nothing is kept
    """

    def __init__(self, path: Path | None, kind: type[Page]) -> None:
        self._path, self._kind = path, kind
        self._file = -1

    def read(self) -> Iterator[Page]:
        """Return what was noted, each thing as it was last, in the order in which they were begun."""
        if self._path is None or not self._path.exists():
            return
        told: dict[str, Page] = {}
        for line in self._path.read_bytes().split(b"\n"):
            try:
                name, page = msgspec.json.decode(line, type=tuple[str, list[self._kind]])
            except msgspec.DecodeError:  # the line that was being written when it was killed
                continue
            if page:
                told[name] = page[0]
            else:
                told.pop(name, None)
        self._rewrite(told)
        yield from told.values()

    def note(self, name: str, page: Page | None) -> None:
        """Keep how something is now; None: it is gone."""
        if self._path is None:
            return
        if self._file < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._file, _line(name, page))

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rewrite(self, told: dict[str, Page]) -> None:
        """Leave out what is told twice, so that the file does not grow with every start."""
        assert self._path is not None
        fresh = self._path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(_line(name, page) for name, page in told.items())
        fresh.replace(self._path)


def _line(name: str, page: msgspec.Struct | None) -> bytes:
    return msgspec.json.encode((name, [page] if page is not None else [])) + b"\n"
