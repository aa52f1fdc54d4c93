"""Numbers at providers, over HTTP: registered, called, moved; and their secrets stay secret."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tenants.houses import ADMIN

from wafleet.app import App, open_app
from wafleet.config import Settings
from wafleet.simulator.world import World
from wafleet.tenants import Scope
from wafleet.transports.simulated import Simulated
from wafleet.transports.twilio import Twilio
from wafleet.transports.twilio.hooks import signature_of

PUBLIC = "https://fleet.example.com"
TOKEN, SECRET = "auth-token-that-nobody-may-see-0001", "another-token-nobody-may-see-0002"
FORM = {
    "name": "Grill",
    "restaurantName": "The Grill",
    "whatsappNumber": "whatsapp:+1 (415) 523-8886",
    "senderSid": "XE" + "0" * 32,
    "wabaId": "102290129340398",
    "accountSid": "AC" + "1" * 32,
    "authToken": TOKEN,
    "status": "active",
    "supportContact": "+14155550100",
}


@dataclass
class Provider:
    """A Twilio that answers what a test says."""

    asked: list[httpx.Request] = field(default_factory=list[httpx.Request])
    refuses: bool = False
    listed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])  # messages whose sending had no answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("Messages.json"):
            if request.method == "POST":
                raise httpx.ReadTimeout("no answer", request=request)
            return httpx.Response(200, json={"messages": self.listed, "next_page_uri": None})
        if self.refuses:
            return httpx.Response(401, json={"code": 20003, "message": "Authenticate", "status": 401})
        return httpx.Response(200, json={"sid": FORM["senderSid"], "status": "ONLINE", "properties": {}})


@dataclass
class Place:
    """A wafleet with that Twilio, and somebody of one tenant who asks it."""

    app: App
    http: httpx.AsyncClient
    twilio: Provider
    world: World

    async def account(self, id: str) -> dict[str, Any]:
        return (await self.http.get(f"/api/v1/accounts/{id}")).json()

    async def until(self, id: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                found = await self.account(id)
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.02)

    async def said(self, id: str, text: str) -> str:
        """Have an account say something; return the message's id."""
        answer = await self.http.post(
            f"/api/v1/accounts/{id}/messages",
            json={"to": "+447700900001", "content": {"type": "text", "text": text}},
            headers={"Idempotency-Key": text},
        )
        return str(answer.json()["id"])

    async def message(self, id: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                found = (await self.http.get(f"/api/v1/messages/{id}")).json()
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.02)

    async def called(self, id: str, token: str, about: str = "", **more: str) -> httpx.Response:
        path = f"/hooks/twilio/{id}{about}"
        form = {"MessageSid": "SM1", "From": "whatsapp:+447700900001", "To": "whatsapp:+14155238886", **more}
        headers = {"X-Twilio-Signature": signature_of(PUBLIC + path, list(form.items()), token)}
        return await self.http.post(path, data=form, headers=headers)


