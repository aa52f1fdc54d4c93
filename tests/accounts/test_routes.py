"""Accounts over HTTP: what answers say, who may ask, and what strangers find."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from tests.accounts.offices import Mirror, put_in
from tests.tenants.houses import House, build_house, client

from wafleet.accounts import Accounts, Fleet, FleetFiles
from wafleet.accounts.routes import file_router, router
from wafleet.domain.account import State
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.tenants import Caller, Scope

DESK = {"name": "Front desk", "phone": "00971 50 123 4567", "transport": "simulated"}
HERE = "/api/v1/accounts"


@pytest.fixture
async def house(db: Db, clock: ManualClock) -> House:
    return await build_house(db, clock)


@pytest.fixture
def app(house: House, accounts: Accounts) -> FastAPI:
    files = FleetFiles(house.db, accounts=accounts, secrets=Mirror())
    return house.app(router(accounts, Fleet(house.db, house.clock), house.auth), file_router(files, house.auth))


@pytest.fixture
async def office(app: FastAPI, house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app, await house.token(tenant=house.office)) as http:
        yield http


@pytest.fixture
async def kitchen(app: FastAPI, house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app, await house.token(tenant=house.kitchen)) as http:
        yield http


async def added(http: httpx.AsyncClient, **others: Any) -> dict[str, Any]:
    answer = await http.post(HERE, json=DESK | others)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_account_is_added_found_changed_and_removed(office: httpx.AsyncClient) -> None:
    made = await added(office, metadata={"crm": None, "n": 1})
    assert (made["phone"], made["state"], made["metadata"]) == ("+971501234567", "new", {"crm": None, "n": 1})
    assert made["next_step"].startswith("Link it")
    for named in (made["id"], "Front desk", "+971 50-123 4567", "whatsapp:%2B971501234567"):
        assert (await office.get(f"{HERE}/{named}")).json() == made
    changed = await office.patch(f"{HERE}/{made['id']}", json={"role": "sales", "settings": {"keep_alive_s": 9}})
    assert (changed.json()["role"], changed.json()["settings"]) == ("sales", {"keep_alive_s": 9})
    assert [one["id"] for one in (await office.get(HERE, params={"role": "sales"})).json()["items"]] == [made["id"]]
    assert (await office.delete(f"{HERE}/{made['id']}")).status_code == 204
    assert (await office.get(f"{HERE}/{made['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"phone": "12"}, "phone"),
        ({"settings": {"pace": {"speed": 3}}}, "settings.pace.speed"),
        ({"transport": "pigeon"}, "transport"),
        ({"colour": "red"}, "colour"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
    ],
)
async def test_bad_input_names_its_field(office: httpx.AsyncClient, wrong: dict[str, Any], field: str) -> None:
    answer = await office.post(HERE, json=DESK | wrong)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["field"] == field


async def test_a_number_is_taken_once(office: httpx.AsyncClient, kitchen: httpx.AsyncClient) -> None:
    await added(office)
    for http in (office, kitchen):
        answer = await http.post(HERE, json=DESK | {"name": "Another", "phone": "+٩٧١٥٠١٢٣٤٥٦٧"})
        assert (answer.status_code, answer.json()["code"]) == (409, "phone_taken")


async def test_strangers_find_nothing(office: httpx.AsyncClient, kitchen: httpx.AsyncClient) -> None:
    made = await added(office)
    own = f"{HERE}/{made['id']}"
    answers = [
        await kitchen.get(own),
        await kitchen.patch(own, json={"name": "mine"}),
        await kitchen.delete(own),
        await kitchen.get(f"{own}/link"),
        await kitchen.get(f"{own}/link/qr.svg"),
        await kitchen.get(f"{own}/statistics"),
        *[await kitchen.post(f"{own}/{verb}") for verb in ("enable", "disable", "link", "unlink", "reconnect")],
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert (await kitchen.get("/api/v1/fleet/view")).json()["accounts"] == []
    assert (await kitchen.get("/api/v1/fleet")).json()["total"] == 0


async def test_each_scope_permits_its_own_part(app: FastAPI, house: House, office: httpx.AsyncClient) -> None:
    made = await added(office)
    own = f"{HERE}/{made['id']}"
    async with client(app, await house.token(Scope.READ, tenant=house.office)) as reader:
        assert (await reader.get(own)).status_code == 200
        assert (await reader.post(f"{own}/disable")).status_code == 403
        assert (await reader.get(f"{own}/link")).status_code == 403  # a QR code links whoever scans it
    async with client(app, await house.token(Scope.CONTROL, tenant=house.office)) as controller:
        assert (await controller.post(f"{own}/disable")).json()["state"] == "disabled"
        assert (await controller.post(f"{own}/enable")).json()["state"] == "new"
        assert (await controller.patch(own, json={"name": "x"})).status_code == 403
        assert (await controller.get(own)).status_code == 403
    async with client(app) as nobody:
        assert (await nobody.get(own)).status_code == 401


async def test_linking_shows_its_code_until_it_is_cancelled(office: httpx.AsyncClient, db: Db) -> None:
    made = await added(office)
    own = f"{HERE}/{made['id']}/link"
    started = await office.post(own)
    assert (started.status_code, started.json()["state"]) == (202, "linking")
    assert (await office.get(f"{own}/qr.svg")).json()["code"] == "no_code"
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set pairing = %(pairing)s", pairing=Jsonb({"qr": "2@abc", "code": "AB12"}))
    shown = await office.get(own)
    assert (shown.json()["qr"], shown.json()["code"]) == ("2@abc", "AB12")
    svg, png = await office.get(f"{own}/qr.svg"), await office.get(f"{own}/qr.png")
    assert (svg.headers["content-type"], svg.text[:4]) == ("image/svg+xml", "<svg")
    assert (png.headers["content-type"], png.content[:4]) == ("image/png", b"\x89PNG")
    assert {one.headers["cache-control"] for one in (shown, svg, png)} == {"no-store"}
    assert (await office.delete(own)).json()["state"] == "new"
    assert (await office.delete(own)).status_code == 409


async def test_a_connected_account_is_linked_anew_unlinked_and_reconnected(
    office: httpx.AsyncClient, accounts: Accounts, db: Db
) -> None:
    made = await added(office)
    own = f"{HERE}/{made['id']}"
    await put_in(db, await accounts.resolve(Caller.local("test"), made["id"]), State.ONLINE)
    assert (await office.post(f"{own}/link")).json()["code"] == "already_linked"
    assert (await office.post(f"{own}/reconnect")).status_code == 202
    assert (await office.post(f"{own}/link", json={"again": True})).json()["state"] == "linking"
    assert (await office.post(f"{own}/unlink")).json()["state"] == "logged_out"


async def test_credentials_go_in_and_never_come_out(office: httpx.AsyncClient) -> None:
    secret = "sk-very-secret-4321"
    made = await office.post(HERE, json=DESK | {"transport": "entered", "credentials": {"sid": "AC", "key": secret}})
    assert made.json()["credentials_hint"] == "4321"
    own = f"{HERE}/{made.json()['id']}"
    seen = [made, await office.get(own), await office.get(HERE), await office.get("/api/v1/fleet/view")]
    assert not any(secret in answer.text or '"credentials":' in answer.text for answer in seen)


async def test_the_fleet_is_seen_at_a_glance(office: httpx.AsyncClient) -> None:
    made = await added(office)
    totals = (await office.get("/api/v1/fleet")).json()
    assert (totals["total"], totals["states"]["new"], totals["states"]["online"]) == (1, 1, 0)
    view = (await office.get("/api/v1/fleet/view", params={"state": "new"})).json()
    assert (view["accounts"][0]["id"], len(view["accounts"][0]["spark"])) == (made["id"], 24)
    assert (await office.get("/api/v1/fleet/view", params={"state": "online"})).json()["accounts"] == []
    assert (await office.get(f"{HERE}/{made['id']}/statistics")).json()["sent"] == 0


async def test_a_fleet_file_is_applied_over_http(app: FastAPI, house: House, office: httpx.AsyncClient) -> None:
    body = {"file": {"tenants": [{"name": "Office", "accounts": [DESK]}]}, "dry_run": True}
    said = (await office.post("/api/v1/fleet/apply", json=body)).json()
    assert [(one["action"], one["name"]) for one in said["changes"]] == [("create", "Front desk")]
    assert (await office.get(HERE)).json()["items"] == []
    assert (await office.post("/api/v1/fleet/apply", json=body | {"dry_run": False})).json()["dry_run"] is False
    assert [one["name"] for one in (await office.get(HERE)).json()["items"]] == ["Front desk"]
    wrong = {"file": {"tenants": [{"name": "Office", "accounts": [{"phone": "1"}]}]}}
    assert (await office.post("/api/v1/fleet/apply", json=wrong)).json()["field"] == "tenants[0].accounts[0].phone"
    foreign = {"file": {"tenants": [{"name": "Kitchen"}]}}
    assert (await office.post("/api/v1/fleet/apply", json=foreign)).status_code == 404
    async with client(app, await house.token(Scope.CONTROL, tenant=house.office)) as controller:
        assert (await controller.post("/api/v1/fleet/apply", json=body)).status_code == 403


async def test_whoever_reaches_every_tenant_names_one(app: FastAPI, house: House) -> None:
    async with client(app, await house.token(tenant=None)) as root:
        assert (await root.post(HERE, json=DESK)).json()["field"] == "tenant"
        assert (await added(root, tenant="Kitchen"))["tenant"] == "Kitchen"
        made = await root.post(HERE, params={"tenant": "Office"}, json=DESK | {"name": "B", "phone": "+971501111111"})
        assert made.json()["tenant"] == "Office"
        assert len((await root.get(HERE)).json()["items"]) == 2
        assert len((await root.get(HERE, params={"tenant": "Office"})).json()["items"]) == 1


TRICKS = ["%00", "\x00", "..", "' or 1=1", "%ff", "+", " ", "\ud800"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(named=st.text(min_size=1, max_size=30) | st.sampled_from(TRICKS))
async def test_no_text_in_a_path_or_query_breaks_anything(office: httpx.AsyncClient, named: str) -> None:
    named = named.encode("utf-8", "replace").decode()
    answer = await office.get(f"{HERE}/{quote(named, safe='')}/statistics")
    assert answer.status_code in {404, 422}
    assert (await office.get(HERE, params={"q": named, "role": named, "transport": named})).status_code == 200
    assert (await office.get("/api/v1/fleet/view", params={"q": named, "role": named})).status_code == 200
    assert (await office.get(HERE, params={"cursor": named})).status_code == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["name", "phone", "transport", "role", "priority", "metadata", "settings", "enabled", "credentials", "tenant"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
async def test_no_body_breaks_anything(office: httpx.AsyncClient, body: dict[str, Any]) -> None:
    headers = {"content-type": "application/json"}
    answer = await office.post(HERE, content=json.dumps(DESK | body), headers=headers)
    assert answer.status_code in {201, 409, 422}
    if answer.status_code == 201:
        assert (await office.delete(f"{HERE}/{answer.json()['id']}")).status_code == 204
