"""Numbers that are added, set up and moved in the console, over the real services and their database."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from tests.accounts.offices import Kind, Mirror, put_in
from tests.console.fakes import BROKERS, GRILL, NAMES, FakeDesk, FakeDoor, app_of

from wafleet.accounts import Account, Accounts
from wafleet.console import FleetRegistrar, Live, Reach
from wafleet.domain.account import State
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes
from wafleet.tenants import Caller, Tenants
from wafleet.transports.base import Capabilities

ALL = Caller.local("test")
PUBLIC = "https://fleet.example.com"
TEXT, PHONE = frozenset({"text"}), frozenset({"qr"})
TRANSPORTS = {
    "twilio": Kind(Capabilities(contents=TEXT)),
    "meta": Kind(Capabilities(contents=TEXT)),
    "gateway": Kind(Capabilities(contents=TEXT, linking=PHONE, keyed=True)),
    "device": Kind(Capabilities(contents=TEXT, linking=PHONE)),
}
REACHES = {
    "twilio": Reach(called=True),
    "meta": Reach(called=True),
    "gateway": Reach(links=True, called=True, placed=False),
    "device": Reach(links=True),
}
SECRET = "auth-token-that-nobody-may-see"
SENDER = {
    "name": "Kitchen",
    "phone": "whatsapp:+1 (415) 523-8886",
    "role": "orders",
    "accountSid": "AC" + "1" * 32,
    "authToken": SECRET,
    "senderSid": "XE" + "0" * 32,
    "tenant": NAMES[GRILL],
    "may_wait": "1",
    "enabled": "1",
}
META = {"phoneNumberId": "106540352242922", "accessToken": SECRET, "appSecret": SECRET, "verifyToken": "words"}
NEW = "/console/numbers/new"


@pytest.fixture
async def accounts(db: Db, dsn: str) -> Accounts:
    async with db.fleet_tx() as tx:
        for id, name in NAMES.items():
            await tx.run("insert into tenants (id, name) values (%(id)s, %(name)s)", id=id, name=name)
    return Accounts(db, secrets=Mirror(), wakes=Wakes(dsn), transports=TRANSPORTS, public_url=PUBLIC)


class Browser:
    """Somebody signed in, and what every answer of the console must never hold."""

    def __init__(self, http: httpx.AsyncClient, who: str) -> None:
        self._http, self._who = http, who

    async def get(self, path: str) -> httpx.Response:
        return await self._ask("GET", path)

    async def post(self, path: str, **form: str) -> httpx.Response:
        return await self._ask("POST", path, data=form)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"HX-Request": "true", "X-CSRF-Token": f"csrf-of-{self._who}", "Cookie": f"wafleet={self._who}"}
        answer = await self._http.request(method, path, headers=headers, **more)
        assert SECRET not in answer.text
        return answer


@pytest.fixture
def http(db: Db, accounts: Accounts, clock: ManualClock) -> httpx.AsyncClient:
    registrar = FleetRegistrar(accounts=accounts, tenants=Tenants(db, clock), reaches=REACHES)
    live = Live(FakeDesk().cards, clock=clock, stopping=asyncio.Event())
    app = app_of(FakeDesk(), FakeDoor(), live, registrar)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console.test")


@pytest.fixture
def ada(http: httpx.AsyncClient) -> Browser:
    """The platform's administrator."""
    return Browser(http, "ada@example.com")


@pytest.fixture
def boss(http: httpx.AsyncClient) -> Browser:
    """The administrator of one tenant."""
    return Browser(http, "boss@example.com")


async def added(browser: Browser, accounts: Accounts, **others: str) -> Account:
    answer = await browser.post(f"{NEW}/twilio", **{**SENDER, **others})
    assert answer.status_code == 200, answer.text
    return await accounts.resolve(ALL, others.get("name", "Kitchen"))


def problems(answer: httpx.Response) -> dict[str, str]:
    assert (answer.status_code, answer.headers["hx-retarget"]) == (422, "#problems")
    return dict(re.findall(r'data-of="(\w*)".*?<span>(.*?)</span>', answer.text))


def stages(page: str) -> list[str]:
    return re.findall(r'data-stage="(\w+)"', page)


