"""The inbox over HTTP: what callers see, what strangers find, and pages that hold still."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.inbox.shops import Shop, said
from tests.tenants.houses import House, build_house, client

from wafleet.config import OutboxSettings
from wafleet.domain.ids import TenantId, new_id
from wafleet.domain.message import Text
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes
from wafleet.inbox import Inbox
from wafleet.inbox.routes import router
from wafleet.outbox import Draft, Outbox
from wafleet.tenants import Role, Scope

ADA, BOB = "+447700900001", "+447700900002"
NASTY = [
    "'; drop table messages; --",
    "<script>alert(1)</script>",
    "%(q)s % _ \\",
    "👩‍👩‍👧‍👦 \u202e مَرحبا",
    '"',
    "!",
    "a & | b:*",
]


@pytest.fixture
async def house(db: Db) -> House:
    return await build_house(db, SystemClock())


async def number(db: Db, tenant: UUID, name: str, phone: str) -> Shop:
    shop = Shop(tenant=TenantId(tenant))
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            insert into accounts (id, tenant_id, name, phone, transport)
            values (%(id)s, %(tenant)s, %(name)s, %(phone)s, 'simulator')
            """,
            id=shop.account,
            tenant=tenant,
            name=name,
            phone=phone,
        )
    return shop


@pytest.fixture
async def office(db: Db, house: House) -> Shop:
    return await number(db, house.office, "Sales", "+966500000001")


@pytest.fixture
async def kitchen(db: Db, house: House) -> Shop:
    return await number(db, house.kitchen, "Orders", "+966500000002")


@pytest.fixture
async def http(db: Db, house: House, office: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """A token of the office with every scope."""
    token = await house.token(*Scope, tenant=house.office)
    async with client(house.app(router(db, house.auth)), token) as http:
        yield http


@pytest.fixture
def outbox(db: Db, dsn: str) -> Outbox:
    return Outbox(db=db, clock=SystemClock(), wakes=Wakes(dsn), transports={}, settings=OutboxSettings())


async def sent(db: Db, outbox: Outbox, shop: Shop, text: str, to: str = ADA) -> UUID:
    async with db.fleet_tx() as tx:
        draft = Draft(account=shop.account, tenant=shop.tenant, to=to, content=Text(text=text))
        return (await outbox.enqueue(tx, [draft]))[0]


async def hear(inbox: Inbox, shop: Shop, *texts: str, identity: str = ADA) -> None:
    await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, said(one, identity=identity)) for one in texts))


