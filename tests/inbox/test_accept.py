import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from tests.inbox.shops import AT, Shop, said

from wafleet import outbox
from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import ContactCard, Content, Location, Text, Unsupported
from wafleet.engine.db import Db
from wafleet.inbox.accept import Inbox
from wafleet.outbox import Draft
from wafleet.outbox import store as outgoing


async def texts(db: Db) -> list[str]:
    async with db.fleet_tx() as tx:
        return [row[0] for row in await tx.tuples("select words from messages order by seq")]


async def tallies(db: Db) -> dict[str, int]:
    async with db.fleet_tx() as tx:
        return dict(await tx.tuples("select counter, sum(n)::int from tallies group by counter"))


async def test_a_message_is_stored_with_its_conversation_its_event_and_its_tally(
    db: Db, shop: Shop, inbox: Inbox, wakes: list[None]
) -> None:
    assert await inbox.accept(shop.tenant, shop.account, said("hello", name="Ada"))
    async with db.fleet_tx() as tx:
        [(message, conversation)] = await tx.tuples("select id, conversation_id from messages")
        row = await tx.tuples(
            "select id, name, unread, state, last_words, last_direction, last_inbound_at from conversations"
        )
        event = await tx.tuples("select kind, tenant_id, account_id, data from events")
    assert row == [(conversation, "Ada", 1, "open", "hello", "in", AT)]
    data = {"message": str(message), "conversation": str(conversation)}
    assert event == [("message.received", shop.tenant, shop.account, data)]
    assert await tallies(db) == {"received": 1}
    assert wakes == [None]


async def test_a_repeated_delivery_is_stored_once_within_a_batch_and_across_batches(
    db: Db, shop: Shop, inbox: Inbox, wakes: list[None]
) -> None:
    together = [inbox.accept(shop.tenant, shop.account, said("once", id="A")) for _ in range(3)]
    assert await asyncio.gather(*together) == [True, False, False]
    assert not await inbox.accept(shop.tenant, shop.account, said("once", id="A"))
    assert await texts(db) == ["once"]
    assert await tallies(db) == {"received": 1, "repeated": 3}
    assert wakes == [None]  # a repetition wakes nobody
    async with db.fleet_tx() as tx:
        assert await tx.value("select unread from conversations") == 1
        assert await tx.value("select count(*) from events") == 1


async def test_what_the_network_says_of_a_customer_is_not_taken_for_their_writing(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    notice = Inbound(
        provider_id="n", identity="+447700900001", content=Unsupported({"type": "system"}), at=AT, notice=True
    )

    async def heard_at() -> tuple[datetime | None, int]:
        async with db.fleet_tx() as tx:
            return (await tx.tuples("select last_inbound_at, unread from conversations"))[0]

    assert await inbox.accept(shop.tenant, shop.account, notice)
    assert await heard_at() == (None, 1)
    later = replace(notice, provider_id="m", at=AT + timedelta(hours=1))
    await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, one) for one in (said("hello"), later)))
    assert await heard_at() == (AT, 3)


async def test_two_accounts_may_receive_the_same_provider_id(db: Db, shop: Shop, rival: Shop, inbox: Inbox) -> None:
    assert await inbox.accept(shop.tenant, shop.account, said("mine", id="A"))
    assert await inbox.accept(rival.tenant, rival.account, said("theirs", id="A"))
    assert await texts(db) == ["mine", "theirs"]


async def test_messages_of_a_conversation_keep_the_order_in_which_they_arrived(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    sent = [said(f"{nr}", identity=f"+44770090000{nr % 3}") for nr in range(1300)]
    await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, one) for one in sent))
    assert await texts(db) == [f"{nr}" for nr in range(1300)]


async def test_a_conversation_shows_its_newest_message_and_opens_again(db: Db, shop: Shop, inbox: Inbox) -> None:
    later = AT + timedelta(hours=1)
    await inbox.accept(shop.tenant, shop.account, said("first", name="Ada", at=later))
    async with db.fleet_tx() as tx:
        await tx.run("update conversations set state = 'closed', unread = 0")
    both = [said("x" * 500, at=AT), said("y" * 500, at=AT - timedelta(days=1))]
    await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, one) for one in both))
    async with db.fleet_tx() as tx:
        row = await tx.tuples("select state, unread, last_words, name, last_inbound_at from conversations")
    assert row == [("open", 2, "y" * 200, "Ada", later)]


