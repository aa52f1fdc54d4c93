"""Runs commands as a shell would: what they say, and the exit status a script would see."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from wafleet import cli


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return msgspec.json.decode(self.out)

    def lines(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


class Shell:
    """A shell whose environment names one wafleet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._captured = monkeypatch, captured

    def __call__(self, *words: object) -> Ran:
        self._captured.readouterr()
        self._monkeypatch.setattr("sys.argv", ["wafleet", *map(str, words)])
        try:
            cli.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = self._captured.readouterr()
        assert "Traceback" not in said.err
        return Ran(status=status, out=said.out, err=said.err)
