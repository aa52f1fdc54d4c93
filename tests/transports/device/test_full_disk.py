"""The disk takes nothing any more: the worker ends and says why, and no message is lost or sent twice."""

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.emulator.rig import CUSTOMER
from tests.emulator.talking import sent
from tests.transports.device.parts import One, linked
from tests.transports.heard import outgoing, until

from wafleet.domain.account import REASONS
from wafleet.outbox.lanes.verdicts import AWAY
from wafleet.transports.base import Doubt, MaybeSent, NotSent
from wafleet.transports.device import accounts, keeper
from wafleet.transports.device.process import PLACE

# Follows the real worker's own program: lines of the journal that begin like this are not written any more
FULL = """

from . import store as _store

_well = _store.Journal._write

def _full(self, line):
    full = Path({file!r})
    if full.exists() and line.startswith(full.read_text()):
        raise OSError(28, "No space left on device")
    _well(self, line)

_store.Journal._write = _full
"""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[One]:
    shutil.copytree(PLACE / "worker", tmp_path / "place/worker", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "place/worker/main.py").open("a") as program:
        program.write(FULL.format(file=str(tmp_path / "full")))
    with patch.object(accounts, "Keeper", partial(keeper.Keeper, place=tmp_path / "place")):
        async with linked(tmp_path) as one:
            yield one


async def ended_for_want_of_room(one: One, tmp_path: Path) -> None:
    reason, detail, _ = await one.ended()
    assert reason in REASONS
    assert (reason, "No space left on device" in detail) == ("unready", True)
    (tmp_path / "full").unlink()
    await one.open()


async def test_a_message_that_cannot_be_written_down_does_not_leave_and_waits_for_room(
    one: One, tmp_path: Path
) -> None:
    (tmp_path / "full").write_text(">")
    out = outgoing("hello", to=CUSTOMER)
    with pytest.raises(NotSent) as unsent:
        await one.session.send(out)
    assert unsent.value.reason in AWAY
    await ended_for_want_of_room(one, tmp_path)
    assert await one.session.find([Doubt(out.id)]) == {out.id: None}
    await one.session.send(out)
    assert list(sent(one.emulator).values()) == [1]


async def test_where_the_answer_to_a_message_cannot_be_written_down_nothing_goes_out_in_silence(
    one: One, tmp_path: Path
) -> None:
    (tmp_path / "full").write_text("<")
    out = outgoing("hello", to=CUSTOMER)
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    await ended_for_want_of_room(one, tmp_path)
    await one.send("well again")
    await until(lambda: len(sent(one.emulator)) == 2)
    assert set(sent(one.emulator).values()) == {1}