async def got(http: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await http.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def found(http: httpx.AsyncClient, **params: Any) -> list[str]:
    return [one["content"]["text"] for one in (await got(http, "/messages", **params))["items"]]


async def pages(http: httpx.AsyncClient, path: str, **params: Any) -> AsyncIterator[list[Any]]:
    cursor: str | None = None
    while True:
        one = await got(http, path, **params, **({"cursor": cursor} if cursor else {}))
        yield one["items"]
        if (cursor := one["next"]) is None:
            return


async def test_a_conversation_shows_both_directions_newest_first_with_the_way_of_ours(
    db: Db, http: httpx.AsyncClient, office: Shop, inbox: Inbox, outbox: Outbox
) -> None:
    await hear(inbox, office, "hello")
    ours = await sent(db, outbox, office, "good day")
    [conversation] = (await got(http, "/conversations"))["items"]
    assert (conversation["identity"], conversation["unread"], conversation["last_words"]) == (ADA, 1, "good day")
    first, second = (await got(http, f"/conversations/{conversation['id']}/messages"))["items"]
    assert (first["id"], first["direction"], first["state"]) == (str(ours), "out", "queued")
    assert (first["from"], first["to"]) == ("+966500000001", ADA)
    assert first["why"].startswith("Waiting: the account is new since ")
    assert first["sent_at"] is None
    assert (second["direction"], second["state"], second["why"]) == ("in", "received", "")
    assert (second["from"], second["to"]) == (ADA, "+966500000001")
    assert second["content"] == {"type": "text", "text": "hello"}
    assert second["at"] == "2026-01-01T12:00:00Z"
    assert await got(http, f"/messages/{ours}") == first
    assert not {"seq", "now", "account_state", "lane_why"} & first.keys()


async def test_a_conversation_is_assigned_noted_closed_and_the_change_is_audited(
    db: Db, http: httpx.AsyncClient, house: House, office: Shop, inbox: Inbox
) -> None:
    await hear(inbox, office, "hello")
    agent = await house.user("agent@example.com", Role.AGENT, tenant=house.office)
    stranger = await house.user("chef@example.com", Role.AGENT, tenant=house.kitchen)
    [conversation] = (await got(http, "/conversations"))["items"]
    path = f"/api/v1/conversations/{conversation['id']}"
    changed = await http.patch(path, json={"state": "closed", "assigned_to": str(agent.user), "note": "<b>VIP</b>"})
    assert changed.json() | {"state": "closed", "assigned_to": str(agent.user), "note": "<b>VIP</b>"} == changed.json()
    assert (await http.patch(path, json={"note": ""})).json()["assigned_to"] == str(agent.user)
    assert (await http.patch(path, json={"assigned_to": None})).json()["assigned_to"] is None
    assert (await http.patch(path, json={"assigned_to": str(stranger.user)})).status_code == 422
    assert (await http.patch(path, json={"colour": "red"})).status_code == 422
    assert (await http.patch(path, json={"note": "a\0b"})).status_code == 422
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select detail -> 'fields' from audit where action = 'conversation.changed' order by id")
    assert [row[0] for row in rows] == [["state", "assigned_to", "note"], ["note"], ["assigned_to"]]
    await hear(inbox, office, "one more thing")
    assert (await got(http, f"/conversations/{conversation['id']}"))["state"] == "open"


async def test_reading_up_to_a_message_leaves_later_ones_unread(
    http: httpx.AsyncClient, office: Shop, inbox: Inbox
) -> None:
    await hear(inbox, office, "1", "2", "3")
    [conversation] = (await got(http, "/conversations"))["items"]
    items = (await got(http, f"/conversations/{conversation['id']}/messages"))["items"]
    path = f"/api/v1/conversations/{conversation['id']}/read"
    assert (await http.post(path, json={"up_to": items[1]["id"]})).json()["unread"] == 1
    assert (await http.post(path, json={"up_to": items[2]["id"]})).json()["unread"] == 1  # never more than before
    assert (await http.post(path, json={"up_to": str(new_id())})).status_code == 422
    assert (await http.post(path)).json()["unread"] == 0


async def test_conversations_are_filtered(
    db: Db, http: httpx.AsyncClient, office: Shop, inbox: Inbox, outbox: Outbox
) -> None:
    await hear(inbox, office, "أهلاً", identity=ADA)
    await sent(db, outbox, office, "an offer", to=BOB)
    assert [one["identity"] for one in (await got(http, "/conversations"))["items"]] == [BOB, ADA]

    async def who(**params: Any) -> list[str]:
        return [one["identity"] for one in (await got(http, "/conversations", **params))["items"]]

    assert await who(unread=True) == [ADA]
    assert await who(unread=False) == [BOB]
    assert await who(q="اهلا") == [ADA]
    assert await who(q="00002") == [BOB]
    assert await who(q="nobody said this") == []
    assert await who(state="closed") == []
    assert await who(assigned_to="nobody") == [BOB, ADA]
    assert await who(assigned_to=str(new_id())) == []
    assert await who(account=str(office.account)) == [BOB, ADA]
    assert await who(account=str(new_id())) == []
    assert await got(http, "/conversations/statistics") | {"unanswered_since": None} == {
        "conversations": 2,
        "open": 2,
        "closed": 0,
        "unread": 1,
        "unread_messages": 1,
        "unassigned": 2,
        "unanswered": 1,
        "unanswered_since": None,
    }


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("مَرْحَباً بِكُم", "مرحبا"),
        ("مرحبا", "مَرْحَبا"),
        ("أريد طلباً إلى الفندق", "اريد الى"),
        ("اريد", "أريد"),
        ("الطاولة ٢٥ من فضلك", "25"),
        ("table 25 please", "٢٥"),
        ("مدرسة", "مدرسه"),
        ("I want TWO shawarmas", "two Shawarmas"),
        ("I want two shawarmas", '"want two"'),
        ("red apples", "pears or apples"),
    ],
)
async def test_search_finds_what_people_mean(
    http: httpx.AsyncClient, office: Shop, inbox: Inbox, written: str, asked: str
) -> None:
    await hear(inbox, office, written, "something else")
    assert await found(http, q=asked) == [written]


async def test_search_understands_phrases_exclusion_and_refuses_to_break(
    http: httpx.AsyncClient, office: Shop, inbox: Inbox
) -> None:
    await hear(inbox, office, "two red apples", "red wine", *NASTY)
    assert await found(http, q="red -wine") == ["two red apples"]
    assert await found(http, q='"red two"') == []
    for text in [*NASTY, "\0", "(", "--", "'"]:
        await found(http, q=text)
    assert await found(http, q="drop") == [NASTY[0]]
    assert set(await found(http)) == {"two red apples", "red wine", *NASTY}


