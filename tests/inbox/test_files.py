"""Files that a network keeps: fetched once, tried again, refused where they are not what was announced."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.inbox.shops import AT, Shop
from tests.media.files import MP4, OGG, PDF, PNG

from wafleet.accounts import Callees
from wafleet.config import MediaSettings
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Audio, Content, Document, Image, Media, Text, Video
from wafleet.engine.blobs import FolderStore
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.secrets import MasterKey, open_secrets
from wafleet.inbox import Files, Inbox
from wafleet.inbox.files import MOST_TRIES
from wafleet.media import MediaStore
from wafleet.transports.base import NotSent, Number, RefusedAccount, RefusedContent, SendError, Throttled

KEYS = b"the account's keys"


class Network:
    """Keeps files, and gives them to whoever shows the account's keys."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | SendError] = {}
        self.asked: list[str] = []
        self.was_asked = asyncio.Semaphore(0)
        self.holds = asyncio.Event()
        self.holds.set()

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        assert (number.phone, credentials) == ("+966500000001", KEYS)
        self.asked.append(reference)
        self.was_asked.release()
        await self.holds.wait()
        found = self.files[reference]
        if isinstance(found, SendError):
            raise found
        return found


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def callees(db: Db, shop: Shop, clock: ManualClock) -> AsyncIterator[Callees]:
    secrets = await open_secrets(db, MasterKey(b"k" * 32))
    async with db.fleet_tx() as tx:
        keys = secrets.encrypt(KEYS, about=shop.account.bytes)
        await tx.run("update accounts set credentials = %(keys)s where id = %(id)s", keys=keys, id=shop.account)
    callees = Callees(db, clock=clock, secrets=secrets)
    running = asyncio.create_task(callees.batch.run())
    yield callees
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def media(db: Db, clock: ManualClock, tmp_path: Path) -> MediaStore:
    secrets = await open_secrets(db, MasterKey(b"k" * 32))
    return MediaStore(db, blobs=FolderStore(tmp_path), clock=clock, secrets=secrets, settings=MediaSettings(limit_mb=1))


@pytest.fixture
def files(db: Db, network: Network, callees: Callees, media: MediaStore) -> Files:
    transports = cast("dict[str, Any]", {"simulator": network})
    return Files(db, transports=transports, callees=callees, keep=media.keep_announced, told=lambda: None)


def sent(content: Content, file: str = "net/1", id: str = "m1") -> Inbound:
    return Inbound(provider_id=id, identity="+447700900001", content=content, at=AT, file=file)


async def stored(db: Db) -> list[dict[str, Any]]:
    async with db.fleet_tx() as tx:
        return [row[0] for row in await tx.tuples("select content from messages order by seq")]


async def events(db: Db) -> list[tuple[str, dict[str, Any]]]:
    async with db.fleet_tx() as tx:
        return await tx.tuples("select kind, data from events where kind like 'message.media%%' order by seq")


async def waits(db: Db) -> list[tuple[int, float, str]]:
    async with db.fleet_tx() as tx:
        return await tx.tuples(
            "select tries, extract(epoch from due_at - now())::float8, why from wanted_files order by message_id"
        )


async def due(db: Db) -> None:
    async with db.fleet_tx() as tx:
        await tx.run("update wanted_files set due_at = now()")


async def test_a_message_is_stored_at_once_and_its_file_completes_it(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network, media: MediaStore
) -> None:
    network.files["net/1"] = PNG
    await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/jpeg"), "look")))
    assert await stored(db) == [{"type": "image", "media": {"id": "", "mime": "image/jpeg"}, "caption": "look"}]
    assert await files.turn()
    id = hashlib.sha256(PNG).hexdigest()
    assert await stored(db) == [
        {"type": "image", "media": {"id": id, "mime": "image/png", "size": len(PNG)}, "caption": "look"}
    ]
    assert await media.read(id) == PNG
    [(kind, data)] = await events(db)
    assert (kind, data["media"]) == ("message.media_ready", id)
    async with db.tx(shop.tenant) as tx:
        assert await tx.tuples("select id, used from media") == [(id, True)]
    assert not await files.turn()
    assert network.asked == ["net/1"]


