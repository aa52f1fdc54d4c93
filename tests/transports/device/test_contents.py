"""Contents of every kind, both ways, with the real library on an emulator."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contracts.subject import OTHER, Peer
from tests.emulator import talking
from tests.emulator.rig import CUSTOMER
from tests.transports.device.parts import WAIT_S, One, Shelf, device, linked
from tests.transports.heard import until

from wafleet.clientlib.protos import e2e
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import (
    Audio,
    ContactCard,
    Content,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Reaction,
    Sticker,
    Text,
    Unsupported,
    Video,
    WithMedia,
    media,
)
from wafleet.transports.base import About, NotSent, Refused
from wafleet.transports.device.reading import reference
from wafleet.transports.device.worker.reading import message_id
from wafleet.transports.device.worker.store import spooled

PLAIN: list[Content] = [
    Text("hello 👋"),
    Location(25.2, 55.3, "Office", "Marina Walk"),
    ContactCard("Mr. Smith", "+971501234567"),
]
KINDS: list[type[WithMedia]] = [Image, Video, Audio, Document, Sticker]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def one(tmp_path: Path, shelf: Shelf) -> AsyncIterator[One]:
    async with linked(tmp_path, shelf=shelf) as one:
        yield one


@pytest.fixture
async def peer(one: One) -> AsyncIterator[Peer]:
    peer = await Peer.at(one.emulator.world)
    yield peer
    await peer.wire.close()


def picture(size: int = 3) -> e2e.Message:
    return e2e.Message(imageMessage=e2e.ImageMessage(mimetype="image/png", fileLength=size))


async def arrived(one: One, id: str) -> Inbound:
    await until(lambda: any(inbound.provider_id == id for inbound in one.heard.inbound), limit_s=WAIT_S)
    return next(inbound for inbound in one.heard.inbound if inbound.provider_id == id)


async def shown(one: One, peer: Peer, content: Content, **how: Any) -> Content:
    """Send, and return what the other side was shown."""
    before = len(peer.said)
    await one.send(content, to=OTHER, **how)
    await until(lambda: len(peer.said) > before, limit_s=WAIT_S)
    return peer.contents[before]


async def test_what_customers_send_is_read(one: One) -> None:
    for content in PLAIN:
        body = None if isinstance(content, Text) else msgspec.to_builtins(content)
        id = one.say(content.text if isinstance(content, Text) else "", body=body)
        assert (await arrived(one, id)).content == content
        one.session.acknowledge([id])


async def test_answers_reactions_edits_and_deletions_name_the_message_they_are_about(one: One) -> None:
    about = await one.send("tea or coffee?")
    for content, wanted in (
        (Text("tea", reply_to=about), Text("tea")),
        (Reaction(about, "👍"), Reaction("", "👍")),
        (Edit(about, "coffee"), Edit("", "coffee")),
        (Deletion(about), Deletion("")),
    ):
        inbound = await arrived(one, one.say("", body=msgspec.to_builtins(content)))
        assert (inbound.content, inbound.about) == (wanted, about)
        one.session.acknowledge([inbound.provider_id])


async def test_what_wafleet_cannot_show_arrives_whole(one: One) -> None:
    inbound = await arrived(one, one.say("", body={"type": "poll", "name": "Lunch?"}))
    assert isinstance(inbound.content, Unsupported)
    assert inbound.content.raw["pollCreationMessage"]["name"] == "Lunch?"


@pytest.mark.parametrize("kind", KINDS)
async def test_files_of_customers_are_fetched_before_their_message_arrives(
    one: One, shelf: Shelf, kind: type[WithMedia]
) -> None:
    content = os.urandom(30_000)
    name = talking.parts(one.emulator).files.keep(content)
    said = kind(Media(name, "application/x", len(content), "menu.pdf" if kind is Document else ""))
    first, then = one.say("", body=msgspec.to_builtins(said)), one.say("did you get it?")
    inbound = await arrived(one, first)
    assert inbound.content == said
    assert shelf.files[name] == content
    await arrived(one, then)
    assert [one.provider_id for one in one.heard.inbound] == [first, then]


async def test_a_file_that_cannot_be_fetched_does_not_keep_its_message_away(one: One) -> None:
    said = Image(Media("0" * 64, "image/png", 10), "gone")
    inbound = await arrived(one, one.say("", body=msgspec.to_builtins(said)))
    assert isinstance(inbound.content, Image)
    assert (inbound.content.caption, inbound.content.media.id) == ("gone", "")
    with pytest.raises(Refused) as refused:
        await one.transport.fetch(one.number, one.secret, inbound.file)
    assert refused.value.reason == "media_gone"


async def test_a_file_of_a_message_that_comes_again_is_fetched_later_so_that_it_cannot_end_each_worker(
    one: One, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(30_000)
    said = Image(Media(talking.parts(one.emulator).files.keep(content), "image/png", len(content)))

    async def never(*_: object) -> bytes:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(one.session, "_download", never)
    id = one.say("", body=msgspec.to_builtins(said))
    folder = one.session.linked.store.folder
    await until(lambda: id in [message_id(data) for _, _, data in spooled(folder)], limit_s=WAIT_S)
    await one.session.close()
    one.secret = one.newest()
    await one.open()
    inbound = await arrived(one, id)
    assert not shelf.files
    assert await one.transport.fetch(one.number, one.secret, inbound.file) == content


async def test_a_file_is_not_fetched_by_a_node_that_does_not_run_the_account(one: One, tmp_path: Path) -> None:
    async with device(tmp_path / "other") as other:
        with pytest.raises(NotSent):
            await other.fetch(one.number, one.secret, "")
    await one.session.close()
    with pytest.raises(NotSent):
        await one.transport.fetch(one.number, one.secret, reference(picture().SerializeToString()))


async def test_a_file_that_is_too_large_is_refused_for_good(one: One) -> None:
    with pytest.raises(Refused, match="too large"):
        await one.transport.fetch(one.number, one.secret, reference(picture(2**30).SerializeToString()))


@pytest.mark.parametrize("kind", KINDS)
async def test_files_are_sent(one: One, peer: Peer, kind: type[WithMedia]) -> None:
    content = os.urandom(30_000)
    files = talking.parts(one.emulator).files
    file = media(await shown(one, peer, kind(Media("x", "application/x", 30_000, "a.bin")), file=content))
    assert file is not None
    assert files.opened(file.id) == content
    assert file.name == ("a.bin" if kind is Document else "")


async def test_everything_else_is_sent(one: One, peer: Peer) -> None:
    for content in PLAIN:
        assert await shown(one, peer, content) == content


async def test_what_is_about_another_message_is_sent(one: One, peer: Peer) -> None:
    ours = About(await one.send("tea or coffee?", to=OTHER), True, Text("tea or coffee?"))
    await until(lambda: peer.said, limit_s=WAIT_S)
    theirs = About("3A1234", False, Text("hello?"))
    for content, about, wanted in (
        (Text("yes", reply_to="m"), theirs, Text("yes", reply_to="3A1234")),
        (Reaction("m", "👍"), theirs, Reaction("3A1234", "👍")),
        (Edit("m", "tea or milk?"), ours, Edit(ours.provider_id, "tea or milk?")),
        (Deletion("m"), ours, Deletion(ours.provider_id)),
    ):
        assert await shown(one, peer, content, about=about) == wanted


async def test_a_message_that_cannot_be_decrypted_is_sent_again_and_arrives_once(one: One) -> None:
    one.fault("undecryptable", lasts=30)
    id = one.say("unreadable at first")
    inbound = await arrived(one, id)
    assert inbound.content == Text("unreadable at first")
    assert inbound.identity == CUSTOMER
    assert len(one.heard.inbound) == 1