async def test_messages_are_filtered_alone_and_together(
    db: Db, http: httpx.AsyncClient, house: House, office: Shop, inbox: Inbox, outbox: Outbox
) -> None:
    second = await number(db, house.office, "Support", "+966500000003")
    await hear(inbox, office, "apples in")
    await hear(inbox, second, "apples second")
    await sent(db, outbox, office, "apples out")
    [conversation] = (await got(http, "/conversations", account=str(second.account)))["items"]
    middle = (await got(http, "/messages"))["items"][1]["created_at"]
    newest = ["apples out", "apples second", "apples in"]
    for words in ({}, {"q": "apples"}):
        assert await found(http, **words) == newest
        assert await found(http, direction="in", **words) == newest[1:]
        assert await found(http, state="received", **words) == newest[1:]
        assert await found(http, state="queued", **words) == newest[:1]
        assert await found(http, state="queued", direction="in", **words) == []
        assert await found(http, state="received", direction="out", **words) == []
        assert await found(http, state="failed", **words) == []
        assert await found(http, account=str(second.account), **words) == newest[1:2]
        assert await found(http, conversation=conversation["id"], **words) == newest[1:2]
        assert await found(http, conversation=conversation["id"], state="queued", **words) == []
        assert await found(http, since=middle, **words) == newest[:2]
        assert await found(http, until=middle, **words) == newest[2:]


@pytest.mark.parametrize("narrow", [{}, {"q": "m"}, {"state": "queued"}, {"conversation": "the first"}])
async def test_pages_of_messages_hold_still_while_new_ones_arrive(
    db: Db, http: httpx.AsyncClient, office: Shop, inbox: Inbox, outbox: Outbox, narrow: dict[str, str]
) -> None:
    async def more(nr: int) -> None:
        if "state" in narrow:
            await sent(db, outbox, office, f"m {nr}")
        else:
            await hear(inbox, office, f"m {nr}")

    for nr in range(0, 10):
        await more(nr)
    if "conversation" in narrow:
        narrow = {"conversation": (await got(http, "/conversations"))["items"][0]["id"]}
    seen: list[str] = []
    async for items in pages(http, "/messages", limit=3, **narrow):
        seen += [one["content"]["text"] for one in items]
        await more(100 + len(seen))
    assert seen == [f"m {nr}" for nr in reversed(range(10))]


async def test_messages_of_one_commit_are_paged_without_gap_or_repetition(
    http: httpx.AsyncClient, office: Shop, inbox: Inbox
) -> None:
    await hear(inbox, office, *(f"m {nr}" for nr in range(25)))
    for params in ({}, {"q": "m"}):
        seen = [one["content"]["text"] async for items in pages(http, "/messages", limit=4, **params) for one in items]
        assert seen == [f"m {nr}" for nr in reversed(range(25))]


async def test_no_conversation_is_shown_twice_while_new_messages_arrive(
    http: httpx.AsyncClient, office: Shop, inbox: Inbox
) -> None:
    names = [f"+4477009000{nr:02}" for nr in range(12)]
    for name in names:
        await hear(inbox, office, "hello", identity=name)
    seen: list[str] = []
    async for items in pages(http, "/conversations", limit=5):
        seen += [one["identity"] for one in items]
        await hear(inbox, office, "again", identity=items[-1]["identity"])
    assert seen == names[::-1]


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "é", "W10"])
async def test_a_made_up_cursor_is_refused(http: httpx.AsyncClient, cursor: str) -> None:
    for path in ("/messages", "/conversations"):
        answer = await http.get(f"/api/v1{path}", params={"cursor": cursor})
        assert answer.status_code == (422 if cursor else 200)


async def everything(http: httpx.AsyncClient, theirs: dict[str, str]) -> list[tuple[int, Any]]:
    """Ask every route for somebody else's things."""
    conversation, message, account = theirs["conversation"], theirs["message"], theirs["account"]
    answers = [
        await http.get(f"/api/v1/conversations/{conversation}"),
        await http.get(f"/api/v1/conversations/{conversation}/messages"),
        await http.patch(f"/api/v1/conversations/{conversation}", json={"note": "mine"}),
        await http.post(f"/api/v1/conversations/{conversation}/read"),
        await http.get(f"/api/v1/messages/{message}"),
        await http.get("/api/v1/conversations", params={"account": account}),
        await http.get("/api/v1/conversations"),
        await http.get("/api/v1/messages", params={"account": account}),
        await http.get("/api/v1/messages", params={"conversation": conversation}),
        await http.get("/api/v1/messages", params={"q": "secret"}),
        await http.get("/api/v1/messages", params={"q": "secret", "account": account}),
        await http.get("/api/v1/messages", params={"state": "queued"}),
        await http.get("/api/v1/messages"),
        await http.get("/api/v1/ledger", params={"account": account}),
        await http.get("/api/v1/ledger"),
        await http.get("/api/v1/conversations/statistics", params={"account": account}),
        await http.get("/api/v1/conversations/statistics"),
    ]
    return [(one.status_code, one.json()) for one in answers]


