"""What comes in, on its way to the listener."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.transports.heard import until

from wafleet.clientlib.protos import e2e, told
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Image, Text, Unsupported, words
from wafleet.transports.base import Refused
from wafleet.transports.device import incoming
from wafleet.transports.device.identity import jid, read
from wafleet.transports.device.incoming import Incoming
from wafleet.transports.device.reading import referred

LAYLA, HIDDEN = "+971550000001", "lid:987654"


@dataclass
class World:
    """Who is told, and what the library and the media store would answer."""

    heard: list[Inbound] = field(default_factory=list[Inbound])
    dropped: list[str] = field(default_factory=list[str])
    seen: list[float] = field(default_factory=list[float])
    phones: dict[str, str] = field(default_factory=dict[str, str])
    asked: int = 0
    file: "asyncio.Future[str] | None" = None

    def incoming(self) -> Incoming:
        return Incoming(
            received=self.heard.append, dropped=self._drop, seen=self.seen.append, fetch=self._fetch, ask=self._ask
        )

    def _drop(self, ids: Sequence[str]) -> None:
        self.dropped += ids

    async def _fetch(self, message: bytes, size: int) -> str:
        if self.file is None:
            raise OSError("the host has it no more")
        return await self.file

    async def _ask(self, hidden: told.JID) -> told.JID | None:
        self.asked += 1
        await asyncio.sleep(0)
        phone = self.phones.get(hidden.User)
        return None if phone is None else jid(phone)


def event(
    id: str, message: e2e.Message, *, sender: told.JID | None = None, chat: told.JID | None = None, own: bool = False
) -> bytes:
    who = sender or jid(LAYLA)
    nobody = told.JID(User="", Server="", RawAgent=0, Device=0, Integrator=0, IsEmpty=True)
    source = told.MessageSource(Chat=chat or who, Sender=who, IsFromMe=own, IsGroup=False, SenderAlt=nobody)
    info = told.MessageInfo(MessageSource=source, ID=id, Pushname="Layla", Timestamp=1_795_271_880)
    return told.Message(Info=info, Message=message).SerializePartialToString()


def text(words: str) -> e2e.Message:
    return e2e.Message(conversation=words)


def picture() -> e2e.Message:
    return e2e.Message(imageMessage=e2e.ImageMessage(caption="menu", mimetype="image/jpeg", fileLength=3))


def undecryptable(id: str, *, unavailable: bool = False) -> bytes:
    info = told.Message.FromString(event(id, text(""))).Info
    return told.UndecryptableMessage(Info=info, IsUnavailable=unavailable).SerializePartialToString()


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_no_conversation_with_a_customer_is_passed_over(world: World) -> None:
    taken = world.incoming()
    taken.message(event("1", text("group"), chat=read("12036@g.us")))
    taken.message(event("2", text("status"), chat=read("status@broadcast")))
    taken.message(event("3", text("channel"), chat=read("12036@newsletter")))
    taken.message(event("4", e2e.Message(protocolMessage=e2e.ProtocolMessage())))
    assert (world.dropped, world.heard, taken.passed_over) == (["1", "2", "3", "4"], [], 3)


async def test_what_the_own_phone_writes_shows_that_it_is_there(world: World) -> None:
    taken = world.incoming()
    taken.message(event("1", text("from the phone"), own=True))
    taken.message(event("2", text("from another device"), own=True, sender=read("97155:3@s.whatsapp.net")))
    assert (world.seen, world.dropped, world.heard) == ([1_795_271_880], ["1", "2"], [])


async def test_bytes_that_are_no_event_are_dropped(world: World) -> None:
    world.incoming().message(b"\x0a\x05\x12\x03abc\xff")
    assert world.heard == []


async def test_a_hidden_customer_is_named_by_phone_where_the_library_knows_it(world: World) -> None:
    taken, hidden = world.incoming(), jid(HIDDEN)
    world.phones["987654"] = LAYLA
    for id in ("1", "2"):
        taken.message(event(id, text(id), sender=hidden))
    await until(lambda: len(world.heard) == 2)
    taken.message(event("3", text("3"), sender=hidden))
    assert [(one.identity, words(one.content)) for one in world.heard] == [(LAYLA, "1"), (LAYLA, "2"), (LAYLA, "3")]
    assert world.asked == 1


async def test_a_hidden_customer_nobody_knows_keeps_the_hidden_name(world: World) -> None:
    world.incoming().message(event("1", text("hi"), sender=jid(HIDDEN)))
    await until(lambda: world.heard)
    assert world.heard[0].identity == HIDDEN


async def test_a_file_on_its_way_holds_up_its_customer_and_nobody_else(world: World) -> None:
    taken, world.file = world.incoming(), asyncio.get_running_loop().create_future()
    taken.message(event("1", picture()))
    taken.message(event("2", text("see?")))
    taken.message(event("3", text("somebody else"), sender=jid("+971550000002")))
    await asyncio.sleep(0)
    assert [one.provider_id for one in world.heard] == ["3"]
    world.file.set_result("name")
    await until(lambda: len(world.heard) == 3)
    assert [one.provider_id for one in world.heard] == ["3", "1", "2"]
    content = world.heard[1].content
    assert isinstance(content, Image)
    assert content.media.id == "name"


async def test_a_message_whose_file_cannot_be_fetched_arrives_and_says_how_to_fetch_it_later(world: World) -> None:
    whole = picture()
    whole.imageMessage.MergeFrom(e2e.ImageMessage(directPath="/v/x", mediaKey=b"key", JPEGThumbnail=bytes(10_000)))
    world.incoming().message(event("1", whole))
    await until(lambda: world.heard)
    message, size = referred(world.heard[0].file)
    needed = e2e.ImageMessage(directPath="/v/x", mediaKey=b"key", mimetype="image/jpeg", fileLength=3)
    assert (e2e.Message.FromString(message), size) == (e2e.Message(imageMessage=needed), 3)


@pytest.mark.parametrize("rubbish", ["", "rubbish", "/w==", b64encode(text("hi").SerializeToString()).decode()])
def test_what_says_how_to_fetch_no_file_is_refused(rubbish: str) -> None:
    with pytest.raises(Refused):
        referred(rubbish)


async def test_an_undecryptable_message_that_is_sent_again_leaves_no_placeholder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "RESENT_S", 0.05)
    taken = world.incoming()
    taken.undecryptable(undecryptable("1"))
    taken.message(event("1", text("again")))
    await asyncio.sleep(0.1)
    assert [one.content for one in world.heard] == [Text("again")]


async def test_an_undecryptable_message_is_not_lost_in_silence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "RESENT_S", 0.02)
    taken = world.incoming()
    taken.undecryptable(undecryptable("1"))
    taken.undecryptable(undecryptable("1"))
    await until(lambda: world.heard)
    taken.message(event("1", text("after all")))
    assert [one.provider_id for one in world.heard] == ["1?", "1"]
    assert isinstance(world.heard[0].content, Unsupported)


async def test_what_only_the_phone_may_show_has_a_placeholder_at_once(world: World) -> None:
    world.incoming().undecryptable(undecryptable("1", unavailable=True))
    await until(lambda: world.heard)
    assert world.heard[0].raw == {"undecryptable": True, "unavailable": True}


async def test_what_the_library_swallowed_has_a_placeholder_under_its_own_name(world: World) -> None:
    taken = world.incoming()
    taken.swallowed("1", "971550000001@s.whatsapp.net")
    taken.swallowed("2", "12036@g.us")
    assert [(one.provider_id, one.identity) for one in world.heard] == [("1", LAYLA)]
    assert world.dropped == ["2"]
