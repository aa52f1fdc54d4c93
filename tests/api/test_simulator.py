"""The simulated network through the API: for those who run the installation, and nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from wafleet.app import App, open_app
from wafleet.config import Settings, SimulatorSettings
from wafleet.simulator.address import Address, publish, withdraw
from wafleet.simulator.server import serve
from wafleet.simulator.world import World
from wafleet.tenants import EVERYTHING, Caller


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "simulator"
    folder.mkdir()
    world = World(seed=1)
    world.link("+971501110001")
    server = await serve(world, token="t" * 32)
    publish(folder, Address(host="127.0.0.1", port=server.port, token="t" * 32, pid=1))
    yield world
    withdraw(folder)
    await server.close()


@pytest.fixture
async def app(dsn: str, tmp_path: Path, world: World) -> AsyncIterator[App]:
    settings = Settings(
        data_dir=tmp_path, database_url=dsn, simulator=SimulatorSettings(enabled=True, folder=tmp_path / "simulator")
    )
    async with open_app(settings) as app:
        yield app


async def client(app: App, *, tenant: bool = False) -> httpx.AsyncClient:
    caller = Caller.local("test")
    office = (await app.slices.tenants.ensure(caller, "Sharq")).id if tenant else None
    made = await app.slices.tenants.tokens.make(caller, name="t", tenant=office, scopes=sorted(EVERYTHING))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.http),
        base_url="http://wafleet/api/v1",
        headers={"Authorization": f"Bearer {made.secret}"},
    )


async def test_an_administrator_looks_at_the_network_and_interferes(app: App, world: World) -> None:
    async with await client(app) as http:
        assert (await http.get("/simulator")).json()["linked"] == 1
        said = await http.post(
            "/simulator/say", json={"customer": "+447700900001", "account": "+971501110001", "text": "hi"}
        )
        assert said.json()["id"]
        assert (await http.get("/simulator/ledger")).json()["accounts"][0]["offered"] == 1
        struck = await http.post("/simulator/faults", json={"account": "*", "kind": "latency"})
        assert struck.status_code == 200
        assert [one.kind for one in world.trouble.active()] == ["latency"]
        assert (await http.delete("/simulator/faults/*/latency")).status_code == 200
        assert world.trouble.active() == []
        error = {"account": "*", "kind": "ack_error", "detail": "463", "share": 0.5}
        assert (await http.post("/simulator/faults", json=error)).status_code == 200
        assert [(one.detail, one.share) for one in world.trouble.active()] == [("463", 0.5)]
        refused = await http.post("/simulator/faults", json={"account": "*", "kind": "earthquake"})
        assert (refused.status_code, refused.json()["code"]) == (409, "simulator_refused")


async def test_a_phone_scans_what_is_shown_and_hears_why_it_cannot(app: App) -> None:
    async with await client(app) as http:
        for body in ({}, {"qr": "2@a,b,c,d"}, {"code": "ABCD-1234"}):
            refused = await http.post("/simulator/scan/+971501110001", json=body)
            assert (refused.status_code, refused.json()["code"]) == (409, "simulator_refused")
        assert "wafleet sim device" in refused.json()["detail"]
        assert (await http.post("/simulator/scan/+971501110001")).status_code == 409


async def test_a_tenant_cannot_touch_the_network_that_all_share(app: App) -> None:
    async with await client(app, tenant=True) as http:
        assert (await http.get("/simulator")).status_code == 403


async def test_a_network_that_is_away_is_one_sentence(app: App, tmp_path: Path) -> None:
    withdraw(tmp_path / "simulator")
    async with await client(app) as http:
        away = await http.get("/simulator")
    assert (away.status_code, away.json()["code"]) == (503, "simulator_away")
    assert "wafleet sim serve" in away.json()["detail"]