def holds_nothing(answers: list[tuple[int, Any]]) -> None:
    assert [status for status, _ in answers[:5]] == [404] * 5
    for status, body in answers[5:]:
        assert status == 200
        assert not any(body.get(name) for name in ("items", "lines", "conversations"))
    assert "secret" not in str(answers)


@pytest.fixture
async def theirs(db: Db, kitchen: Shop, inbox: Inbox, outbox: Outbox) -> dict[str, str]:
    """What the kitchen has, by id."""
    await hear(inbox, kitchen, "secret sauce")
    message = await sent(db, outbox, kitchen, "secret answer")
    async with db.fleet_tx() as tx:
        conversation = await tx.value("select id from conversations")
    return {"conversation": str(conversation), "message": str(message), "account": str(kitchen.account)}


async def test_another_tenants_things_do_not_exist(http: httpx.AsyncClient, theirs: dict[str, str]) -> None:
    holds_nothing(await everything(http, theirs))


async def test_a_token_limited_to_accounts_sees_only_those(
    db: Db, house: House, kitchen: Shop, theirs: dict[str, str], inbox: Inbox
) -> None:
    other = await number(db, house.kitchen, "Quiet", "+966500000004")
    token = await house.token(*Scope, tenant=house.kitchen, accounts=[TenantId(other.account)])
    async with client(house.app(router(db, house.auth)), token) as http:
        holds_nothing(await everything(http, theirs))
        await hear(inbox, other, "for you")
        assert await found(http) == ["for you"]
        assert await found(http, q="you") == ["for you"]


async def test_the_whole_fleet_is_seen_by_its_administrator_and_can_be_narrowed(
    db: Db, house: House, office: Shop, theirs: dict[str, str], inbox: Inbox
) -> None:
    await hear(inbox, office, "secret of the office")
    async with client(house.app(router(db, house.auth)), await house.token(*Scope, tenant=None)) as http:
        assert len(await found(http)) == 3
        assert len(await found(http, q="secret")) == 3
        assert await found(http, q="secret", tenant="Office") == ["secret of the office"]
        assert await found(http, tenant="Office") == ["secret of the office"]
        assert len((await got(http, "/ledger"))["lines"]) == 2


async def test_search_leaks_nothing_even_to_sql_run_as_the_tenant(
    db: Db, house: House, office: Shop, theirs: dict[str, str]
) -> None:
    sql = "select count(*) from matching_messages('secret', null, null, null, null, null, null, null, null, 10)"
    async with db.tx(house.office) as tx:
        assert await tx.value(sql) == 0
        await tx.run("select set_config('wafleet.tenant', '', true)")
        assert await tx.value(sql) == 0
    async with db.tx(house.kitchen) as tx:
        assert await tx.value(sql) == 2


async def test_reading_needs_the_scope_read_and_changing_the_scope_send(
    db: Db, house: House, office: Shop, inbox: Inbox
) -> None:
    await hear(inbox, office, "hello")
    app = house.app(router(db, house.auth))
    async with client(app, await house.token(Scope.READ, tenant=house.office)) as http:
        [conversation] = (await got(http, "/conversations"))["items"]
        path = f"/api/v1/conversations/{conversation['id']}"
        assert (await http.patch(path, json={"note": "x"})).status_code == 403
        assert (await http.post(f"{path}/read")).status_code == 403
    async with client(app, await house.token(Scope.SEND, tenant=house.office)) as http:
        assert (await http.get(path)).status_code == 403
        assert (await http.patch(path, json={"note": "x"})).status_code == 200
    async with client(app) as http:
        for route in ("/conversations", "/messages", "/ledger", "/conversations/statistics"):
            assert (await http.get(f"/api/v1{route}")).status_code == 401


async def test_the_ledger_of_a_day_and_of_a_period(http: httpx.AsyncClient, office: Shop, inbox: Inbox) -> None:
    await hear(inbox, office, "hello")
    today = datetime.now(UTC).date().isoformat()
    for params in ({}, {"day": today}, {"from": today}, {"from": today, "to": today}):
        ledger = await got(http, "/ledger", **params)
        [line] = ledger["lines"]
        assert (line["account"], line["name"], line["day"]) == (str(office.account), "Sales", today)
        assert (line["received"], line["stored"], line["unhandled"], line["balanced"]) == (1, 1, 1, True)
        assert ledger["balanced"]
    for params in ({"day": today, "from": today}, {"to": today}, {"day": "soon"}, {"from": today, "to": "2020-01-01"}):
        assert (await http.get("/api/v1/ledger", params=params)).status_code == 422


@pytest.mark.parametrize("account", ["x", "", "1", "01a1fc8b-bcfc-7000-a54d-496f755a21ad0"])
async def test_malformed_ids_are_refused_by_name(http: httpx.AsyncClient, account: str) -> None:
    answer = await http.get("/api/v1/messages", params={"account": account})
    assert answer.status_code == 422
    assert "account" in answer.text
