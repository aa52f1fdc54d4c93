"""Receiving: nothing counts as taken before it is acknowledged."""

from datetime import UTC, datetime, timedelta

from tests.contracts.subject import LAYLA, OMAR, PHONE, Holder, Subject, only
from tests.transports.heard import Heard, number

from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text

# A network that calls us counts a message as received once its call was answered.
WHERE_AN_ANSWER_IS_NOT_ENOUGH = only(lambda subject: subject.acknowledges)


async def test_a_customers_words_arrive_with_who_and_when(one: Holder) -> None:
    id = one.say("I should like to order 🍕")
    await one.hears("I should like to order 🍕")
    got = one.heard.inbound[0]
    assert (got.provider_id, got.identity, got.name) == (one.subject.named(id), LAYLA, "Layla")
    assert got.content == Text("I should like to order 🍕")
    assert abs(datetime.now(UTC) - got.at) < timedelta(minutes=1)


@WHERE_AN_ANSWER_IS_NOT_ENOUGH
async def test_what_was_not_acknowledged_is_delivered_again(one: Holder) -> None:
    one.say("first")
    one.say("second")
    await one.hears("first", "second")
    await one.session.close()
    await one.open()
    await one.hears("first", "second")
    assert [i.provider_id for i in one.heard.inbound] == [i.provider_id for i in one.heards[0].inbound]


async def test_what_was_acknowledged_does_not_come_again(one: Holder) -> None:
    one.say("first")
    one.say("second")
    await one.hears("first", "second")
    both = [i.provider_id for i in one.heard.inbound]
    one.session.acknowledge(both)
    one.session.acknowledge(both)
    await one.subject.until(lambda: one.world.ledger(PHONE)[0].received == 2)
    await one.open()
    one.say("third")
    await one.hears("third")


@WHERE_AN_ANSWER_IS_NOT_ENOUGH
async def test_nothing_counts_as_received_before_it_is_acknowledged(one: Holder) -> None:
    one.say("first")
    await one.hears("first")
    await one.session.ping()
    line = one.world.ledger(PHONE)[0]
    assert (line.received, line.waiting) == (0, 1)
    one.session.acknowledge([one.heard.inbound[0].provider_id])
    await one.subject.until(lambda: one.world.ledger(PHONE)[0].received == 1)


async def test_messages_of_a_customer_keep_their_order(one: Holder) -> None:
    for number_ in range(20):
        one.say(f"line {number_}")
        one.say(f"other {number_}", customer=OMAR)
    await one.subject.until(lambda: len(one.heard.inbound) == 40)
    for customer, word in ((LAYLA, "line"), (OMAR, "other")):
        said = [i.content for i in one.heard.inbound if i.identity == customer]
        assert said == [Text(f"{word} {number_}") for number_ in range(20)]


async def test_a_repeated_delivery_has_the_same_name(one: Holder) -> None:
    one.fault("duplicates")
    id = one.say("hello")
    one.say("last")
    await one.subject.until(lambda: "last" in one.heard.texts)
    assert {i.provider_id for i in one.heard.inbound if i.content == Text("hello")} == {one.subject.named(id)}


async def test_what_was_written_while_nobody_was_there_comes_on_the_next_opening(one: Holder) -> None:
    await one.session.close()
    for text in ("one", "two", "three"):
        one.say(text)
    await one.open()
    await one.hears("one", "two", "three")


async def test_an_owner_that_fails_to_hear_neither_breaks_the_session_nor_loses_the_message(subject: Subject) -> None:
    class Broken(Heard):
        def received(self, inbound: Inbound) -> None:
            raise RuntimeError("a bug")

    account = number()
    holder = Holder(subject, account, await subject.credentials(account))
    session = await subject.transport.open(account, holder.secret, Broken())
    holder.sessions.append(session)
    holder.heards.append(Heard())
    holder.say("lost on you")
    await session.ping()
    await holder.send("but I can still send")
    await holder.open()
    await holder.hears("lost on you")
    for one in holder.sessions:
        await one.close()
