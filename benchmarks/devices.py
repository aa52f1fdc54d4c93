"""Linked devices: linking, coming back, what one costs, and what remains of the gap between reading and storing."""

import asyncio
import time

import httpx
import psutil

from benchmarks.device_place import Linked, bare_python, link, open_device_place, workers
from benchmarks.device_window import windows
from benchmarks.figures import Figure, percentile
from benchmarks.place import Node, Place, memory_mb, until
from wafleet.clientlib import find

LOADED = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1])"
IMPORTED = "import neonize"
LOADED_IS = "a bare Python starts and loads the library's program"


async def measure(*, quick: bool) -> list[Figure]:
    """Measure a fleet of linked devices on the emulator."""
    fleet = 8 if quick else 20
    async with open_device_place() as place:
        async with place.node() as node:
            linked = await link(place, node, 5, first=1)
            resumed = [await _resumed(node, one) for one in linked]
            killed = [await _killed(node, one) for one in linked]
            gaps = await windows(place, linked[0].phone, linked[0].id, 200)
            linked += await link(place, node, fleet - 5, first=6)
            await asyncio.sleep(5)
            each = [memory_mb(one) for one in workers(node)]
        restored = await _restored(place, fleet)
    loaded, loaded_mb, imported_mb = await _bare()
    return [
        _linking(linked, loaded),
        _resuming(resumed, loaded),
        _killing(killed),
        _memory(each, loaded_mb, imported_mb),
        _waves(fleet, restored, loaded),
        _window(gaps),
    ]


async def _resumed(node: Node, one: Linked) -> float:
    """Stop an account and enable it again; return the seconds from that word until it is online."""
    async with _api(node) as api:
        (await api.post(f"/accounts/{one.id}/disable")).raise_for_status()
        await _state(api, one, "disabled")
        began = time.perf_counter()
        (await api.post(f"/accounts/{one.id}/enable")).raise_for_status()
        await _state(api, one, "online")
        return time.perf_counter() - began


async def _killed(node: Node, one: Linked) -> float:
    """Kill the worker of an account; return the seconds until it is online again."""
    async with _api(node) as api:
        next(worker for worker in workers(node) if one.id in _files(worker)).kill()
        began = time.perf_counter()
        await _state(api, one, "offline")
        await _state(api, one, "online")
        return time.perf_counter() - began


def _api(node: Node) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {node.token}"}
    return httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers, trust_env=False)


async def _state(api: httpx.AsyncClient, one: Linked, wanted: str) -> None:
    async def seen() -> str:
        return str((await api.get(f"/accounts/{one.id}")).raise_for_status().json()["state"])

    await until(seen, lambda state: state == wanted)


def _files(worker: psutil.Process) -> str:
    return " ".join(file.path for file in worker.open_files())


async def _restored(place: Place, fleet: int) -> float:
    """Start wafleet anew; return the seconds until all its devices are online."""
    async with place.node() as node:
        await until(place.online, lambda n: n == fleet)
        return time.time() - node.began


async def _bare() -> tuple[float, float, float]:
    """Return what a bare load of the program takes, in seconds and MB, and a plain import of the library, in MB."""
    async with bare_python(LOADED, str(find().program), flags=["-I"]) as (pid, seconds):
        loaded_mb = memory_mb(psutil.Process(pid))
    async with bare_python(IMPORTED) as (pid, _):
        return seconds, loaded_mb, memory_mb(psutil.Process(pid))


def _linking(linked: list[Linked], loaded: float) -> Figure:
    took = [one.seconds for one in linked[:5]]
    return Figure(
        name="link by QR to online, p90",
        value=percentile(took, 0.9),
        unit="s",
        limit=loaded,
        limit_is=LOADED_IS,
        target=2,
        notes=[f"of {len(took)}, three at a time; fastest {min(took):.2f} s"],
    )


def _resuming(resumed: list[float], loaded: float) -> Figure:
    return Figure(
        name="resume a linked device, p90",
        value=percentile(resumed, 0.9),
        unit="s",
        limit=loaded,
        limit_is=LOADED_IS,
        target=1,
        notes=[f"of {len(resumed)}; fastest {min(resumed):.2f} s; from `enable` to online, no QR code"],
    )


def _killing(killed: list[float]) -> Figure:
    return Figure(
        name="back after kill -9 of its worker, p90",
        value=percentile(killed, 0.9),
        unit="s",
        notes=[f"of {len(killed)}; fastest {min(killed):.2f} s; wafleet pauses before it tries again"],
    )


def _memory(each: list[float], loaded_mb: float, imported_mb: float) -> Figure:
    return Figure(
        name="memory per linked device",
        value=percentile(each, 0.5),
        unit="MB",
        limit=loaded_mb,
        limit_is="a bare Python that has loaded the program and does nothing (proportional set size, as all here)",
        target=50,
        notes=[
            f"{len(each)} workers, largest {max(each):.1f} MB; they share the pages of the program",
            f"a plain import of the library {imported_mb:.1f} MB",
        ],
    )


def _waves(fleet: int, restored: float, loaded: float) -> Figure:
    return Figure(
        name=f"{fleet} linked devices restored",
        value=restored,
        unit="s",
        limit=loaded * fleet / max(1, (psutil.cpu_count() or 1)),
        limit_is=f"{LOADED_IS}, once for each, on all cores",
        target=30,
        notes=["from the start of wafleet's process until all are online, in its usual waves; PostgreSQL runs already"],
    )


def _window(gaps: list[float]) -> Figure:
    return Figure(
        name="received and not yet on disk, p99",
        value=percentile(gaps, 0.99) * 1000,
        unit="ms",
        notes=[
            f"{len(gaps)} messages, p50 {percentile(gaps, 0.5) * 1000:.1f} ms, longest {max(gaps) * 1000:.1f} ms",
            "from the library's first write of its keys to the end of ours to the spool: an upper bound",
            "a kill -9 in between makes that message a visible placeholder",
        ],
    )
