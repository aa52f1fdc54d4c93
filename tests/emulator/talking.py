"""What the tests of messages say and do often."""

import time
from typing import Any

import msgspec
from tests.emulator.rig import CUSTOMER, PHONE, Client, jid, until

from wafleet.clientlib.protos import e2e
from wafleet.domain.message import Content
from wafleet.emulator.messaging import Messaging, of
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import LIDS
from wafleet.simulator.orders import LedgerLine, Say

READ = b"read"


def parts(emulator: Emulator) -> Messaging:
    return of(emulator)


def write(
    emulator: Emulator, text: str, *, body: Content | None = None, to: str = PHONE, by: str = CUSTOMER, name: str = ""
) -> str:
    """Have a customer write to an account; return the message's id."""
    plain = None if body is None else msgspec.to_builtins(body)
    return emulator.world.say(Say(customer=by, account=to, text=text, name=name, body=plain))


async def heard(client: Client, id: str) -> Any:
    """Wait for a message, and return it as the library told it."""
    return await client.event("Message", lambda message: id == message.Info.ID)


def times_heard(client: Client, id: str) -> int:
    return sum(name == "Message" and id == event.Info.ID for name, event in client.events)


def lid(emulator: Emulator, phone: str = CUSTOMER) -> bytes:
    """Return the hidden name of somebody, as the library wants it."""
    return jid(emulator.account(phone).hidden_user, LIDS)


async def read(emulator: Emulator, client: Client, *ids: str, by: str = CUSTOMER) -> None:
    """Have the library say that messages were read."""
    whom = lid(emulator, by)
    args = (" ".join(ids).encode(), int(time.time()), whom, len(whom), whom, len(whom), READ)
    assert not await client.call("MarkRead", *args)


async def receipt(client: Client, id: str, kind: int) -> Any:
    """Wait for a receipt of this kind for a message."""
    return await client.event("Receipt", lambda r: id in r.MessageIDs and kind == r.Type)


def ledger(emulator: Emulator, phone: str = PHONE) -> LedgerLine:
    return emulator.world.ledger(phone)[0]


def sent(emulator: Emulator, phone: str = PHONE) -> dict[str, int]:
    """Return what the world's ledger has of an account: the id of each message, and how often it crossed."""
    return {line.ref.decode(): line.times for line in emulator.world.refs(phone)}


async def acknowledged(emulator: Emulator, *ids: str, phone: str = PHONE) -> None:
    """Wait until the world knows that messages of customers were taken."""

    def all_taken() -> bool:
        taken = {offer.id for offer in emulator.world.offers(phone) if offer.acknowledged}
        return taken >= set(ids)

    await until(all_taken, "a message was not acknowledged")


async def shown_message(client: Client, content: e2e.Message, to: str = CUSTOMER) -> str:
    """Send a message of any kind that must arrive; return its id."""
    answer = await client.send(to, content)
    assert not answer.Error, answer.Error
    return answer.SendResponse.ID