async def test_only_a_file_that_is_still_with_the_network_is_fetched_and_only_once(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    for one in (
        sent(Text("no file")),
        sent(Image(Media("a" * 64, "image/png", 10)), id="m2"),
        sent(Image(Media("", "image/png")), id="m3"),
        sent(Image(Media("", "image/png")), id="m3"),
        sent(Image(Media("", "image/png")), file="", id="m4"),
    ):
        await inbox.accept(shop.tenant, shop.account, one)
    assert len(await waits(db)) == 1


@pytest.mark.parametrize(
    ("content", "file", "why"),
    [
        (Image(Media("", "image/jpeg", 1000)), PNG, f"The file has {len(PNG)} bytes, and was announced with 1,000"),
        (Image(Media("", "image/jpeg")), b"<html>", "The file was announced as image/jpeg, and is something else"),
        (Image(Media("", "image/png")), PDF, "The file was announced as image/png, and is application/pdf"),
        (Video(Media("", "video/mp4")), OGG, "The file was announced as video/mp4, and is audio/ogg"),
        (Audio(Media("", "audio/ogg; codecs=opus")), b"", "The file is empty"),
        (Document(Media("", "text/csv")), b"x" * 1_048_577, "It is larger than 1,048,576 bytes: send a smaller one."),
    ],
)
async def test_a_file_that_lies_about_its_size_or_type_is_refused_and_the_message_says_why(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network, content: Content, file: bytes, why: str
) -> None:
    network.files["net/1"] = file
    await inbox.accept(shop.tenant, shop.account, sent(content))
    assert await files.turn()
    [told] = await stored(db)
    assert (told["media"]["id"], told["media"]["missing"]) == ("", why)
    assert [(kind, data["why"]) for kind, data in await events(db)] == [("message.media_missing", why)]
    assert await waits(db) == []


@pytest.mark.parametrize(
    ("content", "file", "mime"),
    [
        (Audio(Media("", "audio/mp4")), MP4, "audio/mp4"),
        (Document(Media("", "application/pdf", name="menu.pdf")), b"scanned", "application/octet-stream"),
        (Document(Media("", "text/csv", 3)), b"a,b", "text/csv"),
        (Image(Media("", "image/heic")), b"heic", "image/heic"),
    ],
)
async def test_a_file_that_cannot_do_harm_under_its_name_is_kept(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network, content: Content, file: bytes, mime: str
) -> None:
    network.files["net/1"] = file
    await inbox.accept(shop.tenant, shop.account, sent(content))
    assert await files.turn()
    [told] = await stored(db)
    assert told["media"]["mime"] == mime
    assert told["media"]["id"]


async def test_what_does_not_come_is_tried_again_with_growing_pauses_and_then_given_up(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network
) -> None:
    network.files["net/1"] = NotSent("network", "the line is down")
    await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/png"))))
    pauses: list[float] = []
    for _ in range(MOST_TRIES - 1):
        assert await files.turn()
        assert not await files.turn()
        [(_, pause, why)] = await waits(db)
        assert why == "the line is down"
        pauses.append(round(pause))
        await due(db)
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == 3600
    assert await files.turn()
    [told] = await stored(db)
    assert told["media"]["missing"] == f"It could not be fetched in {MOST_TRIES} tries: the line is down"


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (Throttled("throttled", retry_after=timedelta(seconds=90)), 90),
        (RefusedAccount("credentials", "401"), 2),
    ],
)
async def test_a_network_that_asks_for_patience_or_for_other_keys_is_asked_again_later(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network, error: SendError, pause: int
) -> None:
    network.files["net/1"] = error
    await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/png"))))
    assert await files.turn()
    [(tries, waited, _)] = await waits(db)
    assert (tries, round(waited)) == (1, pause)


async def test_what_is_gone_at_the_network_is_not_asked_for_again(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network
) -> None:
    network.files["net/1"] = RefusedContent("media_refused", "404 it has expired")
    await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/png"))))
    assert await files.turn()
    [told] = await stored(db)
    assert told["media"]["missing"] == "404 it has expired"
    assert not await files.turn()


async def test_a_node_that_was_overtaken_changes_nothing_and_the_file_is_there_once(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network
) -> None:
    network.files["net/1"] = PNG
    network.holds.clear()
    await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/png"))))
    slow = asyncio.create_task(files.turn())
    await network.was_asked.acquire()
    await due(db)  # it stalls, and its time is over
    other = asyncio.create_task(files.turn())
    await network.was_asked.acquire()
    network.holds.set()
    assert await asyncio.gather(slow, other) == [True, True]
    assert [kind for kind, _ in await events(db)] == ["message.media_ready"]
    assert await waits(db) == []


async def test_an_account_with_many_files_leaves_room_for_the_others(
    db: Db, shop: Shop, inbox: Inbox, files: Files, network: Network
) -> None:
    network.holds.clear()
    for n in range(4):
        network.files[f"net/{n}"] = PNG
        await inbox.accept(shop.tenant, shop.account, sent(Image(Media("", "image/png")), f"net/{n}", f"m{n}"))
    slow = [asyncio.create_task(files.turn()) for _ in range(2)]
    await network.was_asked.acquire()
    await network.was_asked.acquire()
    assert not await files.turn()
    network.holds.set()
    await asyncio.gather(*slow)
    assert await files.turn()
    assert await files.turn()
    assert sorted(network.asked) == ["net/0", "net/1", "net/2", "net/3"]
