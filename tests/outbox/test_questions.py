"""Questions with answers to choose from: with buttons, in words where there are none, and what comes back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outbox.offices import CUSTOMER, OTHER, PHONE, Office, new_account, new_client

from wafleet.app import open_app
from wafleet.config import Settings
from wafleet.domain.choosing import chosen, numbered
from wafleet.domain.message import Buttons, Choices, Option
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.orders import Say
from wafleet.simulator.world import World
from wafleet.transports.simulated import Simulated

OPTIONS = [{"id": "pick", "title": "I collect it"}, {"id": "bring", "title": "Bring it"}]
QUESTION = {"type": "buttons", "text": "How would you like it?", "options": OPTIONS}


class Plain(Simulated):
    """A transport without buttons."""

    capabilities = replace(Simulated.capabilities, contents=Simulated.capabilities.contents - {"buttons", "choices"})


@pytest.fixture
async def plain(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    """Two numbers that talk to each other, without buttons."""
    world = World(seed=1, manners=INSTANT)
    settings = Settings(data_dir=tmp_path, database_url=dsn)
    async with open_app(settings, transports={"simulator": Plain.within(world)}) as app:
        first = await new_account(app, "Sharq", "Sales", PHONE, "sales")
        second = await new_account(app, "Sharq", "Reception", OTHER, "primary")
        async with await new_client(app, "Sharq") as http:
            office = Office(app, world, first, second, first, http)
            for one in (first, second):
                await online(office, str(one.id), one.phone)
            yield office


async def online(office: Office, id: str, phone: str) -> None:
    assert (await office.http.post(f"/accounts/{id}/link")).is_success
    await office.until(f"/accounts/{id}/link", lambda seen: bool(seen.get("qr")))
    office.world.linking.scan(phone)
    await office.until(f"/accounts/{id}", lambda seen: seen["state"] == "online")


async def ask(office: Office, content: dict[str, Any], to: str = CUSTOMER) -> dict[str, Any]:
    """Ask from the first number, and wait until the question is gone."""
    answer = await office.http.post("/messages", json={"to": to, "account": str(office.first.id), "content": content})
    assert answer.status_code == 202, answer.text
    ended = {"sent", "delivered", "read", "failed"}
    return await office.until(f"/messages/{answer.json()['id']}", lambda seen: seen["state"] in ended)


async def written(office: Office, text: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Have a customer write to the first number; return what is stored of it."""
    path = f"/messages?account={office.first.id}&direction=in"
    before = len((await office.http.get(path)).json()["items"])
    office.world.say(Say(customer=CUSTOMER, account=PHONE, text=text, body=body))
    return (await office.until(path, lambda seen: len(seen["items"]) > before))["items"][0]


async def test_a_question_goes_out_in_words_and_the_number_written_back_is_the_choice(plain: Office) -> None:
    asked = await ask(plain, QUESTION)
    assert asked["content"]["type"] == "buttons"
    got = await written(plain, " ٢ ")
    assert got["content"] == {
        "type": "choice",
        "option": "bring",
        "title": "Bring it",
        "reply_to": asked["id"],
        "said": " ٢ ",
    }
    assert (await written(plain, "i COLLECT it!"))["content"]["option"] == "pick"
    assert (await written(plain, "bring"))["content"]["option"] == "bring"
    found = await plain.http.get("/messages", params={"q": "collect"})
    assert [one["content"]["option"] for one in found.json()["items"]] == ["pick"]


async def test_what_the_customer_sees_is_numbered(plain: Office) -> None:
    await ask(plain, QUESTION | {"header": "Your order"}, to=OTHER)
    path = f"/messages?account={plain.second.id}&direction=in"
    (got,) = (await plain.until(path, lambda seen: bool(seen["items"])))["items"]
    assert got["content"] == {
        "type": "text",
        "text": "*Your order*\n\nHow would you like it?\n\n1. I collect it\n2. Bring it\n\nAnswer with a number.",
    }


async def test_free_words_stay_words_and_without_a_question_a_number_is_a_number(plain: Office) -> None:
    assert (await written(plain, "1"))["content"] == {"type": "text", "text": "1"}
    await ask(plain, QUESTION)
    for text in ("3", "how much is it?", "1 or 2?"):
        assert (await written(plain, text))["content"] == {"type": "text", "text": text}


async def test_a_number_is_for_the_newest_question_and_what_was_touched_for_its_own(plain: Office) -> None:
    first = await ask(plain, QUESTION)
    days = [{"id": "fri", "title": "Friday"}, {"id": "sat", "title": "Saturday"}]
    second = await ask(plain, {"type": "choices", "text": "Which day?", "button": "Days", "options": days})
    got = (await written(plain, "1"))["content"]
    assert (got["option"], got["reply_to"]) == ("fri", second["id"])
    got = (await written(plain, "", {"type": "choice", "option": "pick", "title": "I collect it"}))["content"]
    assert (got["option"], got["reply_to"]) == ("pick", first["id"])
    quoting = {"type": "text", "text": "2", "reply_to": first["provider_id"]}
    got = (await written(plain, "", quoting))["content"]
    assert (got["option"], got["reply_to"]) == ("bring", first["id"])


