"""A place with an emulator instead of the simulator: real workers with the real library, linked as people link them."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.place import Node, Place, open_place, until
from wafleet.simulator.control import Control

MANNERS = "manners: {read_share: 0, answer_s: [0, 0.01], delivered_s: [0, 0.05]}\n"
_LINKED_AT_ONCE = 3


@dataclass(slots=True)
class Linked:
    """One account that was linked, and how long the person with the phone waited for it."""

    id: str
    phone: str
    seconds: float  # from the scan until wafleet says that it is online


@asynccontextmanager
async def open_device_place() -> AsyncGenerator[Place]:
    """Make a place whose accounts are linked devices, and remove all of it afterwards."""
    async with open_place(MANNERS, program="wafleet.emulator") as place:
        place.settings["WAFLEET_DEVICES__EMULATOR"] = str(place.folder / "simulator")
        await until(lambda: asyncio.to_thread((place.folder / "simulator" / "endpoint.json").exists), bool)
        yield place


async def link(place: Place, node: Node, count: int, *, first: int = 1) -> list[Linked]:
    """Create accounts through the API, and link each by its QR code."""
    some = asyncio.Semaphore(_LINKED_AT_ONCE)
    headers = {"Authorization": f"Bearer {node.token}"}
    async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers, timeout=30, trust_env=False) as api:

        async def one(number: int) -> Linked:
            async with some:
                return await _link(api, place.control, f"+9715200{number:05d}")

        return list(await asyncio.gather(*(one(number) for number in range(first, first + count))))


async def _link(api: httpx.AsyncClient, control: Control, phone: str) -> Linked:
    body = {"name": f"Device {phone}", "phone": phone, "transport": "device", "tenant": "bench"}
    made = (await api.post("/accounts", json=body)).raise_for_status().json()
    (await api.post(f"/accounts/{made['id']}/link")).raise_for_status()
    path = f"/accounts/{made['id']}"

    async def qr() -> str:
        return str((await api.get(f"{path}/link")).raise_for_status().json()["qr"])

    async def state() -> str:
        return str((await api.get(path)).raise_for_status().json()["state"])

    await control.scan(phone, qr=await until(qr, bool))
    began = time.perf_counter()
    await until(state, lambda seen: seen == "online")
    return Linked(made["id"], phone, time.perf_counter() - began)


def workers(node: Node) -> list[psutil.Process]:
    """Return the worker processes of a node."""
    return [
        one for one in node.process.children(recursive=True) if any("worker.main" in part for part in one.cmdline())
    ]


@asynccontextmanager
async def bare_python(code: str, *arguments: str, flags: Sequence[str] = ()) -> AsyncGenerator[tuple[int, float]]:
    """Run a few lines of Python that then wait; yield the process and the seconds until its first line."""
    pipe = asyncio.subprocess.PIPE
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        sys.executable, *flags, "-c", f"{code}\nprint(flush=True)\ninput()", *arguments, stdin=pipe, stdout=pipe
    )
    assert child.stdout is not None
    try:
        await asyncio.wait_for(child.stdout.readline(), 60)
        yield child.pid, time.perf_counter() - began
    finally:
        child.kill()
        await child.wait()
