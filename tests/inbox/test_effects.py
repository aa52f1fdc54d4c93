"""What later messages did to earlier ones: how it is folded, and that finding it stays cheap."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from tests.inbox.shops import AT, Shop, said

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import (
    Audio,
    Content,
    Deletion,
    Direction,
    Document,
    Edit,
    Image,
    Media,
    Reaction,
    Sticker,
    Text,
    summary,
)
from wafleet.engine.db import Db
from wafleet.inbox import Inbox, Message
from wafleet.inbox.effects import Act, after

IN, OUT = Direction.IN, Direction.OUT
FILE = Media("a" * 64, "image/jpeg", 5)


def message(direction: Direction) -> Message:
    return Message.model_construct(id=uuid4(), direction=direction, reactions=[], edited=None, deleted_at=None)


def acts(*done: tuple[Direction, Content]) -> list[Act]:
    return [
        Act(uuid4(), direction, msgspec.to_builtins(content), AT + timedelta(seconds=nr))
        for nr, (direction, content) in enumerate(done)
    ]


def test_each_side_has_one_reaction_its_newest_and_an_empty_one_takes_it_away() -> None:
    done = acts((IN, Reaction("m", "👍")), (OUT, Reaction("m", "🎉")), (IN, Reaction("m", "❤️")))
    folded = after(message(OUT), done)
    assert {(one.emoji, one.direction) for one in folded.reactions} == {("❤️", IN), ("🎉", OUT)}
    assert after(message(OUT), [*done, *acts((IN, Reaction("m", "")))]).reactions[0].direction is OUT


@pytest.mark.parametrize(("author", "other"), [(IN, OUT), (OUT, IN)])
def test_only_its_author_changes_or_takes_back_a_message(author: Direction, other: Direction) -> None:
    strangers = after(message(author), acts((other, Edit("m", "no")), (other, Deletion("m"))))
    assert (strangers.edited, strangers.deleted_at) == (None, None)
    own = after(message(author), acts((author, Edit("m", "one")), (author, Edit("m", "two")), (author, Deletion("m"))))
    assert own.edited
    assert own.edited.text == "two"
    assert own.deleted_at == AT + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (Text("hello"), "hello"),
        (Image(FILE), "photo"),
        (Image(FILE, caption="a cat"), "a cat"),
        (Audio(FILE), "audio"),
        (Audio(FILE, voice=True), "voice message"),
        (Document(Media("a" * 64, "application/pdf", 5, "menu.pdf")), "menu.pdf"),
        (Sticker(FILE), "sticker"),
        (Reaction("m", "👍"), "👍"),
        (Reaction("m", ""), "reaction taken away"),
        (Deletion("m"), "deleted a message"),
    ],
)
async def test_lists_say_what_the_newest_message_is(
    db: Db, shop: Shop, inbox: Inbox, content: Content, line: str
) -> None:
    assert summary(content) == line
    inbound = Inbound(provider_id="n1", identity="+447700900001", content=content, at=datetime.now(UTC))
    await inbox.accept(shop.tenant, shop.account, inbound)
    async with db.fleet_tx() as tx:
        assert await tx.value("select last_words from conversations") == line


async def test_a_file_that_could_not_be_fetched_or_has_a_strange_id_loses_no_message(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    for nr, id in enumerate(("", "../../etc/passwd", "A" * 64, "b" * 64)):
        content = Image(Media(id, "image/jpeg\0", -1, "x\0y"))
        inbound = Inbound(provider_id=f"n{nr}", identity="+447700900001", content=content, at=AT)
        assert await inbox.accept(shop.tenant, shop.account, inbound)
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from messages") == 4
        assert await tx.tuples("select id, size, used from media") == [("b" * 64, 0, True)]


async def test_what_is_about_an_unknown_or_another_accounts_message_names_none(
    db: Db, shop: Shop, rival: Shop, inbox: Inbox
) -> None:
    await inbox.accept(rival.tenant, rival.account, said("theirs", id="same-name"))
    about = Inbound(provider_id="n", identity="+447700900001", content=Reaction("", "👍"), at=AT, about="same-name")
    await inbox.accept(shop.tenant, shop.account, about)
    async with db.tx(shop.tenant) as tx:
        assert await tx.tuples("select about, content ->> 'message' from messages") == [(None, "")]


async def test_what_became_of_messages_is_found_by_an_index_under_row_security(db: Db, shop: Shop) -> None:
    async with db.tx(shop.tenant) as tx:
        await tx.run("set local enable_seqscan = off")
        plan = await tx.tuples(
            "explain select from messages where about = any(%(ids)s::uuid[])", ids=[MessageId(new_id())]
        )
    assert "messages_about" in str(plan)
