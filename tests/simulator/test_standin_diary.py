"""What stand-ins remember when they are killed: as much as the providers they stand for would."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.transports.heard import QUICK, until

from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.diary import Diary
from wafleet.simulator.standins.meta import api as meta_api
from wafleet.simulator.standins.meta.model import number_id
from wafleet.simulator.standins.meta.service import Meta
from wafleet.simulator.standins.twilio import api as twilio_api
from wafleet.simulator.standins.twilio.service import Twilio
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World

PHONE, LAYLA = "+966500000001", "+971550000001"
SID = "AC" + "1" * 32


class Page(msgspec.Struct):
    words: str


def test_a_diary_tells_how_things_were_last_even_when_a_line_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "diary.jsonl"
    diary = Diary(path, Page)
    for name, words in (("a", "first"), ("b", "second"), ("a", "first, changed"), ("c", "gone soon")):
        diary.note(name, Page(words))
    diary.note("c", None)
    diary.close()
    with path.open("ab") as file:
        file.write(b'["d",[{"wor')
    assert [page.words for page in Diary(path, Page).read()] == ["first, changed", "second"]
    assert len(path.read_bytes().splitlines()) == 2
    assert list(Diary(None, Page).read()) == []


@asynccontextmanager
async def _twilio(world: World, folder: Path) -> AsyncGenerator[tuple[Twilio, httpx.AsyncClient]]:
    async def connect() -> Wire:
        return Local(world)

    stand_in = Twilio(connect, account_sid=SID, auth_token="t", memory=folder / "twilio.jsonl")
    async with twilio_api.listening(stand_in) as url, httpx.AsyncClient(base_url=url, auth=(SID, "t")) as http:
        stand_in.add(PHONE)
        await stand_in.numbers.online(PHONE)
        yield stand_in, http


async def test_twilio_lists_what_it_took_before_it_was_killed_and_knows_who_may_be_written_to(tmp_path: Path) -> None:
    world, messages = World(seed=1, manners=QUICK), f"/2010-04-01/Accounts/{SID}/Messages.json"
    form = {"From": f"whatsapp:{PHONE}", "To": f"whatsapp:{LAYLA}", "Body": "your order is ready"}
    async with _twilio(world, tmp_path) as (stand_in, http):
        world.say(Say(customer=LAYLA, account=PHONE, text="hello", name="Layla"))
        await until(lambda: stand_in.windows.are_open(PHONE, LAYLA))
        sid = (await http.post(messages, data=form)).json()["sid"]
        await until(lambda: {one.status for one in stand_in.book if one.sid == sid} == {"read"})
    async with _twilio(world, tmp_path) as (_, http):
        listed = (await http.get(messages)).json()["messages"]
        (ours,) = [one for one in listed if one["direction"] == "outbound-api"]
        assert (ours["sid"], ours["body"], ours["status"]) == (sid, "your order is ready", "read")
        await http.post(messages, data=form | {"Body": "and again"})
        await until(lambda: world.ledger(PHONE)[0].sent == 2)


@asynccontextmanager
async def _meta(world: World, folder: Path) -> AsyncGenerator[tuple[Meta, httpx.AsyncClient]]:
    async def connect() -> Wire:
        return Local(world)

    stand_in = Meta(connect, access_token="t", app_secret="s", verify_token="v", memory=folder)
    headers = {"Authorization": "Bearer t"}
    async with meta_api.listening(stand_in) as url, httpx.AsyncClient(base_url=url, headers=headers) as http:
        stand_in.add(PHONE).webhook = f"{url}/nobody-takes-it"
        await stand_in.numbers.online(PHONE)
        yield stand_in, http


async def test_meta_knows_what_was_said_before_it_was_killed(tmp_path: Path) -> None:
    world, path = World(seed=1, manners=QUICK), f"/v25.0/{number_id(PHONE)}/messages"
    said: dict[str, Any] = {"messaging_product": "whatsapp", "to": LAYLA, "type": "text", "text": {"body": "yes?"}}
    async with _meta(world, tmp_path) as (stand_in, http):
        world.say(Say(customer=LAYLA, account=PHONE, text="hello", name="Layla"))
        await until(lambda: list(stand_in.book.received))
        wamid = (await http.post(path, json=said)).json()["messages"][0]["id"]
    async with _meta(world, tmp_path) as (stand_in, http):
        (known,) = stand_in.book.received
        assert stand_in.book.world_of(wamid)
        assert (known.customer, known.phone) == (LAYLA, PHONE)
        assert stand_in.windows.are_open(PHONE, LAYLA)
        like = said | {"type": "reaction", "reaction": {"message_id": known.wamid, "emoji": "👍"}}
        assert (await http.post(path, json=like)).status_code == 200
    assert world.ledger(PHONE)[0].sent == 2