@asynccontextmanager
async def opened(dsn: str, folder: Path) -> AsyncGenerator[Place]:
    provider, world = Provider(), World(seed=1)
    settings = Settings(
        data_dir=folder, database_url=dsn, admin_password=SecretStr("three plain words"), public_url=PUBLIC
    )
    twilio = Twilio(public_url=PUBLIC, http=httpx.AsyncClient(transport=httpx.MockTransport(provider.answer)))
    async with (
        twilio,
        Simulated.within(world) as simulated,
        open_app(settings, transports={"simulator": simulated, "twilio": twilio}) as app,
    ):
        office = await app.slices.tenants.create(ADMIN, "Office")
        made = await app.slices.tenants.tokens.make(ADMIN, name="t", tenant=office.id, scopes=[*Scope])
        headers = {"Authorization": f"Bearer {made.secret}", "X-Restaurant-Id": "office"}
        transport = httpx.ASGITransport(app.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://wafleet", headers=headers) as http:
            yield Place(app, http, provider, world)


@pytest.fixture
async def place(dsn: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(dsn, tmp_path) as place:
        yield place


async def registered(place: Place) -> str:
    answer = await place.http.post("/api/v1/accounts/register", json=FORM)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_wrong_credentials_are_told_once_with_what_to_do_and_the_provider_is_left_alone(place: Place) -> None:
    """A message waits meanwhile, and goes out with the right ones: nobody has to send it again."""
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, TOKEN, Body="are you open?")
    place.twilio.refuses = True
    await place.http.patch(f"/api/v1/accounts/{id}", json={"credentials": {"accountSid": "AC2", "authToken": SECRET}})
    seen = await place.until(id, "logged_out")
    assert (seen["reason"], bool(seen["next_step"])) == ("credentials", True)
    asked, waiting = len(place.twilio.asked), await place.said(id, "we are")
    assert (await place.http.get(f"/api/v1/messages/{waiting}")).json()["state"] == "queued"
    async with place.app.engine.db.fleet_tx() as tx:
        told = await tx.tuples("select data from events where kind = 'account.state' and data ->> 'to' = 'logged_out'")
    assert len(told) == 1
    assert len(place.twilio.asked) == asked
    place.twilio.refuses = False
    right = {"accountSid": FORM["accountSid"], "authToken": TOKEN}
    await place.http.patch(f"/api/v1/accounts/{id}", json={"credentials": right})
    await place.until(id, "online")
    await place.message(waiting, "sending")


async def test_a_sender_that_is_registered_goes_live_and_takes_messages(place: Place) -> None:
    id = await registered(place)
    account = await place.until(id, "online")
    assert (account["phone"], account["transport"]) == ("+14155238886", "twilio")
    assert account["settings"]["twilio"]["sender_sid"] == FORM["senderSid"]
    assert (await place.called(id, TOKEN, Body="two kebabs please", ProfileName="Ada")).status_code == 200
    found = (await place.http.get("/api/v1/messages", params={"account": id})).json()["items"]
    assert [one["content"].get("text") for one in found] == ["two kebabs please"]


async def test_its_webhook_is_told_and_whether_it_was_called(place: Place) -> None:
    id = await registered(place)
    told = (await place.http.get(f"/api/v1/accounts/{id}/webhook")).json()
    assert (told["url"], told["complete"]) == (f"{PUBLIC}/hooks/twilio/{id}#rc=5&rp=ct,rt,5xx", True)
    assert "has not called yet" in told["sentence"]
    await place.called(id, "wrong", Body="x")
    await place.app.slices.callees.note()
    assert "refused" in (await place.http.get(f"/api/v1/accounts/{id}/webhook")).json()["sentence"]


async def test_a_message_found_failed_at_the_provider_has_failed_with_its_reason(place: Place) -> None:
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, TOKEN, Body="hi")  # opens the window
    failed = {"status": "undelivered", "error_code": 63024, "error_message": "Invalid recipient"}
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1))
    place.twilio.listed = [
        {"sid": "SM7", "to": "whatsapp:+447700900001", "body": "dinner?", "date_created": at, **failed}
    ]
    message = await place.said(id, "dinner?")
    ended = await place.message(message, "failed")
    assert (ended["reason"], ended["detail"]) == ("not_on_whatsapp", "twilio 63024 Invalid recipient")
    assert (ended["provider_id"], ended["said"]) == ("SM7", None)


async def test_what_is_too_long_or_too_large_for_its_provider_is_refused_by_its_field(place: Place) -> None:
    id = await registered(place)
    await place.called(id, TOKEN, Body="hi")
    options = [{"id": f"{n}", "title": f"Answer {n}", "description": "x" * 72} for n in range(9)]
    file = (await place.http.post("/api/v1/media", content=bytes(17 * 1024 * 1024))).json()["id"]
    for content, wrong, limit in (
        ({"type": "text", "text": "x" * 1601}, "text", "at most 1600"),
        ({"type": "choices", "text": "x" * 900, "button": "Open", "options": options}, "content.text", "at most 1600"),
        ({"type": "document", "media": file}, "content.media", "the 16 MB that Grill takes"),
    ):
        body = {"to": "+447700900001", "content": content}
        answer = await place.http.post(f"/api/v1/accounts/{id}/messages", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, wrong), answer.text
        assert limit in answer.json()["detail"]
    just = {"to": "+447700900001", "content": {"type": "text", "text": "x" * 1600}}
    assert (await place.http.post(f"/api/v1/accounts/{id}/messages", json=just)).status_code == 202


async def test_what_is_new_in_a_call_of_the_network_is_kept_with_its_message(place: Place) -> None:
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, TOKEN, Body="hi")
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1))
    place.twilio.listed = [{"sid": "SM7", "to": "whatsapp:+447700900001", "body": "dinner?", "date_created": at}]
    message = await place.said(id, "dinner?")
    await place.message(message, "sent")
    form = {"MessageStatus": "delivered", "MessageSid": "SM7", "Price": "0.0042"}
    assert (await place.called(id, TOKEN, about=f"/{message}", **form)).status_code == 200
    assert (await place.message(message, "delivered"))["said"] == {"Price": "0.0042"}