async def test_a_number_is_no_answer_any_more_once_something_else_was_said(plain: Office) -> None:
    asked = await ask(plain, QUESTION)
    first = await written(plain, "what do you have?")
    await ask(plain, {"type": "reaction", "message": first["id"], "emoji": "\U0001f44d"})
    later = {"text": "see you tomorrow", "due_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    assert (await plain.send({"account": str(plain.first.id)} | later)).status_code == 202  # nobody has read that yet
    assert (await written(plain, "1"))["content"]["option"] == "pick"

    await ask(plain, {"type": "text", "text": "How many portions?"})
    assert (await written(plain, "2"))["content"] == {"type": "text", "text": "2"}
    assert (await written(plain, "bring it"))["content"]["option"] == "bring"
    quoting = {"type": "text", "text": "2", "reply_to": asked["provider_id"]}
    assert (await written(plain, "", quoting))["content"]["option"] == "bring"

    await ask(plain, QUESTION)
    assert (await written(plain, "2"))["content"]["option"] == "bring"


async def test_an_old_question_is_not_answered_any_more(plain: Office) -> None:
    await ask(plain, QUESTION)
    async with plain.app.engine.db.fleet_tx() as tx:
        await tx.run("update outbox set sent_at = now() - interval '25 hours'")
    assert (await written(plain, "1"))["content"] == {"type": "text", "text": "1"}


async def test_where_there_are_buttons_the_question_goes_out_as_it_is(office: Office) -> None:
    for one in (office.first, office.second):
        await online(office, str(one.id), one.phone)
    asked = await ask(office, QUESTION, to=OTHER)
    path = f"/messages?account={office.second.id}&direction=in"
    (got,) = (await office.until(path, lambda seen: bool(seen["items"])))["items"]
    assert got["content"] == QUESTION
    assert asked["content"] == QUESTION


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (QUESTION | {"options": []}, "content.options"),
        (QUESTION | {"options": [{"id": str(n), "title": f"T{n}"} for n in range(4)]}, "content.options"),
        (QUESTION | {"text": "x" * 1025}, "content.text"),
        (QUESTION | {"options": [{"id": "a", "title": "x" * 21}]}, "content.options[0].title"),
        (QUESTION | {"options": [{"id": "", "title": "x"}]}, "content.options[0].id"),
        (QUESTION | {"options": [*OPTIONS, {"id": "pick", "title": "x"}]}, "content.options[2].id"),
        (QUESTION | {"options": [*OPTIONS, {"id": "x", "title": "Bring It"}]}, "content.options[2].title"),
        (
            QUESTION | {"options": [{"id": "a", "title": "A", "description": "more"}]},
            "content.options[0].description",
        ),
        (QUESTION | {"header": "x" * 61}, "content.header"),
        (QUESTION | {"type": "choices", "button": ""}, "content.button"),
        ({"type": "template", "name": " "}, "content.name"),
        ({"type": "template", "name": "order", "variables": {"1": ""}}, "content.variables.1"),
        ({"type": "choice", "option": "a"}, "content"),
        (QUESTION | {"options": [{"id": 1, "title": "x"}]}, "content"),
    ],
)
async def test_what_whatsapp_would_refuse_is_refused_before_by_its_field(
    office: Office, content: dict[str, Any], field: str
) -> None:
    answer = await office.send({"content": content})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


LETTERS = st.text(st.characters(categories=["L"]), min_size=1, max_size=24)


@given(st.lists(LETTERS, min_size=1, max_size=10))
def test_every_number_that_is_shown_can_be_written_back(titles: list[str]) -> None:
    options = tuple(Option(f"id-{n}", title) for n, title in enumerate(titles))
    assert all(f"{n}. {one.title}" in numbered(Choices("?", "Open", options)).text for n, one in enumerate(options, 1))
    for n, option in enumerate(options, 1):
        assert chosen(options, f"{n}") == option


@pytest.mark.parametrize(
    ("said", "option"),
    [("1", 0), ("١", 0), ("۲", 1), ("2️⃣", 1), ("(2)", 1), ("#1", 0), ("②", 1), ("قهوه", 1), ("  TEA.", 0), ("2.", 1)]
    + [(said, None) for said in ("", "0", "3", "12", "one", "1 2", "👍", "-", "tea and coffee")],
)
def test_people_write_numbers_and_titles_in_many_ways(said: str, option: int | None) -> None:
    options = (Option("t", "Tea"), Option("c", "قَهوة"))
    assert chosen(options, said) == (None if option is None else options[option])


@pytest.mark.parametrize(("said", "option"), [("4", 1), ("2", None), ("(1)", None), ("two", 0), ("7", None)])
def test_a_number_that_is_a_title_is_meant_by_it_even_where_other_numbers_are_not(
    said: str, option: int | None
) -> None:
    options = (Option("7", "two"), Option("b", "4"))
    assert chosen(options, said, numbers=False) == (None if option is None else options[option])


def test_the_hint_speaks_the_language_of_the_question() -> None:
    options = (Option("a", "نعم"),)
    assert numbered(Buttons("هل يناسبك؟", options)).text.endswith("أجب برقم.")
    assert numbered(Buttons("Is it good?", options, footer="Sharq")).text.endswith("_Sharq_\n\nAnswer with a number.")