async def test_a_sender_is_added_and_its_webhook_is_told(ada: Browser, accounts: Accounts) -> None:
    answer = await ada.post(f"{NEW}/twilio", **SENDER, supportContact="+14155550100")
    made = await accounts.resolve(ALL, "Kitchen")
    assert (made.tenant, made.phone, made.role, made.state) == (NAMES[GRILL], "+14155238886", "orders", "offline")
    assert made.settings == {"twilio": {"sender_sid": SENDER["senderSid"], "support_contact": "+14155550100"}}
    assert f"{PUBLIC}/hooks/twilio/{made.id}" in answer.text
    assert stages(answer.text) == ["done", "waiting", "waiting", "waiting"]
    assert "Write to +1 415-523-8886 from a phone." in answer.text


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"phone": ""}, "phone", "This is needed."),
        ({"authToken": " "}, "authToken", "This is needed."),
        ({"phone": "twelve"}, "phone", "&#39;twelve&#39; is not a phone number: write it like +447700900123"),
        ({"senderSid": "nonsense"}, "senderSid", "It begins with XE and has 34 characters."),
        ({"wabaId": "x"}, "wabaId", "It has digits only."),
        ({"url": "ftp://x"}, "url", "Write the whole address, such as http://gateway:3000."),
        ({"accountSid": "AC\u0000"}, "accountSid", "Account SID must be one line of text"),
        ({"tenant": "", "new_tenant": " "}, "tenant", "Say who owns the number."),
        ({"tenant": "Nobody"}, "tenant", "There is no tenant &#39;Nobody&#39;"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(
    ada: Browser, change: dict[str, str], field: str, sentence: str
) -> None:
    assert problems(await ada.post(f"{NEW}/twilio", **{**SENDER, **change})) == {field: sentence}


async def test_a_number_or_name_that_is_taken_is_said_beside_it(ada: Browser, accounts: Accounts) -> None:
    await added(ada, accounts)
    again = problems(await ada.post(f"{NEW}/twilio", **{**SENDER, "name": "Other"}))
    assert again == {"phone": "Another account has this number already"}
    again = problems(await ada.post(f"{NEW}/twilio", **{**SENDER, "phone": "+14155238887"}))
    assert again == {"name": "Another account has this name already"}


async def test_all_that_is_missing_is_said_at_once(ada: Browser) -> None:
    found = problems(await ada.post(f"{NEW}/meta", tenant=NAMES[GRILL]))
    assert set(found) == {"name", "phone", "phoneNumberId", "accessToken", "appSecret"}


async def test_the_first_tenant_is_made_with_its_number(ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts, tenant="", new_tenant="مطعم السعادة")
    assert made.tenant == "مطعم السعادة"


async def test_a_number_may_wait_before_it_connects(ada: Browser, accounts: Accounts) -> None:
    form = {name: value for name, value in SENDER.items() if name != "enabled"}
    assert (await ada.post(f"{NEW}/twilio", **form)).status_code == 200
    assert (await accounts.resolve(ALL, "Kitchen")).state is State.DISABLED


async def test_a_number_on_a_phone_is_linked_next(ada: Browser, accounts: Accounts) -> None:
    answer = await ada.post(f"{NEW}/device", name="Desk", phone="+14155238886", tenant=NAMES[BROKERS])
    made = await accounts.resolve(ALL, "Desk")
    assert json.loads(answer.headers["hx-trigger"]) == {"link-phone": {"id": str(made.id)}}
    assert (answer.status_code, answer.text, made.state) == (200, "", "new")


async def test_a_tenants_administrator_adds_to_it_alone_and_names_no_address(boss: Browser, accounts: Accounts) -> None:
    form = (await boss.get(f"{NEW}/twilio")).text
    assert 'name="accountSid"' in form
    assert 'name="url"' not in form
    assert 'name="tenant"' not in form
    made = await added(boss, accounts, tenant=NAMES[BROKERS], url="http://127.0.0.1:1")
    assert (made.tenant, "url" in made.settings["twilio"]) == (NAMES[GRILL], False)


async def test_where_a_gateway_is_not_known_only_the_platforms_administrator_names_it(
    ada: Browser, boss: Browser, accounts: Accounts
) -> None:
    assert "The platform&#39;s administrator can add the number" in (await boss.get(NEW)).text
    assert (await boss.post(f"{NEW}/gateway", name="x")).status_code == 409
    form = {"name": "Hall", "phone": "+14155238886", "tenant": NAMES[GRILL], "apiKey": SECRET, "enabled": "1"}
    answer = await ada.post(f"{NEW}/gateway", **form, url="http://gateway:3000", session="hall")
    made = await accounts.resolve(ALL, "Hall")
    assert made.settings == {"gateway": {"url": "http://gateway:3000", "session": "hall"}}
    assert f'data-link="{made.id}"' in answer.text
    assert "The gateway has not called yet." in answer.text


async def test_a_transport_that_cannot_work_says_why(db: Db, accounts: Accounts, clock: ManualClock) -> None:
    reaches = {"device": Reach(links=True, lacking="The library is not installed."), "pigeon": Reach()}
    registrar = FleetRegistrar(accounts=accounts, tenants=Tenants(db, clock), reaches=reaches)
    offers = [(one.way.label, one.why_not) for one in registrar.offers(ALL)]
    assert offers == [("Linked device", "The library is not installed."), ("Pigeon", "")]


async def test_who_may_only_look_neither_adds_nor_moves(
    ada: Browser, http: httpx.AsyncClient, accounts: Accounts
) -> None:
    made = await added(ada, accounts)
    viewer, own = Browser(http, "grill@example.com"), f"/console/accounts/{made.id}"
    for path in (NEW, f"{NEW}/twilio", f"{own}/move", f"{own}/move/meta", f"{own}/credentials"):
        assert (await viewer.get(path)).status_code == 403
    for path in (f"{NEW}/twilio", f"{own}/move/meta", f"{own}/credentials", f"{own}/test"):
        assert (await viewer.post(path, **SENDER)).status_code == 403
    seen = (await viewer.get(f"{own}/setup")).text
    assert "hooks/twilio" in seen
    assert "data-test" not in seen
    assert "data-add" not in (await viewer.get("/console")).text


async def test_a_neighbours_number_does_not_exist(ada: Browser, boss: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts, tenant=NAMES[BROKERS])
    for path in ("setup", "checks", "credentials", "move", "move/meta"):
        assert (await boss.get(f"/console/accounts/{made.id}/{path}")).status_code == 404
    assert problems(await boss.post(f"/console/accounts/{made.id}/move/meta", **META))[""]


async def test_a_change_without_the_pages_token_is_refused(http: httpx.AsyncClient, accounts: Accounts) -> None:
    headers = {"Cookie": "wafleet=ada@example.com", "HX-Request": "true"}
    assert (await http.post(f"{NEW}/twilio", data=SENDER, headers=headers)).status_code == 403
    assert (await accounts.list(ALL)).items == []


async def test_checks_are_told_anew_only_when_they_differ(db: Db, ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts)
    checks = (await ada.get(f"/console/accounts/{made.id}/setup")).text
    again = re.search(r'hx-get="([^"]+/checks\?seen=\w+)"', checks)
    assert again
    assert (await ada.get(again[1])).status_code == 204
    await put_in(db, made, State.ONLINE)
    async with db.fleet_tx() as tx:
        await tx.run("update activity set last_call_at = now(), last_inbound_at = now()")
    answer = await ada.get(again[1])
    assert stages(answer.text) == ["done"] * 4
    assert "All is well" in answer.text


async def test_refused_credentials_are_replaced_where_it_is_said(db: Db, ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts)
    await put_in(db, made, State.LOGGED_OUT, reason="credentials")
    own = f"/console/accounts/{made.id}"
    tested = await ada.post(f"{own}/test")
    assert stages(tested.text)[1] == "wrong"
    assert f'hx-get="{own}/credentials"' in tested.text
    assert problems(await ada.post(f"{own}/credentials", accountSid="AC1")) == {"authToken": "This is needed."}
    answer = await ada.post(f"{own}/credentials", accountSid="AC1", authToken=SECRET)
    assert stages(answer.text)[1] == "waiting"


async def test_testing_tries_a_waiting_number_at_once(db: Db, ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts)
    await put_in(db, made, State.OFFLINE, reason="network")
    assert "connection to WhatsApp broke" in (await ada.get(f"/console/accounts/{made.id}/checks")).text
    await ada.post(f"/console/accounts/{made.id}/test")
    assert (await accounts.get(ALL, made.id)).reason == "starting"


async def test_what_a_move_means_is_told_before_it_and_what_it_did_after(
    db: Db, ada: Browser, accounts: Accounts
) -> None:
    made = await added(ada, accounts)
    async with db.fleet_tx() as tx:
        await tx.run(
            "insert into conversations (id, tenant_id, account_id, identity, last_message_at) "
            "values (gen_random_uuid(), %(tenant)s, %(account)s, 'lid:123', now())",
            tenant=made.tenant_id,
            account=made.id,
        )
    own = f"/console/accounts/{made.id}/move"
    ways = (await ada.get(own)).text
    assert f'hx-get="{own}/meta"' in ways
    assert f'hx-get="{own}/twilio"' not in ways
    form = (await ada.get(f"{own}/meta")).text
    assert "What will happen" in form
    assert "1 conversation is with people whose phone is hidden" in form
    assert "lid:123" in form
    assert 'name="phone"' not in form
    assert (await accounts.get(ALL, made.id)).transport == "twilio"

    assert set(problems(await ada.post(f"{own}/meta"))) == {"phoneNumberId", "accessToken", "appSecret"}
    wrong = problems(await ada.post(f"{own}/meta", **{**META, "phoneNumberId": "x"}))
    assert wrong == {"phoneNumberId": "It has digits only, and is not the phone number itself."}
    done = await ada.post(f"{own}/meta", **META)
    assert "Moved to Meta Cloud" in done.text
    assert "lid:123" in done.text
    assert f"{PUBLIC}/hooks/meta/{made.id}" in done.text
    assert (await accounts.get(ALL, made.id)).transport == "meta"
    assert (await ada.post(f"{own}/meta", **META)).status_code == 422


async def test_calls_of_the_former_network_say_nothing_of_the_new_one(db: Db, ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts)
    async with db.fleet_tx() as tx:
        await tx.run("update activity set last_call_at = now(), last_inbound_at = now(), call_refused_at = now()")
    assert stages((await ada.get(f"/console/accounts/{made.id}/checks")).text)[2:] == ["done", "done"]
    moved = await ada.post(f"/console/accounts/{made.id}/move/meta", **META)
    assert stages(moved.text)[2:] == ["waiting", "waiting"]


async def test_a_number_that_moved_to_a_phone_is_linked_next(ada: Browser, accounts: Accounts) -> None:
    made = await added(ada, accounts)
    done = await ada.post(f"/console/accounts/{made.id}/move/device", deviceName="wafleet")
    assert f'data-link="{made.id}"' in done.text
    assert "hooks/" not in done.text