async def test_wrong_credentials_are_one_event_no_storm_and_a_next_step(place: Place) -> None:
    place.twilio.refuses = True
    id = await registered(place)
    account = await place.until(id, "logged_out")
    assert account["reason"] == "credentials"
    assert account["next_step"] == "Enter new credentials for this account."
    asked = len(place.twilio.asked)
    await asyncio.sleep(1.5)  # the first retry would come within a second
    assert len(place.twilio.asked) == asked
    place.twilio.refuses = False
    await place.http.patch(f"/api/v1/accounts/{id}", json={"credentials": {"accountSid": "AC2", "authToken": SECRET}})
    await place.until(id, "online")
    assert (await place.called(id, SECRET, Body="hi")).status_code == 200
    assert (await place.called(id, TOKEN, Body="hi")).status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"authToken": None}, "credentials.authToken"),
        ({"accountSid": "", "authToken": TOKEN}, "credentials.accountSid"),
        ({"authToken": f"{TOKEN}\n"}, "credentials.authToken"),
        ({"senderSid": "nonsense"}, "settings.twilio.sender_sid"),
        ({"wabaId": "x"}, "settings.twilio.waba_id"),
        ({"whatsappNumber": "twelve"}, "phone"),
    ],
)
async def test_what_is_wrong_names_its_field_and_never_the_secret(
    place: Place, change: dict[str, Any], field: str
) -> None:
    answer = await place.http.post("/api/v1/accounts/register", json={**FORM, **change})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert TOKEN not in answer.text


async def test_an_account_moves_to_twilio_and_keeps_its_history(place: Place) -> None:
    made = await place.http.post(
        "/api/v1/accounts", json={"name": "Desk", "phone": "+14155238886", "transport": "simulator"}
    )
    id = made.json()["id"]
    queued = await place.http.post(
        f"/api/v1/accounts/{id}/messages",
        json={"to": "+447700900001", "content": {"type": "text", "text": "wait"}},
        headers={"Idempotency-Key": "1"},
    )
    assert queued.status_code == 202, queued.text
    body = {
        "transport": "twilio",
        "settings": {"twilio": {"sender_sid": FORM["senderSid"]}},
        "credentials": {"accountSid": FORM["accountSid"], "authToken": TOKEN},
    }
    tried = await place.http.post(f"/api/v1/accounts/{id}/move", json={"transport": "twilio", "dry_run": True})
    assert (tried.status_code, tried.json()["account"]["transport"]) == (200, "simulator")
    assert tried.json()["account"]["state"] == made.json()["state"]
    assert tried.json()["unsendable"] == 1
    assert "takes them only within 24 hours after the customer wrote" in tried.json()["notes"][0]
    moved = await place.http.post(f"/api/v1/accounts/{id}/move", json=body)
    assert moved.status_code == 200, moved.text
    assert (moved.json()["was"], moved.json()["account"]["transport"]) == ("simulator", "twilio")
    await place.until(id, "online")
    found = (await place.http.get("/api/v1/messages", params={"account": id})).json()["items"]
    assert [one["content"]["text"] for one in found] == ["wait"]
    failed = await place.message(queued.json()["id"], "failed")
    assert failed["reason"] == "outside_window"
    again = await place.http.post(f"/api/v1/accounts/{id}/move", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "same")


async def test_a_number_that_moved_away_from_twilio_is_still_heard_there(place: Place) -> None:
    id = await registered(place)
    await place.until(id, "online")
    moved = await place.http.post(f"/api/v1/accounts/{id}/move", json={"transport": "simulator"})
    assert (moved.json()["account"]["state"], moved.json()["account"]["settings"]) == ("new", {})
    assert (await place.called(id, TOKEN, Body="late")).status_code == 200
    await place.app.slices.callees.note()
    async with place.app.engine.db.fleet_tx() as tx:  # the new transport has not proved anything by that
        assert await tx.value("select last_call_at from activity where account_id = %(id)s", id=id) is None
    back = await place.http.post(
        f"/api/v1/accounts/{id}/move",
        json={"transport": "twilio", "credentials": {"accountSid": "AC1", "authToken": SECRET}},
    )
    assert back.status_code == 200, back.text
    assert (await place.until(id, "online"))["transport"] == "twilio"


async def test_moving_names_what_is_missing_at_the_new_transport(place: Place) -> None:
    id = await registered(place)
    answer = await place.http.post(f"/api/v1/accounts/{id}/move", json={"transport": "pigeon"})
    assert (answer.status_code, answer.json()["field"]) == (422, "transport")
    tried = await place.http.post(f"/api/v1/accounts/{id}/move", json={"transport": "twilio", "dry_run": True})
    assert (tried.status_code, tried.json()["code"]) == (409, "same")


