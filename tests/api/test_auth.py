"""Who may come in: tokens, cookies, other sites' pages, and what a page must send back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends
from tests.tenants.houses import ADMIN, PASSWORD, House, client

from wafleet.engine.clock import ManualClock
from wafleet.tenants import Caller, Role, Scope


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(house.app(pages=[pages(house)])) as http:
        yield http


def pages(house: House) -> APIRouter:
    routes = APIRouter()
    person = Depends(house.auth.page())

    @routes.get("/overview")
    async def overview(caller: Annotated[Caller, person]) -> str:
        return caller.actor

    @routes.post("/rename")
    async def rename(caller: Annotated[Caller, person]) -> str:
        return caller.actor

    return routes


async def sign_in(http: httpx.AsyncClient, email: str = "root@example.com") -> str:
    """Sign in; return the token against forgeries."""
    answer = await http.post("/api/v1/sign-in", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return (await http.get("/api/v1/me")).json()["csrf_token"]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "sign_in_needed"),
        ("", "token_malformed"),
        ("Bearer", "token_malformed"),
        ("Bearer ", "token_malformed"),
        ("Basic cm9vdDpyb290", "token_malformed"),
        ("Bearer wf_short", "token_malformed"),
        ("Bearer wf_" + "a" * 43, "token_unknown"),
        ("Bearer ' or 1=1 --", "token_malformed"),
    ],
)
async def test_without_good_credentials_there_is_401_and_a_challenge(
    http: httpx.AsyncClient, header: str | None, code: str
) -> None:
    answer = await http.get("/api/v1/tenants", headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_expired_and_revoked_tokens_are_told_apart(
    house: House, http: httpx.AsyncClient, clock: ManualClock
) -> None:
    made = [
        await house.tenants.tokens.make(
            ADMIN, name="t", tenant=house.office, scopes=[Scope.READ], expires_at=clock.now() + timedelta(days=1)
        )
        for _ in range(2)
    ]
    await house.tenants.tokens.revoke(ADMIN, made[0].token.id)
    await clock.advance(86_400)
    codes = [
        (await http.get("/api/v1/tenants", headers={"Authorization": f"Bearer {one.secret}"})).json()["code"]
        for one in made
    ]
    assert codes == ["token_revoked", "token_expired"]


async def test_every_scope_is_needed_where_it_is_asked(house: House, http: httpx.AsyncClient) -> None:
    reader = {"Authorization": f"Bearer {await house.token(Scope.READ, tenant=house.office)}"}
    assert (await http.get("/api/v1/tenants", headers=reader)).status_code == 200
    for path in ("users", "tokens", "audit"):
        answer = await http.get(f"/api/v1/{path}", headers=reader)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "admin" in answer.json()["detail"]


async def test_the_cookie_is_out_of_reach_of_scripts_and_secure_over_https(house: House) -> None:
    async with client(house.app()) as http, client(house.app(), base_url="https://wafleet.test") as https:
        for one in (http, https):
            await sign_in(one)
            answer = await one.post("/api/v1/sign-in", json={"email": "root@example.com", "password": PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=lax" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
            assert cookie.startswith("__Host-wafleet=") == (one is https)
            assert ("Secure" in cookie) == (one is https)


async def test_a_change_under_the_cookie_needs_the_pages_token(http: httpx.AsyncClient) -> None:
    csrf = await sign_in(http)
    bare = await http.post("/api/v1/tenants", json={"name": "Bakery"})
    assert (bare.status_code, bare.json()["code"]) == (403, "csrf")
    wrong = await http.post("/api/v1/tenants", json={"name": "Bakery"}, headers={b"X-CSRF-Token": "é".encode()})
    assert wrong.status_code == 403
    right = await http.post("/api/v1/tenants", json={"name": "Bakery"}, headers={"X-CSRF-Token": csrf})
    assert right.status_code == 201


async def test_a_plain_form_carries_the_token_in_a_field(http: httpx.AsyncClient) -> None:
    csrf = await sign_in(http)
    assert (await http.post("/rename", data={"name": "x"})).status_code == 403
    assert (await http.post("/rename", data={"name": "x", "csrf_token": csrf})).status_code == 200


async def test_a_token_of_another_sign_in_does_not_count(house: House, http: httpx.AsyncClient) -> None:
    await sign_in(http)
    async with client(house.app()) as other:
        theirs = await sign_in(other)
    answer = await http.post("/api/v1/tenants", json={"name": "Bakery"}, headers={"X-CSRF-Token": theirs})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://wafleet.test"}, 201),
        ({"Origin": "http://evil.test", "Sec-Fetch-Site": "same-origin"}, 201),
    ],
)
async def test_other_sites_pages_change_nothing_even_with_the_right_token(
    http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    csrf = await sign_in(http)
    answer = await http.post("/api/v1/tenants", json={"name": "B"}, headers={"X-CSRF-Token": csrf, **headers})
    assert answer.status_code == status


async def test_other_sites_pages_cannot_sign_anybody_in(http: httpx.AsyncClient) -> None:
    body = {"email": "root@example.com", "password": PASSWORD}
    answer = await http.post("/api/v1/sign-in", json=body, headers={"Origin": "https://evil.test"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_signing_out_ends_it_for_good(http: httpx.AsyncClient) -> None:
    csrf = await sign_in(http)
    stolen = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    assert (await http.post("/api/v1/sign-out")).status_code == 403
    assert (await http.post("/api/v1/sign-out", headers={"X-CSRF-Token": csrf})).status_code == 204
    assert not http.cookies
    assert (await http.get("/api/v1/me", headers={"Cookie": stolen})).status_code == 401
    assert (await http.post("/api/v1/sign-out")).status_code == 204


async def test_a_page_sends_strangers_to_sign_in_and_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/overview?state=offline&x=%2F%2Fevil")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Foverview%3Fstate%3Doffline%26x%3D%252F%252Fevil"
    part = await http.get("/overview", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in")
    await sign_in(http)
    assert (await http.get("/overview")).json() == "user:root@example.com"


async def test_wrong_passwords_are_401_then_429_with_a_time_to_wait(http: httpx.AsyncClient) -> None:
    body = {"email": "root@example.com", "password": "wrong"}
    answers = [await http.post("/api/v1/sign-in", json=body) for _ in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 900


async def test_a_fleet_caller_narrows_itself_to_a_tenant_and_a_tenant_cannot_leave_its_own(
    house: House, http: httpx.AsyncClient
) -> None:
    fleet = {"Authorization": f"Bearer {await house.token(*Scope, tenant=None)}"}
    assert len((await http.get("/api/v1/tenants", headers=fleet)).json()["items"]) == 2
    for named in ("Kitchen", "kitchen", str(house.kitchen)):
        seen = await http.get("/api/v1/tenants", headers=fleet, params={"tenant": named})
        assert [tenant["name"] for tenant in seen.json()["items"]] == ["Kitchen"]
    office = {"Authorization": f"Bearer {await house.token(*Scope, tenant=house.office)}"}
    for named in ("Kitchen", str(house.kitchen), "Nowhere", "' or 1=1 --"):
        answer = await http.get("/api/v1/tenants", headers=office, params={"tenant": named})
        assert answer.status_code == 404
    assert (await http.get("/api/v1/tenants", headers=office, params={"tenant": "Office"})).status_code == 200


async def test_a_tokens_rights_do_not_open_what_is_for_people(house: House, http: httpx.AsyncClient) -> None:
    token = {"Authorization": f"Bearer {await house.token(*Scope, tenant=house.office)}"}
    me = (await http.get("/api/v1/me", headers=token)).json()
    assert (me["actor"], me["user"], me["tenant"]["name"], me["platform"]) == ("token:test", None, "Office", False)
    assert (await http.patch("/api/v1/me", headers=token, json={"tenant": "Kitchen"})).status_code == 403


async def test_a_person_sees_themselves_and_chooses_where_to_look(house: House, http: httpx.AsyncClient) -> None:
    ada = await house.user("ada@example.com", Role.AGENT, tenant=house.office)
    assert ada.user
    await house.tenants.people.grant(ADMIN, ada.user, tenant=house.kitchen, role=Role.OWNER)
    csrf = {"X-CSRF-Token": await sign_in(http, "ada@example.com")}
    me = (await http.get("/api/v1/me")).json()
    assert (me["tenant"]["name"], me["role"], len(me["memberships"])) == ("Kitchen", "owner", 2)
    assert (await http.patch("/api/v1/me", headers=csrf, json={"tenant": "office"})).status_code == 204
    me = (await http.get("/api/v1/me")).json()
    assert (me["tenant"]["name"], me["role"], me["scopes"]) == ("Office", "agent", ["read", "send"])
    assert (await http.patch("/api/v1/me", headers=csrf, json={"tenant": None})).status_code == 403