async def test_a_phone_whose_clock_is_ahead_cannot_lengthen_the_time_in_which_it_may_be_answered(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    await inbox.accept(shop.tenant, shop.account, said("hello", at=datetime.now(UTC) + timedelta(days=3)))
    async with db.fleet_tx() as tx:
        assert await tx.value("select last_inbound_at <= now() from conversations")


STRANGE = [
    "👩‍👩‍👧‍👦 عائلة 🇸🇦",
    "\u202eRTL override\u202c مَرْحَباً",
    "<script>alert('x')</script> & &amp;",
    "'; drop table messages; -- %s %(x)s \\ \\u0000 {}",
    "line\r\nbreak\ttab \u2028 \x7f\x1b[31m",
    "",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \ufdd0 \uffff",
]


@pytest.mark.parametrize("text", STRANGE)
async def test_any_text_is_stored_as_it_was_written(db: Db, shop: Shop, inbox: Inbox, text: str) -> None:
    await inbox.accept(shop.tenant, shop.account, said(text, name=text))
    async with db.fleet_tx() as tx:
        row = await tx.tuples(
            "select content, words, name from messages join conversations c on c.id = conversation_id"
        )
    assert row == [({"type": "text", "text": text}, text, text)]


@pytest.mark.parametrize("letter", ["\0", "\ud800"])
async def test_what_postgresql_cannot_hold_is_replaced_visibly_and_costs_no_message(
    db: Db, shop: Shop, inbox: Inbox, letter: str
) -> None:
    contents: list[Content] = [
        Text(text=f"a{letter}b"),
        Location(latitude=1.5, longitude=2.5, name=letter),
        ContactCard(name=letter, phone="+447700900001"),
        Unsupported(raw={f"k{letter}": [letter, {"deep": (letter, 1, None, True)}]}),
    ]
    for nr, content in enumerate(contents):
        strange = Inbound(
            provider_id=f"{letter}{nr}", identity=f"x{letter}", name=letter, content=content, at=AT, raw={"k": letter}
        )
        assert await inbox.accept(shop.tenant, shop.account, strange)
        assert not await inbox.accept(shop.tenant, shop.account, strange)
    async with db.fleet_tx() as tx:
        stored = [row[0] for row in await tx.tuples("select content from messages order by seq")]
        assert await tx.value("select array_agg(identity) from conversations") == ["x\ufffd"]
    assert stored[0]["text"] == "a\ufffdb"
    assert stored[3]["raw"] == {"k\ufffd": ["\ufffd", {"deep": ["\ufffd", 1, None, True]}]}


async def test_a_text_too_long_for_search_is_stored_whole(db: Db, shop: Shop, inbox: Inbox) -> None:
    novel = " ".join(f"word{nr}" for nr in range(200_000))
    assert await inbox.accept(shop.tenant, shop.account, said(novel))
    async with db.fleet_tx() as tx:
        assert await tx.value("select content ->> 'text' from messages") == novel


async def test_a_message_that_cannot_be_stored_costs_its_neighbours_nothing(db: Db, shop: Shop, inbox: Inbox) -> None:
    stranger = Shop()  # an account that does not exist
    answers = await asyncio.gather(
        inbox.accept(shop.tenant, shop.account, said("before")),
        inbox.accept(stranger.tenant, stranger.account, said("nowhere")),
        inbox.accept(shop.tenant, shop.account, said("after")),
        return_exceptions=True,
    )
    assert answers[0] is True
    assert isinstance(answers[1], Exception)
    assert answers[2] is True
    assert await texts(db) == ["before", "after"]


async def test_a_connection_killed_in_mid_batch_loses_nothing_and_repeats_nothing(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    answers = [inbox.accept(shop.tenant, shop.account, said(f"{nr}", id=f"{nr}")) for nr in range(6000)]
    everything = asyncio.gather(*answers)
    killed = 0
    while not everything.done():
        async with db.fleet_tx() as tx:
            killed += await tx.run(
                """
                select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
                """
            )
        await asyncio.sleep(0.1)
        if killed > 5:
            break
    await everything
    assert killed > 0
    assert await texts(db) == [f"{nr}" for nr in range(6000)]
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from events") == 6000
        assert await tx.value("select unread from conversations") == 6000
    assert (await tallies(db))["received"] == 6000


async def test_a_conversation_that_was_removed_begins_again_with_the_next_message(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    await inbox.accept(shop.tenant, shop.account, said("one", id="1"))
    async with db.fleet_tx() as tx:
        await tx.run("delete from conversations")
    assert await inbox.accept(shop.tenant, shop.account, said("two", id="2"))
    assert await texts(db) == ["two"]


async def test_two_inboxes_and_a_sender_on_the_same_conversations_never_deadlock(db: Db, shop: Shop) -> None:
    chance = random.Random(3)
    until = asyncio.get_running_loop().time() + 2
    done: Counter[str] = Counter()

    async def receive(name: str) -> None:
        inbox = Inbox(db, woken=lambda: None)
        running = asyncio.create_task(inbox.run())
        while asyncio.get_running_loop().time() < until:
            some = [said("in", id=f"{chance.randrange(4000)}", identity=f"i{chance.randrange(300)}") for _ in range(60)]
            await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, one) for one in some))
            done[name] += 1
        running.cancel()

    async def send(name: str) -> None:
        while asyncio.get_running_loop().time() < until:
            identities = [f"i{chance.randrange(300)}" for _ in range(40)]
            drafts = [_draft(shop, identity) for identity in identities]
            async with db.fleet_tx() as tx:
                known = await outbox.conversations(tx, [(shop.tenant, shop.account, one) for one in identities])
                talks = [known[shop.account, one].id for one in identities]
                await outgoing.insert(tx, drafts, [MessageId(new_id()) for _ in drafts], talks)
            done[name] += 1

    async with asyncio.TaskGroup() as tasks:  # a deadlock raises here
        for name in ("a", "b"):
            tasks.create_task(receive(name))
        for name in ("c", "d"):
            tasks.create_task(send(name))
    assert min(done[name] for name in "abcd") > 3
    async with db.fleet_tx() as tx:
        assert await tx.value("select deadlocks from pg_stat_database where datname = current_database()") == 0
        seen = await tx.tuples("select provider_id from messages where direction = 'in' group by 1 having count(*) > 1")
    assert seen == []


def _draft(shop: Shop, identity: str) -> Draft:
    return Draft(account=shop.account, tenant=shop.tenant, to=identity, content=Text(text="out"))