@pytest.mark.parametrize("kind", ["twilio", "meta", "gateway"])
async def test_nobody_of_a_tenant_names_the_address_that_wafleet_calls(place: Place, kind: str) -> None:
    inside = {kind: {"url": "http://169.254.169.254/latest"}}
    new = {"name": "Desk", "phone": "+14155238886", "transport": "simulator"}
    refused = await place.http.post("/api/v1/accounts", json=new | {"settings": inside})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert f"settings.{kind}.url" in refused.json()["detail"]
    id = (await place.http.post("/api/v1/accounts", json=new)).json()["id"]
    changed = await place.http.patch(f"/api/v1/accounts/{id}", json={"settings": inside})
    moved = await place.http.post(f"/api/v1/accounts/{id}/move", json={"transport": "twilio", "settings": inside})
    assert (changed.status_code, moved.status_code) == (403, 403)
    found = await place.account(id)
    assert (found["transport"], found["settings"]) == ("simulator", {})


async def test_an_address_that_the_platform_named_stays_while_a_tenant_changes_the_rest(place: Place) -> None:
    id = await registered(place)
    own = {"twilio": {"url": "https://twilio.example.com", "sender_sid": FORM["senderSid"]}}
    token = await place.app.slices.tenants.tokens.make(ADMIN, name="all", tenant=None, scopes=[*Scope])
    platform = {"Authorization": f"Bearer {token.secret}"}
    named = await place.http.patch(f"/api/v1/accounts/{id}", json={"settings": own}, headers=platform)
    assert named.status_code == 200, named.text
    kept = await place.http.patch(f"/api/v1/accounts/{id}", json={"settings": {**own, "keep_alive_s": 60}})
    assert (kept.status_code, kept.json()["settings"]["twilio"]) == (200, own["twilio"])
    older = await place.http.put(f"/api/admin/bots/{id}", json={"supportContact": "x@y.z"})
    assert older.status_code == 200, older.text
    assert (await place.account(id))["settings"]["twilio"]["url"] == "https://twilio.example.com"
    other = {"twilio": {"url": "https://twilio.example.com:8443"}}
    assert (await place.http.patch(f"/api/v1/accounts/{id}", json={"settings": other})).status_code == 403


async def test_older_systems_cannot_name_an_address_at_all(place: Place) -> None:
    answer = await place.http.post("/api/admin/bots", json={**FORM, "url": "http://169.254.169.254"})
    assert answer.status_code == 422, answer.text


async def test_older_systems_keep_their_senders_with_their_own_words(place: Place) -> None:
    made = await place.http.post("/api/admin/bots", json=FORM)
    assert made.status_code == 201, made.text
    bot = made.json()["data"]
    assert (bot["whatsappNumber"], bot["senderSid"], bot["authToken"]) == ("+14155238886", FORM["senderSid"], "***")
    changed = await place.http.put(
        f"/api/admin/bots/{bot['id']}", json={"supportContact": "x@y.z", "status": "inactive"}
    )
    assert changed.json()["data"]["supportContact"] == "x@y.z"
    assert changed.json()["data"]["status"] == "inactive"
    assert changed.json()["data"]["senderSid"] == FORM["senderSid"]
    listed = (await place.http.get("/api/admin/bots")).json()["data"]
    assert [one["id"] for one in listed] == [bot["id"]]
    assert (await place.http.get(f"/api/admin/bots/{bot['id']}")).json()["data"]["name"] == "Grill"
    assert (await place.http.delete(f"/api/admin/bots/{bot['id']}")).status_code == 204
    assert (await place.http.get(f"/api/admin/bots/{bot['id']}")).status_code == 404


async def test_what_an_older_system_reads_and_writes_back_changes_nothing_but_what_it_changed(place: Place) -> None:
    bot = (await place.http.post("/api/admin/bots", json=FORM)).json()["data"]
    path, id = f"/api/admin/bots/{bot['id']}", bot["id"]
    await place.until(id, "online")
    async with place.app.engine.db.fleet_tx() as tx:  # away for a moment, and tried again by itself
        await tx.run("update accounts set state = 'offline', reason = 'network', retry_at = now() + interval '1 hour'")
    read = (await place.http.get(path)).json()["data"]
    assert (read["status"], read["accountSid"], read["authToken"]) == ("active", "...1111", "***")
    written = {name: value for name, value in read.items() if name in FORM} | {"supportContact": "new@x.z"}
    answer = await place.http.put(path, json=written)
    assert (answer.status_code, answer.json()["data"]["supportContact"]) == (200, "new@x.z")
    assert (await place.account(id))["desired"] == "running"
    assert (await place.called(id, TOKEN, Body="hi")).status_code == 200, "the token is still the one it was"
    stopped = (await place.http.put(path, json={"status": "inactive"})).json()["data"]
    assert (await place.http.put(path, json={"status": stopped["status"]})).json()["data"]["status"] == "inactive"


