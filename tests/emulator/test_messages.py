"""The real library sends and receives: what it says crosses the world once, and what customers say reaches it."""

import asyncio
from pathlib import Path

import pytest
from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE, linked, until

from wafleet.clientlib.protos import common, e2e
from wafleet.domain.message import ContactCard, Content, Deletion, Edit, Location, Reaction, Text
from wafleet.emulator.bridge import WorldBridge
from wafleet.emulator.connection import Connection
from wafleet.emulator.model import Account
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node
from wafleet.simulator.orders import StartFault

NOBODY = "+999001234567"
DELIVERED, SENDER, READ = 1, 2, 4


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_text_crosses_and_is_answered(emulator: Emulator, tmp_path: Path, way: str) -> None:
    async with linked(emulator, tmp_path, way=way) as client:
        id = await client.say(CUSTOMER, "hello")
        await talking.receipt(client, id, DELIVERED)
        read = await talking.receipt(client, id, READ)
        assert read.MessageSource.Sender.User == emulator.account(CUSTOMER).hidden_user
        assert talking.sent(emulator) == {id: 1}

        answer = talking.write(emulator, "hi there", name="Ann")
        message = await talking.heard(client, answer)
        assert message.Message.conversation == "hi there"
        assert message.Info.Pushname == "Ann"
        assert message.Info.MessageSource.SenderAlt.User == CUSTOMER.removeprefix("+")
        await talking.acknowledged(emulator, answer)


