"""`wafleet sim twilio` and `wafleet sim meta`: stand-ins as processes, beside a network or with one of their own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.simulator.peer import LAYLA, ONE, TWO
from tests.simulator.shops import open_shop, until

from wafleet.simulator.control import Control

Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a stand-in; return what it says about itself."""
    started: list[subprocess.Popen[bytes]] = []
    command = "import sys; from wafleet.cli import app; app(['sim', *sys.argv[1:]])"

    def start(*words: str) -> dict[str, Any]:
        line = [sys.executable, "-c", command, *words, "--json", "--port", "0", "--data-dir", str(tmp_path)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        started.append(process)
        assert process.stdout
        return {"pid": process.pid, **json.loads(process.stdout.readline())}

    yield start
    for process in reversed(started):
        process.terminate()
        process.communicate(timeout=10)
    assert [p.returncode for p in started] == [0] * len(started)


async def test_two_stand_ins_share_one_network_and_keep_their_keys(start: Start, tmp_path: Path) -> None:
    async with open_shop() as shop:
        twilio = start("twilio", "--number", ONE, "--webhook-url", f"{shop.url}/in")
        meta = start("meta", "--number", TWO)
        control = await Control.at(tmp_path / "simulator")
        try:
            async with asyncio.timeout(10):
                while (await control.status()).online < 2:  # noqa: ASYNC110 - another process decides when
                    await asyncio.sleep(0.01)
            assert list(meta["settings"]) == [TWO]
            await control.say(LAYLA, ONE, "hello")
            await until(lambda: shop.calls)
            assert b"Body=hello" in shop.calls[0].body
        finally:
            await control.close()
        sid, token = twilio["credentials"]["accountSid"], twilio["credentials"]["authToken"]
        async with httpx.AsyncClient(base_url=twilio["url"], auth=(sid, token)) as http:
            form = {"From": f"whatsapp:{ONE}", "To": f"whatsapp:{LAYLA}", "Body": "yes?"}
            assert (await http.post(f"/2010-04-01/Accounts/{sid}/Messages.json", data=form)).status_code == 201
    again = start("twilio", "--number", TWO)
    assert again["credentials"] == twilio["credentials"]


def test_a_port_that_is_taken_is_said_in_one_sentence(start: Start, tmp_path: Path) -> None:
    port = start("meta")["url"].rpartition(":")[2]
    command = "import sys; from wafleet.cli import main; main()"
    line = [sys.executable, "-c", command, "sim", "meta", "--port", port, "--data-dir", str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
