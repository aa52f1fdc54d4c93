"""What the console answers over HTTP, before any script runs."""

import json
import re
from typing import Any

import httpx
import pytest
from tests.console.fakes import BROKERS, NAMES, PASSWORD, FakeDesk, card

from wafleet.console.entrance import inside
from wafleet.domain.account import State

HTMX = {"HX-Request": "true"}


def block(page: str, id: str) -> Any:
    """The data a page carries for its scripts."""
    found = re.search(rf'<script type="application/json" id="{id}"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


async def test_a_stranger_is_sent_to_the_sign_in_page_and_back_afterwards(visitor: httpx.AsyncClient) -> None:
    sent = await visitor.get("/console?state=offline&q=a b")
    assert sent.status_code == 303
    form = await visitor.get(sent.headers["location"])
    assert 'value="/console?state=offline&amp;q=a%20b"' in form.text

    asked = {"email": "ada@example.com", "password": PASSWORD, "next": "/console?state=offline"}
    entered = await visitor.post("/sign-in", data=asked)
    assert (entered.status_code, entered.headers["location"]) == (303, "/console?state=offline")
    assert (await visitor.get("/console")).status_code == 200


async def test_a_wrong_password_keeps_the_address_and_says_what_is_wrong(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/sign-in", data={"email": 'a"><script>@x', "password": "no"})
    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert "<script>@x" not in answer.text
    assert "&lt;script&gt;@x" in answer.text


async def test_too_many_tries_lock_the_form_and_tell_for_how_long(visitor: httpx.AsyncClient) -> None:
    for _ in range(3):
        await visitor.post("/sign-in", data={"email": "ada@example.com", "password": "no"})
    answer = await visitor.post("/sign-in", data={"email": "ada@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert 'data-seconds="30"' in answer.text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.test",
        "//evil.test",
        "/console.evil.test",
        "/consolex",
        "/console\\..\\x",
        "/console\n",
        "",
        "/sign-in",
    ],
)
def test_signing_in_never_leads_to_another_site(elsewhere: str) -> None:
    assert inside(elsewhere) == "/console"


async def test_signing_out_needs_the_pages_own_token(ada: httpx.AsyncClient) -> None:
    assert (await ada.post("/sign-out", data={"csrf_token": "guessed"})).status_code == 403
    out = await ada.post("/sign-out", data={"csrf_token": "csrf-of-ada@example.com"})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert 'wafleet="";' in out.headers["set-cookie"]


async def test_scripts_of_a_page_whose_sign_in_ended_are_told_so(visitor: httpx.AsyncClient) -> None:
    for path, accept in [("live", "text/event-stream"), ("signed-in", "application/json")]:
        assert (await visitor.get(f"/console/{path}", headers={"Accept": accept})).status_code == 401


@pytest.mark.parametrize("path", ["/console", "/console/signed-in", "/console/accounts/x/link"])
async def test_every_answer_forbids_inline_code_and_framing(ada: httpx.AsyncClient, path: str) -> None:
    headers = (await ada.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_pages_have_no_inline_script_style_or_handler(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    waiting = next(one.id for one in desk.fleet.values() if one.state == State.LOGGED_OUT)
    pages = [
        await ada.get("/console"),
        await ada.get("/sign-in?next=x"),
        await ada.post(f"/console/accounts/{waiting}/link"),
    ]
    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page.text)
        for script in re.findall(r"<script[^>]*>", page.text):
            assert 'src="/console/static/' in script or 'type="application/json"' in script


async def test_names_cannot_break_out_of_the_data_they_stand_in(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    nasty = "</script><script>alert(1)</script><!--'\"&"
    desk.put(card(nasty))
    page = (await ada.get("/console")).text
    assert "<script>alert" not in page
    assert nasty in {account["name"] for account in block(page, "fleet")["accounts"]}


async def test_a_tenants_person_is_told_nothing_of_other_tenants(grill: httpx.AsyncClient, desk: FakeDesk) -> None:
    page = (await grill.get("/console")).text
    assert NAMES[BROKERS] not in page
    assert "Marina lettings" not in page
    assert {account["tenant"] for account in block(page, "fleet")["accounts"]} == {"Zaytoun Grill"}

    foreign = next(one.id for one in desk.fleet.values() if one.tenant == NAMES[BROKERS])
    assert (await grill.get(f"/console/accounts/{foreign}/link")).status_code == 404


@pytest.mark.parametrize("action", ["link", "link/cancel", "reconnect", "enable", "disable"])
async def test_who_may_only_look_changes_nothing(grill: httpx.AsyncClient, desk: FakeDesk, action: str) -> None:
    own = next(one for one in desk.fleet.values() if one.tenant == "Zaytoun Grill")
    answer = await grill.post(f"/console/accounts/{own.id}/{action}", headers=HTMX)
    assert answer.status_code == 403
    assert "scope" in answer.text
    assert desk.fleet[own.id] == own
    assert block((await grill.get("/console")).text, "words")["control"] is False


async def test_a_change_without_the_pages_token_is_refused(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    account = next(iter(desk.fleet))
    del ada.headers["X-CSRF-Token"]
    assert (await ada.post(f"/console/accounts/{account}/disable")).status_code == 403
    assert desk.asked == []


async def test_an_action_is_done_and_answered_with_a_notice(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    account = next(one.id for one in desk.fleet.values() if one.state == State.ONLINE)
    answer = await ada.post(f"/console/accounts/{account}/disable", headers=HTMX)
    assert 'class="notice tone-good"' in answer.text
    assert desk.asked == [("disable", account)]


async def test_what_cannot_be_done_is_answered_with_its_sentence(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    unlinked = next(one.id for one in desk.fleet.values() if one.state == State.NEW)
    answer = await ada.post(f"/console/accounts/{unlinked}/reconnect", headers=HTMX)
    assert answer.status_code == 409
    assert "link it first" in answer.text


async def test_a_part_of_a_page_asked_for_by_a_stranger_takes_the_page_to_the_sign_in(
    visitor: httpx.AsyncClient,
) -> None:
    answer = await visitor.post("/console/accounts/x/disable", headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")


async def test_the_link_dialog_asks_again_until_linking_has_ended(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    account = next(one.id for one in desk.fleet.values() if one.state == State.LOGGED_OUT)
    shown = (await ada.post(f"/console/accounts/{account}/link")).text
    again = re.search(r'hx-get="([^"]+)" hx-trigger="every 1s"', shown)
    assert again
    assert "<svg" in shown
    assert "K7PM-2Q9D" in shown
    assert (await ada.get(again[1])).status_code == 204  # nothing new

    desk.end_link(account, "linked", "", State.ONLINE)
    ended = (await ada.get(again[1])).text
    assert 'data-stage="linked"' in ended
    assert "hx-trigger" not in ended


async def test_cancelling_ends_the_dialog_with_what_to_do_next(ada: httpx.AsyncClient, desk: FakeDesk) -> None:
    account = next(one.id for one in desk.fleet.values() if one.state == State.NEW)
    await ada.post(f"/console/accounts/{account}/link")
    ended = (await ada.post(f"/console/accounts/{account}/link/cancel")).text
    assert 'data-stage="cancelled"' in ended
    assert "Linking was cancelled." in ended
    assert "Link again" in ended
    assert "hx-trigger" not in ended


async def test_files_are_kept_for_a_year_under_the_name_of_their_content(ada: httpx.AsyncClient) -> None:
    page = (await ada.get("/console")).text
    files = set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page))
    assert {name.rsplit("/", 1)[1] for name in files} >= {"htmx.min.js", "overview.js", "tokens.css", "favicon.svg"}
    for file in files:
        answer = await ada.get(file)
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers.get("content-encoding") == "gzip" or len(answer.content) <= 1024
    old = re.sub(r"static/\w+/", "static/000000000000/", next(iter(files)))
    assert (await ada.get(old)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["../cards.py", "..%2fcards.py", "nothing.js", "%00"])
async def test_nothing_but_the_consoles_files_can_be_reached(ada: httpx.AsyncClient, path: str) -> None:
    assert (await ada.get(f"/console/static/x/{path}")).status_code in (400, 404)


async def test_every_module_a_script_imports_is_there(ada: httpx.AsyncClient) -> None:
    page = (await ada.get("/console")).text
    base = re.search(r'src="(/console/static/\w+/)overview\.js"', page)
    assert base
    seen, left = set[str](), {"overview.js"}
    while left:
        name = left.pop()
        seen.add(name)
        answer = await ada.get(base[1] + name)
        assert answer.status_code == 200, name
        left |= set(re.findall(r'from "\./([\w.]+)"', answer.text)) - seen
    assert len(seen) > 5