async def test_a_customer_may_write_first_and_is_answered(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as client:
        ids = [talking.write(emulator, f"message {n}") for n in range(3)]
        assert [(await talking.heard(client, id)).Message.conversation for id in ids] == [
            "message 0",
            "message 1",
            "message 2",
        ]
        answer = await client.say(CUSTOMER, "welcome")
        assert talking.sent(emulator) == {answer: 1}
        await talking.acknowledged(emulator, *ids)
        assert talking.ledger(emulator).waiting == 0


async def test_fifty_messages_cross_once_each_in_order(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as client:
        ids = [await client.say(CUSTOMER, f"message #{n}") for n in range(50)]
        assert talking.sent(emulator) == dict.fromkeys(ids, 1)
        assert talking.ledger(emulator).out_of_order == 0
        for id in ids:
            await talking.receipt(client, id, READ)


@pytest.mark.parametrize(
    ("kind", "to", "says"),
    [
        ("reach_out_lock", CUSTOMER, "error 463"),
        ("throttled", CUSTOMER, "error 429"),
        ("", NOBODY, "no LID found"),  # the library asks first, and does not even send
    ],
)
async def test_a_refusal_is_told_and_nothing_crosses(
    emulator: Emulator, tmp_path: Path, kind: str, to: str, says: str
) -> None:
    async with linked(emulator, tmp_path) as client:
        if kind:
            emulator.world.start_fault(StartFault(account=PHONE, kind=kind, seconds=0.1))
        answer = await client.send(to, e2e.Message(conversation="hello"))
        assert says in answer.Error
        assert talking.sent(emulator) == {}


async def test_a_message_its_reader_cannot_read_is_asked_for_again_and_counts_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as client:
        await client.say(CUSTOMER, "first")
        forgotten = [True]
        talking.parts(emulator).people.forgets = lambda _: bool(forgotten and forgotten.pop())
        talking.write(emulator, "an answer: the session is open now")
        await client.event("Message", lambda message: message.Message.conversation.startswith("an answer"))
        id = await client.say(CUSTOMER, "second")
        await until(lambda: id in talking.sent(emulator), "it was not sent again")
        third = await client.say(CUSTOMER, "third")
        assert talking.sent(emulator)[id] == talking.sent(emulator)[third] == 1
        assert not forgotten


async def test_a_message_the_library_cannot_read_is_encrypted_anew(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as client:
        await talking.heard(client, talking.write(emulator, "first"))
        spoiled = [True]

        def garbles(_: Account) -> bool:
            return bool(spoiled and spoiled.pop())

        talking.parts(emulator).people.garbles = garbles
        id = talking.write(emulator, "second")
        await client.event("UndecryptableMessage", lambda trouble: id == trouble.Info.ID)
        assert (await talking.heard(client, id)).Message.conversation == "second"
        await talking.acknowledged(emulator, id)
        await talking.heard(client, talking.write(emulator, "third"))


@pytest.mark.parametrize(
    "content",
    [
        Text("yes", reply_to="3EB0AA00"),
        Location(25.2, 55.3, "Office", "Marina Walk"),
        ContactCard("Mr. Smith", "+971501234567"),
        Reaction("3EB0AA00", "👍"),
        Edit("3A01", "better words"),
        Deletion("3A01"),
    ],
    ids=lambda content: type(content).__name__,
)
async def test_what_is_more_than_text_reaches_the_library(emulator: Emulator, tmp_path: Path, content: Content) -> None:
    async with linked(emulator, tmp_path) as client:
        id = talking.write(emulator, "", body=content)
        message = (await talking.heard(client, id)).Message
        match content:
            case Text():
                assert message.extendedTextMessage.text == "yes"
                assert message.extendedTextMessage.contextInfo.stanzaID == "3EB0AA00"
            case Location():
                assert message.locationMessage.degreesLatitude == 25.2
            case ContactCard():
                assert "waid=971501234567" in message.contactMessage.vcard
            case Reaction():
                assert message.reactionMessage.text == "👍"
                assert message.reactionMessage.key.ID == "3EB0AA00"
            case Edit():
                assert message.protocolMessage.editedMessage.conversation == "better words"
            case _:
                assert message.protocolMessage.type == e2e.ProtocolMessage.REVOKE
                assert message.protocolMessage.key.ID == "3A01"
        await talking.acknowledged(emulator, id)


async def test_what_the_library_sends_besides_text_crosses_too(emulator: Emulator, tmp_path: Path) -> None:
    key = common.MessageKey(remoteJID=f"{CUSTOMER[1:]}@s.whatsapp.net", fromMe=True, ID="3EB0AA00")
    words = e2e.Message(conversation="better")
    edit = e2e.ProtocolMessage(key=key, type=e2e.ProtocolMessage.MESSAGE_EDIT, editedMessage=words)
    messages = [
        e2e.Message(locationMessage=e2e.LocationMessage(degreesLatitude=1.0, degreesLongitude=2.0, name="Here")),
        e2e.Message(reactionMessage=e2e.ReactionMessage(key=key, text="👍")),
        e2e.Message(protocolMessage=e2e.ProtocolMessage(key=key, type=e2e.ProtocolMessage.REVOKE)),
        e2e.Message(editedMessage=e2e.FutureProofMessage(message=e2e.Message(protocolMessage=edit))),
        e2e.Message(
            extendedTextMessage=e2e.ExtendedTextMessage(text="yes", contextInfo=e2e.ContextInfo(stanzaID="3A01"))
        ),
    ]
    async with linked(emulator, tmp_path) as client:
        ids = [await talking.shown_message(client, message) for message in messages]
        assert talking.sent(emulator) == dict.fromkeys(ids, 1)


def _watch(emulator: Emulator) -> list[tuple[Connection, Node]]:
    """Note every message that a device sends."""
    seen: list[tuple[Connection, Node]] = []

    def watch(connection: Connection, node: Node) -> bool:
        seen.extend([(connection, node)] if node.tag == "message" else [])
        return False

    emulator.watchers.append(watch)
    return seen


async def test_a_message_that_comes_again_under_its_id_crosses_once(emulator: Emulator, tmp_path: Path) -> None:
    seen = _watch(emulator)
    async with linked(emulator, tmp_path) as client:
        id = await client.say(CUSTOMER, "once")
        [(connection, node)] = seen
        messages = talking.parts(emulator).messages
        await messages.message(connection, node)
        assert messages.repeated == {PHONE: 1}
        assert talking.sent(emulator) == {id: 1}


async def test_a_message_that_was_refused_may_come_again_under_its_id(emulator: Emulator, tmp_path: Path) -> None:
    seen = _watch(emulator)
    async with linked(emulator, tmp_path) as client:
        emulator.world.start_fault(StartFault(account=PHONE, kind="reach_out_lock"))
        assert (await client.send(CUSTOMER, e2e.Message(conversation="hello"))).Error
        emulator.world.trouble.end(PHONE, "reach_out_lock")
        [(connection, node)] = seen
        customer, device = emulator.account(CUSTOMER), emulator.account(PHONE).devices[1]
        phone = talking.parts(emulator).people.phone(customer)
        assert not phone.has_read(device.account, node.text("id"))
        phone.with_device(device).sessions.clear()  # its keys are used up: it asks for it again
        await talking.parts(emulator).messages.message(connection, node)
        await until(lambda: talking.sent(emulator) == {node.text("id"): 1}, "it was not sent again")


async def test_a_message_that_was_read_but_did_not_cross_may_come_again_under_its_id(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, died = _watch(emulator), asyncio.Event()

    async def die(*_: object) -> None:
        died.set()

    async with linked(emulator, tmp_path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(WorldBridge, "send", die)
            sending = asyncio.create_task(client.send(CUSTOMER, e2e.Message(conversation="hello")))
            await asyncio.wait_for(died.wait(), 20)
        [(connection, node)] = seen
        assert talking.sent(emulator) == {}
        await talking.parts(emulator).messages.message(connection, node)
        await until(lambda: talking.sent(emulator) == {node.text("id"): 1}, "it was not sent again")
        assert not (await sending).Error


async def test_a_second_device_gets_a_copy_and_both_hear_customers(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as first, linked(emulator, tmp_path, name="two") as second:
        id = await first.say(CUSTOMER, "from the first")
        copy = await talking.heard(second, id)
        assert copy.Info.MessageSource.IsFromMe
        assert copy.Info.MessageSource.Chat.User == emulator.account(CUSTOMER).hidden_user
        answer = talking.write(emulator, "for both")
        await talking.heard(first, answer)
        await talking.heard(second, answer)
        assert talking.ledger(emulator).received == 1


async def test_two_linked_accounts_talk_to_each_other(emulator: Emulator, tmp_path: Path) -> None:
    other = "+491701110009"
    async with linked(emulator, tmp_path) as one, linked(emulator, tmp_path, other, name="two") as two:
        await one.say(other, "hello, colleague")
        message = await two.event("Message", lambda m: m.Message.conversation == "hello, colleague")
        assert message.Info.MessageSource.SenderAlt.User == PHONE.removeprefix("+")
        await two.say(PHONE, "hello back")
        await one.event("Message", lambda m: m.Message.conversation == "hello back")
        await until(lambda: talking.ledger(emulator).waiting + talking.ledger(emulator, other).waiting == 0)
        assert talking.ledger(emulator).received == talking.ledger(emulator, other).received == 1


async def test_the_own_phone_confirms_what_a_device_sent_unless_it_is_out_of_touch(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as client:
        id = await client.say(CUSTOMER, "hello")
        receipt = await talking.receipt(client, id, SENDER)
        assert receipt.MessageSource.Sender.User == emulator.account(PHONE).hidden_user
        assert receipt.MessageSource.Sender.Device == 0

        emulator.world.start_fault(StartFault(account=PHONE, kind="phone_away"))
        assert not talking.parts(emulator).receipts.touch(emulator.account(PHONE))
        quiet = await client.say(CUSTOMER, "hello?")
        await talking.receipt(client, quiet, READ)
        found = [event for name, event in client.events if name == "Receipt" and quiet in event.MessageIDs]
        assert SENDER not in {event.Type for event in found}
