"""Tenants, users and tokens over HTTP: what is told once, what is text, and what strangers find."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.tenants.houses import House, client

from wafleet.tenants import Scope

NASTY = [
    "Robert'); drop table tenants; --",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "%(name)s %s {0} ${x} \\",
    "مطعم البيت",
    "👩‍👩‍👧‍👦 \u202e reversed",
    "a\r\nSet-Cookie: x=y",
]


@pytest.fixture
async def root(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(house.app(), await house.token(*Scope, tenant=None)) as http:
        yield http


@pytest.fixture
async def office(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(house.app(), await house.token(*Scope, tenant=house.office)) as http:
        yield http


async def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("text", NASTY)
async def test_sql_and_html_are_stored_and_shown_as_text(root: httpx.AsyncClient, text: str) -> None:
    tenant = await made(await root.post("/api/v1/tenants", json={"name": text}))
    assert tenant["name"] == text
    assert (await root.get(f"/api/v1/tenants/{tenant['id']}")).json()["name"] == text
    assert (await root.patch(f"/api/v1/tenants/{tenant['id']}", json={"name": text + "!"})).json()["name"] == text + "!"
    user = await made(
        await root.post("/api/v1/users", json={"email": "a@b", "name": text, "tenant": tenant["id"], "role": "agent"})
    )
    assert user["user"]["name"] == text
    assert user["user"]["memberships"][0]["name"] == text + "!"
    token = await made(await root.post("/api/v1/tokens", json={"name": text, "scopes": ["read"]}))
    assert token["name"] == text
    listed = await root.get("/api/v1/tokens", params={"limit": 1})
    assert listed.json()["items"][0]["name"] == text
    assert listed.headers["content-type"] == "application/json"
    assert text in {entry["detail"].get("name") for entry in (await root.get("/api/v1/audit")).json()["items"]}


async def test_a_new_tokens_secret_is_told_once_and_works(root: httpx.AsyncClient, house: House) -> None:
    body = {"name": "orders", "scopes": ["read", "send"], "tenant": "Office", "expires_at": "2027-01-01T03:00:00+03:00"}
    token = await made(await root.post("/api/v1/tokens", json=body))
    assert token["tenant"] == str(house.office)
    assert token["expires_at"] == "2027-01-01T00:00:00Z"
    assert token["token"] not in (await root.get("/api/v1/tokens")).text
    headers = {"Authorization": f"Bearer {token['token']}"}
    assert (await root.get("/api/v1/me", headers=headers)).json()["scopes"] == ["read", "send"]
    assert (await root.delete(f"/api/v1/tokens/{token['id']}")).status_code == 204
    assert (await root.get("/api/v1/me", headers=headers)).json()["code"] == "token_revoked"


async def test_a_made_password_is_told_once_and_works(root: httpx.AsyncClient) -> None:
    body = {"email": "ada@example.com", "tenant": "Office", "role": "operator"}
    user = await made(await root.post("/api/v1/users", json=body))
    signed_in = await root.post("/api/v1/sign-in", json={"email": "ada@example.com", "password": user["password"]})
    assert signed_in.status_code == 200
    assert user["password"] not in (await root.get("/api/v1/users")).text
    again = await root.post("/api/v1/users", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")


async def test_a_user_is_changed_disabled_and_removed(root: httpx.AsyncClient, house: House) -> None:
    user = (await made(await root.post("/api/v1/users", json={"email": "a@b", "tenant": "Office"})))["user"]
    path = f"/api/v1/users/{user['id']}"
    changed = await root.patch(path, params={"tenant": "Office"}, json={"name": "Ada", "role": "admin"})
    assert (changed.json()["name"], changed.json()["memberships"][0]["role"]) == ("Ada", "admin")
    assert (await root.put(f"{path}/memberships/Kitchen", json={"role": "owner"})).status_code == 200
    assert (await root.patch(path, json={"disabled": True})).json()["disabled"] is True
    assert (await root.post(f"{path}/password", json={})).json()["password"]
    assert (await root.delete(f"{path}/memberships/Kitchen")).status_code == 204
    assert (await root.delete(f"{path}/memberships/Kitchen")).status_code == 404
    assert (await root.patch(path, json={"role": "admin"})).json()["field"] == "tenant"


async def test_strangers_ids_are_404_for_every_method(
    root: httpx.AsyncClient, office: httpx.AsyncClient, house: House
) -> None:
    cook = (await made(await root.post("/api/v1/users", json={"email": "c@d", "tenant": "Kitchen"})))["user"]["id"]
    await house.token(tenant=house.kitchen)
    token = (await root.get("/api/v1/tokens", params={"limit": 1})).json()["items"][0]["id"]
    asked = [
        await office.get(f"/api/v1/users/{cook}"),
        await office.patch(f"/api/v1/users/{cook}", json={"name": "mine"}),
        await office.patch(f"/api/v1/users/{cook}", json={"role": "viewer"}),
        await office.post(f"/api/v1/users/{cook}/password", json={}),
        await office.put(f"/api/v1/users/{cook}/memberships/Office", json={"role": "viewer"}),
        await office.put(f"/api/v1/users/{cook}/memberships/Kitchen", json={"role": "viewer"}),
        await office.delete(f"/api/v1/users/{cook}/memberships/{house.kitchen}"),
        await office.get("/api/v1/tenants/Kitchen"),
        await office.patch(f"/api/v1/tenants/{house.kitchen}", json={"name": "mine"}),
        await office.delete(f"/api/v1/tokens/{token}"),
        await office.post("/api/v1/tokens", json={"name": "t", "scopes": ["read"], "tenant": "Kitchen"}),
        await office.post("/api/v1/users", json={"email": "e@f", "tenant": str(house.kitchen)}),
        await office.get(f"/api/v1/users/{uuid4()}"),
    ]
    assert [answer.status_code for answer in asked] == [404] * len(asked)


async def test_only_the_platform_adds_tenants(office: httpx.AsyncClient, root: httpx.AsyncClient) -> None:
    assert (await office.post("/api/v1/tenants", json={"name": "Bakery"})).status_code == 403
    assert (await root.post("/api/v1/tenants", json={"name": "KITCHEN"})).json()["code"] == "name_taken"
    assert (await root.patch("/api/v1/tenants/Office", json={"name": "kitchen"})).json()["code"] == "name_taken"


async def test_lists_are_paged_to_their_end_without_repeats(root: httpx.AsyncClient) -> None:
    for n in range(5):
        await made(await root.post("/api/v1/tenants", json={"name": f"T{n}"}))
    for path, expected in (("tenants", 7), ("audit", 9)):
        seen: list[Any] = []
        page: dict[str, Any] = (await root.get(f"/api/v1/{path}", params={"limit": 2})).json()
        seen += [item["id"] for item in page["items"]]
        while page["next"]:
            page = (await root.get(f"/api/v1/{path}", params={"limit": 2, "cursor": page["next"]})).json()
            seen += [item["id"] for item in page["items"]]
        assert len(seen) == len(set(seen)) == expected
