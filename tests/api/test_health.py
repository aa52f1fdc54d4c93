"""What monitors see, with the database there and away."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.tenants.houses import House, client

from wafleet.engine.clock import ManualClock
from wafleet.tenants import Scope


@pytest.mark.parametrize(
    ("accounts", "status"),
    [
        ({"online": 3}, "ok"),
        ({"online": 0, "total": 0}, "ok"),
        ({"online": 9, "offline": 1, "disabled": 50, "total": 60}, "ok"),
        ({"online": 8, "offline": 1, "recovering": 1}, "degraded"),
        ({"blocked": 1}, "degraded"),
    ],
)
async def test_health_tells_the_state_of_the_fleet(house: House, accounts: dict[str, int], status: str) -> None:
    async with client(house.app(accounts=accounts)) as http:
        answer = await http.get("/health")
    told = answer.json()
    assert answer.status_code == 200
    assert (told["status"], told["version"], told["node"], told["waiting"]) == (status, "1.2.3", "n1", 0)
    assert told["database"]["reachable"] is True
    assert told["accounts"] == {"total": sum(accounts.values()), "online": 0} | accounts


async def test_without_its_database_a_node_is_alive_but_down_and_not_ready(
    house: House, dsn: str, server: str, clock: ManualClock
) -> None:
    token = await house.token(Scope.READ, tenant=house.office)
    name = conninfo_to_dict(dsn)["dbname"]
    async with client(house.app(), token) as http:
        assert (await http.get("/health/ready")).status_code == 200
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false".encode())
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        await clock.advance(1)
        down, live, ready, api = [
            await http.get(path) for path in ("/health", "/health/live", "/health/ready", "/api/v1/tenants")
        ]
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections true".encode())
        assert (down.status_code, down.json()["status"], down.json()["accounts"]) == (503, "down", {})
        assert live.status_code == 200
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        assert (api.status_code, api.json()["code"], api.headers["retry-after"]) == (503, "database_away", "2")


@pytest.mark.parametrize("current", [False, RuntimeError("made by a newer program")])
async def test_a_node_with_another_schema_is_not_ready(house: House, current: bool | Exception) -> None:
    async with client(house.app(current=current)) as http:
        answer = await http.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "wafleet migrate" in answer.json()["detail"]


async def test_metrics_are_open_here_and_closed_elsewhere_but_for_fleet_readers(house: House) -> None:
    app = house.app()
    async with client(app, address="127.0.0.1") as http:
        await http.get("/api/v1/tenants/secret-name")
        here = await http.get("/metrics")
        proxied = await http.get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"})
    assert here.status_code == 200
    assert here.headers["content-type"].startswith("text/plain")
    assert 'route="/api/v1/tenants/{named}",status="401"' in here.text
    assert "secret-name" not in here.text
    assert proxied.status_code == 401
    statuses: list[int] = []
    for token in (None, await house.token(tenant=house.office), await house.token(Scope.READ, tenant=None)):
        async with client(app, token, address="8.8.8.8") as http:
            statuses.append((await http.get("/metrics")).status_code)
    assert statuses == [401, 403, 200]