@pytest.mark.parametrize(
    ("secrets", "field"),
    [
        ({"accountSid": "AC2", "authToken": "***"}, "credentials.authToken"),
        ({"accountSid": "...2222", "authToken": TOKEN}, "accountSid"),
    ],
)
async def test_what_stands_for_a_secret_is_never_stored_as_one(
    place: Place, secrets: dict[str, str], field: str
) -> None:
    id = (await place.http.post("/api/admin/bots", json=FORM)).json()["data"]["id"]
    answer = await place.http.put(f"/api/admin/bots/{id}", json=secrets)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    new = await place.http.post("/api/admin/bots", json={**FORM, "authToken": "***"})
    assert (new.status_code, new.json()["field"]) == (422, "authToken")


async def test_older_systems_see_all_senders_at_twilio_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wafleet.api.older_paths.MOST", 1)
    for n in range(3):
        await place.http.post(
            "/api/admin/bots", json={**FORM, "name": f"Grill {n}", "whatsappNumber": f"+1415523888{n}"}
        )
    desk = {"name": "Desk", "phone": "+14155238889", "transport": "simulator"}
    other = (await place.http.post("/api/v1/accounts", json=desk)).json()["id"]
    listed = (await place.http.get("/api/admin/bots")).json()["data"]
    assert [one["name"] for one in listed] == ["Grill 0", "Grill 1", "Grill 2"]
    assert len((await place.http.get("/api/admin/bots?limit=2")).json()["data"]) == 2
    path = f"/api/admin/bots/{other}"
    answers = [
        await place.http.get(path),
        await place.http.put(path, json={"name": "x"}),
        await place.http.delete(path),
    ]
    assert [one.status_code for one in answers] == [404, 404, 404]
    assert (await place.account(other))["name"] == "Desk"


async def test_another_restaurant_is_not_there_for_this_token(place: Place) -> None:
    await place.app.slices.tenants.create(ADMIN, "Kitchen")
    answer = await place.http.get("/api/admin/bots", headers={"X-Restaurant-Id": "Kitchen"})
    assert answer.status_code == 404
    stranger = await place.http.get("/api/admin/bots", headers={"Authorization": "Bearer wf_nobody"})
    assert stranger.status_code == 401


async def test_a_form_of_the_wrong_shape_is_refused_without_repeating_its_secret(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    id, seen = await registered(place), list[str]()
    for path, body in (
        ("/api/v1/accounts/register", {**FORM, "authToken": [SECRET]}),
        ("/api/v1/accounts/register", {**FORM, "authToken": SECRET * 200}),
        ("/api/v1/accounts/register", {**FORM, SECRET: "x"}),
        (f"/api/v1/accounts/{id}/move", {"transport": "meta", "credentials": {"accessToken": [SECRET]}}),
        (f"/api/v1/accounts/{id}/move", {"transport": "gateway", "credentials": {"apiKey": SECRET, "other": SECRET}}),
        ("/api/admin/bots", {**FORM, "authToken": {"secret": SECRET}}),
    ):
        answer = await place.http.post(path, json=body)
        assert answer.status_code == 422, answer.text
        if SECRET not in body:  # a field's name is named
            seen.append(answer.text)
    assert SECRET not in "".join(seen) + caplog.text


async def test_secrets_are_in_no_answer_event_log_line_or_audit_entry(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, "wrong", Body="x")
    place.twilio.refuses = True
    await place.http.patch(f"/api/v1/accounts/{id}", json={"credentials": {"accountSid": "AC2", "authToken": SECRET}})
    await place.until(id, "logged_out")
    seen = [caplog.text]
    for path in (f"/api/v1/accounts/{id}", "/api/v1/accounts", f"/api/v1/accounts/{id}/webhook", "/api/admin/bots"):
        seen.append((await place.http.get(path)).text)
    async with place.app.engine.db.fleet_tx() as tx:
        for table in ("events", "audit", "accounts", "activity"):
            rows = await tx.tuples(f"select to_jsonb(t)::text from {table} t")  # type: ignore[arg-type]
            seen += [row[0] for row in rows]
    whole = json.dumps(seen)
    assert "credentials" in whole
    assert TOKEN not in whole
    assert SECRET not in whole
