"""The demo after kill -9 of everything: all its numbers are back, and the providers have forgotten nothing."""

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from tests.crash.programs import CLEAN, Process, free_port, until
from tests.engine.postgres_programs import enterable_folder

from wafleet.cli.demo_world import DEVICES, PROVIDED
from wafleet.cli.serving import Address, read_address
from wafleet.cli.sim_providers import TwilioKeys
from wafleet.clientlib import Unusable, find
from wafleet.simulator.control import Control

pytestmark = [pytest.mark.crash, pytest.mark.timeout(400)]
QUICK = {**CLEAN, "WAFLEET_SESSIONS__BACKOFF_MOST_S": "2"}
PROVIDED_PHONES = {phone for _, _, phone, _, _ in PROVIDED}
ORDERS, HUNGRY = "+966551110021", "+971559998877"  # a number at Twilio, and a customer of it


def _device_phones() -> set[str]:
    try:
        find()
    except Unusable:
        return set()
    return {phone for _, _, phone, _ in DEVICES}


DEVICE_PHONES = _device_phones()


def _of(home: Path) -> list[psutil.Process]:
    """List every process that works for the demo in this folder."""
    found: list[psutil.Process] = []
    for one in psutil.process_iter():
        try:
            told = " ".join(one.cmdline()) + one.environ().get("WAFLEET_DATA_DIR", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if str(home) in told and one.pid != os.getpid():
            found.append(one)
    return found


def _kill_all(home: Path) -> None:
    while everybody := _of(home):
        for one in everybody:
            with_children = [one, *one.children(recursive=True)] if one.is_running() else []
            for each in with_children:
                if each.is_running():
                    os.kill(each.pid, signal.SIGKILL)
        psutil.wait_procs(everybody, timeout=10)


class Demo(Process):
    """`wafleet demo` in a folder of its own."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home, self.url, self.token, self.port = home, "", "", free_port()

    async def start(self) -> None:
        """Start it, and return once its numbers at providers and its linked devices are online."""
        began = datetime.now(UTC)
        command = [self.python, "-m", "wafleet", "demo", "--accounts", "5", "--port", str(self.port)]
        self.begin([*command, "--data-dir", str(self.home)], log=self.home.with_suffix(".log"), env=QUICK)
        address = await until(self._published, lambda found: found is not None, limit_s=90)
        assert address is not None
        self.url, self.token = address.url, address.token
        await self.all_online(since=began, limit_s=90)

    async def all_online(self, *, since: datetime, limit_s: float) -> None:
        """Wait until each has come online; at times the demo's weather takes one away while another comes back."""
        missing = PROVIDED_PHONES | DEVICE_PHONES

        async def still_missing() -> set[str]:
            found = (await self.get("/accounts", limit=100))["items"]
            online = [one for one in found if one["state"] == "online"]
            missing.difference_update(
                one["phone"] for one in online if datetime.fromisoformat(one["state_since"]) > since
            )
            return missing

        await until(still_missing, lambda phones: not phones, limit_s=limit_s)

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False) as http:
            return (await http.get(f"/api/v1{path}", params=query)).raise_for_status().json()

    async def send(self, to: str, text: str) -> int:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": text}
        account = next(o["id"] for o in (await self.get("/accounts", limit=100))["items"] if o["phone"] == ORDERS)
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False) as http:
            return (await http.post("/api/v1/messages", json={"account": account, "to": to, "text": text})).status_code

    async def deliver(self, text: str) -> str:
        """Write to the customer until something arrives, and return it: the demo's weather may swallow a message."""
        for n in range(4):
            written = f"{text} ({n})"
            await until(lambda: self.send(HUNGRY, written), lambda status: status == 202)  # noqa: B023
            with contextlib.suppress(AssertionError):
                await until(self.listed, lambda seen: seen.get(written) in {"sent", "delivered", "read"})  # noqa: B023
                return written
        raise AssertionError(f"nothing arrived: {await self.listed()}")

    async def listed(self) -> dict[str, str]:
        """What Twilio's list shows of the messages to one customer: body and state; nothing while it is away."""
        folder = self.home / "simulator"
        keys = msgspec.json.decode((folder / "twilio.json").read_bytes(), type=TwilioKeys)
        port = msgspec.json.decode((folder / "twilio-running.json").read_bytes())["port"]
        url = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{keys.account_sid}/Messages.json"
        async with httpx.AsyncClient(auth=(keys.account_sid, keys.auth_token), trust_env=False) as http:
            try:
                reply = await http.get(url, params={"To": f"whatsapp:{HUNGRY}"})
            except httpx.TransportError:
                return {}
        return {one["body"]: one["status"] for one in reply.raise_for_status().json()["messages"]}

    async def _published(self) -> Address | None:
        assert self.alive(), self.home.with_suffix(".log").read_text()
        found = read_address(self.home)
        return found if found is not None and found.pid == self.pid else None


@pytest.fixture
def demo() -> Iterator[Demo]:
    with enterable_folder() as folder:
        demo = Demo(folder / "demo")
        yield demo
        _kill_all(demo.home)
        demo.kill()


async def test_everything_killed_and_started_again_the_demo_goes_on_and_its_providers_remember(demo: Demo) -> None:
    await demo.start()
    control = await Control.at(demo.home / "simulator")
    await control.say(HUNGRY, ORDERS, "is it ready?")
    await control.close()
    before = await demo.deliver("before it was killed")
    _kill_all(demo.home)
    demo.kill()
    await demo.start()
    await until(demo.listed, lambda seen: before in seen, limit_s=60)
    await demo.deliver("after it was killed")  # the customer need not write again
