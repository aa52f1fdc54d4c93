"""One client inside a worker, with a library that a test plays."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.transports.device.workers import until

from wafleet.transports.device.worker import account as module
from wafleet.transports.device.worker.account import Account
from wafleet.transports.device.worker.line import Kind


class Answers:
    """A library whose every call has the same answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def call(self, client: bytes, name: str, arguments: Sequence[bytes]) -> bytes:
        return self._answer


def account(folder: Path, answer: bytes, told: list[tuple[Any, ...]]) -> Account:
    library: Any = Answers(answer)
    made = Account(1, folder, b"", library=library, door=threading.Lock(), tell=lambda *said: told.append(said))
    made.qr(b"")  # from now on it can be called
    return made


async def test_an_answer_larger_than_the_line_takes_is_told_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1000)
    told: list[tuple[Any, ...]] = []
    account(tmp_path, b"x" * 1000, told).call(1, "", "DownloadAny", [b""])
    account(tmp_path, b"x" * 1001, told).call(2, "", "DownloadAny", [b""])
    await until(lambda: len(told) == 4)
    assert {said[:2] for said in told} >= {(Kind.ANSWER, 1), (Kind.UNABLE, 2)}
