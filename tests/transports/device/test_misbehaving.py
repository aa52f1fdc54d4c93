"""A real worker that stands still, grows, or talks nonsense: it is replaced, and nothing is lost or sent twice."""

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.emulator.rig import CUSTOMER
from tests.emulator.talking import acknowledged, sent
from tests.transports.device.parts import WAIT_S, One, linked
from tests.transports.device.workers import running
from tests.transports.heard import outgoing, until

from wafleet.domain.account import REASONS
from wafleet.domain.message import Document, Media
from wafleet.transports.base import Doubt, Found, MaybeSent, SendError
from wafleet.transports.device import accounts, keeper
from wafleet.transports.device.process import PLACE

# Follows the real worker's own program: when a message has its name and is about to leave, and the file is there
ILL = """

_well = Worker.tell

def _ill(self, client, kind, *fields):
    _well(self, client, kind, *fields)
    if kind is Kind.NAMED and Path({file!r}).exists():
        {does}

Worker.tell = _ill
"""
SIZE = 40_000_000
NONSENSE = {
    "prints rubbish": "self._line.sendall(b'hello, is anybody there? ' * 100)",
    "floods": "[_well(self, client, Kind.QR, 'x') for _ in range(200_000)]",
}


@pytest.fixture
def often() -> Iterator[None]:
    """Workers are looked at ten times a second, and weighed each time."""
    with patch.object(keeper, "_LOOK_S", 0.1), patch.object(keeper, "_WEIGHED", 1):
        yield


def worker(one: One) -> int:
    client = one.session.linked.client
    assert client is not None
    return client.pid


async def goes_on(one: One, ended: int, waiting: str) -> None:
    """The account is resumed in a new worker, and what was not stored comes again."""
    assert not running(ended)
    await one.open()
    assert worker(one) != ended
    await until(lambda: waiting in [inbound.provider_id for inbound in one.heard.inbound], limit_s=WAIT_S)
    one.session.acknowledge([waiting])
    await acknowledged(one.emulator, waiting)
    await one.send("well again")


@pytest.mark.usefixtures("often")
async def test_a_worker_that_hangs_is_killed_and_its_account_resumed(tmp_path: Path) -> None:
    async with linked(tmp_path, stuck_s=2) as one:
        waiting, out = one.say("are you there?"), outgoing("hello", to=CUSTOMER)
        await until(lambda: one.heard.inbound, limit_s=WAIT_S)
        pid = worker(one)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(SendError):
            await one.session.send(out)
        reason, detail, _ = await one.ended()
        assert (reason, detail) == ("worker_stuck", "it was silent for 2 s")
        assert "a new one is started" in REASONS[reason].next_step
        await goes_on(one, pid, waiting)
        assert await one.session.find([Doubt(out.id)]) == {out.id: None}  # it never left: it may be sent again
        await one.session.send(out)
        assert set(sent(one.emulator).values()) == {1}


@pytest.mark.usefixtures("often")
async def test_a_worker_that_grew_too_large_is_replaced_once_its_calls_are_answered(tmp_path: Path) -> None:
    async with linked(tmp_path, memory_mb=64) as one:
        waiting, pid = one.say("send me the film"), worker(one)
        await until(lambda: one.heard.inbound, limit_s=WAIT_S)
        large = Document(Media(id="film", mime="application/pdf", size=SIZE, name="film.pdf"))
        id = await one.send(large, file=os.urandom(SIZE))
        reason, detail, again_at = await one.ended()
        assert reason == "worker_memory"
        assert "and may take 64" in detail
        assert again_at is None  # the next one may grow as large: it waits, longer each time
        await goes_on(one, pid, waiting)
        assert sent(one.emulator)[id] == 1


@pytest.mark.parametrize("how", NONSENSE)
async def test_a_worker_that_talks_nonsense_in_the_middle_of_a_send_is_killed_and_its_account_resumed(
    tmp_path: Path, how: str
) -> None:
    file = tmp_path / "ill"
    shutil.copytree(PLACE / "worker", tmp_path / "place/worker", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "place/worker/main.py").open("a") as program:
        program.write(ILL.format(file=str(file), does=NONSENSE[how]))
    with patch.object(accounts, "Keeper", partial(keeper.Keeper, place=tmp_path / "place")):
        async with linked(tmp_path) as one:
            waiting, out, pid = one.say("are you there?"), outgoing("hello", to=CUSTOMER), worker(one)
            await until(lambda: one.heard.inbound, limit_s=WAIT_S)
            file.touch()
            with pytest.raises(MaybeSent):
                await one.session.send(out)
            reason, detail, _ = await one.ended()
            assert reason == "worker_crashed"
            assert "it said" in detail
            file.unlink()
            await goes_on(one, pid, waiting)
            found = await one.session.find([Doubt(out.id)])
            assert found.get(out.id, Found("?")) is not None  # it has a name: nobody may send it again
            assert max(sent(one.emulator).values()) == 1
