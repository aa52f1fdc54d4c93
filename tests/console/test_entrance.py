"""The console behind the real door: people, sign-ins, roles and the app it is mounted in."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.accounts.offices import TRANSPORTS, Mirror, fields
from tests.console.fakes import NO_REGISTRAR

from wafleet import console
from wafleet.accounts import Account, Accounts
from wafleet.accounts.summary import Fleet
from wafleet.api import HealthSources, build_http
from wafleet.console import FleetDesk, Live
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes
from wafleet.tenants import Auth, Caller, Tenants

ADMIN, PASSWORD = "ada@example.com", "correct horse battery"


@pytest.fixture
def clock() -> SystemClock:
    """The real time: a browser lets go of cookies that expired by it."""
    return SystemClock()


@pytest.fixture
def tenants(db: Db, clock: SystemClock) -> Tenants:
    return Tenants(db, clock)


@pytest.fixture
def accounts(db: Db, dsn: str) -> Accounts:
    return Accounts(db, secrets=Mirror(), wakes=Wakes(dsn), transports=TRANSPORTS)


@pytest.fixture
async def account(tenants: Tenants, accounts: Accounts) -> Account:
    await tenants.ensure_admin(ADMIN, PASSWORD)
    office = await tenants.ensure(Caller.local("test"), "Broker")
    return await accounts.create(Caller.local("test"), fields(1), tenant=office.id)


@pytest.fixture
async def browser(db: Db, clock: SystemClock, tenants: Tenants, accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    fleet, auth = Fleet(db, clock), Auth(tenants)
    desk = FleetDesk(accounts=accounts, fleet=fleet, tenants=tenants, picture=str, linkable={"simulated"})
    live = Live(desk.cards, clock=clock, stopping=asyncio.Event())

    async def counts() -> dict[str, int]:
        return {"total": 1}

    async def waiting() -> int:
        return 0

    async def current() -> bool:
        return True

    sources = HealthSources(
        db=db, clock=clock, node="test", version="1", accounts=counts, waiting=waiting, current=current
    )
    page = console.router(door=auth, desk=desk, registrar=NO_REGISTRAR, live=live)
    app = build_http(auth=auth, health_sources=sources, routers=[], pages=[page])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console.test") as client:
        yield client


async def signed_in(browser: httpx.AsyncClient) -> str:
    """Sign in as a person does; return the page."""
    entered = await browser.post("/sign-in", data={"email": ADMIN, "password": PASSWORD, "next": "/console"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/console")
    page = await browser.get("/console?tenant=No such tenant")  # a filter of the page, not of the caller
    assert page.status_code == 200
    return page.text


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert found
    return found[1]


@pytest.mark.usefixtures("account")
async def test_a_person_comes_in_by_password_and_goes_out_again(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/console")).headers["location"].startswith("/sign-in?next=")
    wrong = await browser.post("/sign-in", data={"email": ADMIN, "password": "wrong"})
    assert wrong.status_code == 401
    assert "do not belong together" in wrong.text

    page = await signed_in(browser)
    assert '"name":"Number 1"' in page
    assert ADMIN in page
    assert (await browser.get("/sign-in")).status_code == 303  # already in

    assert (await browser.post("/sign-out", data={"csrf_token": token_in(page)})).status_code == 303
    assert (await browser.get("/console")).status_code == 303


async def test_a_change_needs_the_token_of_the_page(browser: httpx.AsyncClient, account: Account) -> None:
    page, path = await signed_in(browser), f"/console/accounts/{account.id}/disable"
    assert (await browser.post(path, headers={"HX-Request": "true"})).status_code == 403
    headers = {"HX-Request": "true", "X-CSRF-Token": token_in(page)}
    assert (await browser.post(path, headers={**headers, "Sec-Fetch-Site": "cross-site"})).status_code == 403
    done = await browser.post(path, headers=headers)
    assert (done.status_code, "tone-good" in done.text) == (200, True)
    assert '"state":"disabled"' in (await browser.get("/console")).text


@pytest.mark.usefixtures("account")
async def test_the_pages_own_policy_wins_over_the_apps(browser: httpx.AsyncClient) -> None:
    await signed_in(browser)
    answer = await browser.get("/console")
    assert answer.headers.get_list("content-security-policy")[0].startswith("default-src 'none'")
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert (await browser.get("/openapi.json")).text.count("/console") == 0
