"""Sessions of the transport, with the real library in its workers, on an emulator."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE
from tests.transports.device.parts import WAIT_S, One, device, link, linked, number
from tests.transports.heard import Heard, outgoing, until

from wafleet.clientlib.protos import e2e, told
from wafleet.domain.failures import FAILURES
from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import Document, Media, Unsupported
from wafleet.outbox.lanes.verdicts import AWAY
from wafleet.transports.base import Doubt, Found, MaybeSent, NotSent, OpenError, RefusedContent, RefusedRecipient
from wafleet.transports.device import appearing, session
from wafleet.transports.device.driver import LACKS, Device
from wafleet.transports.device.files import Store
from wafleet.transports.device.worker.line import LIMIT
from wafleet.transports.device.worker.reading import MESSAGE, message_id
from wafleet.transports.device.worker.store import _RECORD, SPOOL, spooled


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[One]:
    async with linked(tmp_path) as one:
        yield one


async def closed(one: One) -> Path:
    """End the session in good order; its folder stays."""
    await one.session.close()
    one.secret = one.newest()
    return one.session.linked.store.folder


@asynccontextmanager
async def another(one: One, tmp_path: Path) -> AsyncGenerator[Device]:
    """A process that comes after: it remembers nothing of the session."""
    await one.transport.close()
    async with device(tmp_path) as transport:
        yield transport


def of_a_group(id: str) -> bytes:
    group, sender = (
        told.JID(User=user, Server=server, RawAgent=0, Device=0, Integrator=0, IsEmpty=False)
        for user, server in (("12036", "g.us"), ("4915", "s.whatsapp.net"))
    )
    source = told.MessageSource(Chat=group, Sender=sender, IsFromMe=False, IsGroup=True)
    info = told.MessageInfo(ID=id, MessageSource=source)
    return told.Message(Info=info, Message=e2e.Message(conversation="hello all")).SerializePartialToString()


async def test_a_message_is_sent_and_its_receipts_name_it(one: One) -> None:
    out = outgoing("hello", to=CUSTOMER)
    id = await one.session.send(out)
    await until(lambda: {"delivered", "read"} <= set(one.heard.states), limit_s=WAIT_S)
    assert {(receipt.provider_id, receipt.message) for receipt in one.heard.receipts} == {(id, out.id)}
    assert await one.session.find([Doubt(out.id)]) == {out.id: Found(id)}


async def test_a_customers_message_is_acknowledged_once_it_is_stored(one: One, tmp_path: Path) -> None:
    id = one.say("hi there")
    await until(lambda: one.heard.inbound, limit_s=WAIT_S)
    inbound = one.heard.inbound[0]
    assert (inbound.provider_id, inbound.identity, inbound.name) == (id, CUSTOMER, "Layla")
    folder = one.session.linked.store.folder
    assert id in [message_id(data) for _, _, data in spooled(folder)]  # its own phone's first words may be there too
    one.session.acknowledge([id])
    await until(lambda: not list(spooled(folder)))


async def test_what_was_not_acknowledged_is_delivered_again(one: One) -> None:
    first, second = one.say("one"), one.say("two")
    await until(lambda: len(one.heard.inbound) == 2, limit_s=WAIT_S)
    one.session.acknowledge([first])
    await talking.acknowledged(one.emulator, first)
    await one.session.close()
    one.secret = one.newest()
    await one.open()
    await until(lambda: second in [inbound.provider_id for inbound in one.heard.inbound], limit_s=WAIT_S)
    one.session.acknowledge([first, second])  # what was stored may come again as well: it is known by its id
    await until(lambda: not list(spooled(one.session.linked.store.folder)))


async def test_another_node_resumes_from_the_stored_copy_alone(one: One, tmp_path: Path) -> None:
    await one.send("before")
    await one.session.close()
    newest, heard = one.newest(), Heard()
    async with device(tmp_path / "other", emulator=tmp_path / "emulator") as other:
        session = await other.open(one.number, newest, heard)
        await session.send(outgoing("after", to=CUSTOMER))
        await until(lambda: "delivered" in heard.states, limit_s=WAIT_S)
        lost = MessageId(new_id())
        assert await session.find([Doubt(lost)]) == {}  # nobody here can tell what another node did


async def test_a_copy_made_after_reading_a_message_and_before_storing_it_shows_on_another_node_that_it_was_there(
    one: One, tmp_path: Path
) -> None:
    await until(lambda: one.heard.secrets)
    before = len(one.heard.secrets)
    id = one.say("read, and never stored")
    await until(lambda: one.heard.inbound and len(one.heard.secrets) > before, limit_s=WAIT_S)
    worker = one.session.linked.client
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    await one.ended()
    async with device(tmp_path / "other", emulator=tmp_path / "emulator") as other:
        heard = Heard()
        session = await other.open(one.number, one.newest(), heard)
        await until(lambda: id in [inbound.provider_id for inbound in heard.inbound], limit_s=WAIT_S)
        assert [type(inbound.content) for inbound in heard.inbound if inbound.provider_id == id] == [Unsupported]
        session.acknowledge([id])
        await talking.acknowledged(one.emulator, id)


async def test_a_folder_goes_once_its_copy_is_stored(one: One) -> None:
    folder = one.session.linked.store.folder
    await one.transport.kept(one.number.id, one.newest())
    assert folder.exists()  # it is in use
    await one.session.close()
    await one.transport.kept(one.number.id, one.secret)
    assert folder.exists()  # an old copy
    await one.transport.kept(one.number.id, one.newest())
    assert not folder.exists()


def _without_a_device(session: Path) -> None:
    with closing(sqlite3.connect(session)) as opened:
        opened.execute("delete from whatsmeow_device")
        opened.commit()


def _no_session(session: Path) -> None:
    session.write_bytes(bytes(100_000))


def _looks_sound(_: Store) -> bool:
    return True


@pytest.mark.parametrize("damage", [_without_a_device, _no_session])
async def test_a_folder_the_library_cannot_use_is_replaced_by_the_credentials(
    one: One, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(Store, "_sound", _looks_sound)  # what a look at the folder does not find
    folder = await closed(one)
    damage(folder / "session.db")
    await one.open()
    await one.send("well again")
    assert not one.session.linked.store.continues


async def test_what_is_for_nobody_and_waits_in_the_spool_leaves_it(one: One, tmp_path: Path) -> None:
    folder = await closed(one)
    with (folder / SPOOL).open("ab") as spool:
        spool.write(_RECORD.pack(len(group := of_a_group("GROUP1")), 1, MESSAGE) + group)
    async with another(one, tmp_path) as one.transport:
        await one.open()
        await until(lambda: not list(spooled(folder)))


async def test_what_the_former_device_left_in_the_spool_is_heard_once_linked_anew(one: One) -> None:
    id = one.say("before it was linked anew")
    await until(lambda: one.heard.inbound, limit_s=WAIT_S)
    folder = await closed(one)
    assert id in [message_id(data) for _, _, data in spooled(folder)]
    one.secret, _ = await link(one.emulator, one.transport, one.number)
    await one.open()
    await until(lambda: id in [inbound.provider_id for inbound in one.heard.inbound], limit_s=WAIT_S)
    one.session.acknowledge([id])
    await until(lambda: id not in [message_id(data) for _, _, data in spooled(folder)])


async def test_storing_a_placeholder_is_not_taken_for_storing_its_message(one: One) -> None:
    one.session.acknowledge(["ABC?", "DEF"])
    assert "DEF" in one.session.taken
    assert "ABC" not in one.session.taken


ANSWERS = {"nothing": b"", "no protobuf": b"\xff\xff", "no name": told.SendMessageReturnFunction().SerializeToString()}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_says_nothing_is_no_success(
    one: One, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    async def answers(*_: object, **__: object) -> bytes:
        return answer

    out, client = outgoing("hello", to=CUSTOMER), one.session.linked.client
    monkeypatch.setattr(client, "call", answers)
    with pytest.raises(NotSent) as unsent:
        await one.session.send(out)
    assert unsent.value.reason == "no_answer"
    one.session.linked.named(str(out.id), "3EB0")  # it left
    with pytest.raises(MaybeSent) as maybe:
        await one.session.send(out)
    assert maybe.value.reason == "no_answer"
    if answer == b"\xff\xff":
        with pytest.raises(NotSent):
            await one.session.lookup([CUSTOMER])


async def test_a_folder_goes_once_another_node_has_run_the_account(one: One, tmp_path: Path) -> None:
    folder = await closed(one)
    await one.transport.close()
    async with device(tmp_path / "other", emulator=tmp_path / "emulator") as other:
        heard = Heard()
        session = await other.open(one.number, one.secret, heard)
        await until(lambda: heard.secrets)
        await session.close()
    async with device(tmp_path) as again:  # after a restart, when no account has been opened yet
        assert one.number.id in again.left()
        await again.kept(one.number.id, heard.secrets[-1])
        assert not folder.exists()
        assert one.number.id not in again.left()


async def test_a_session_that_changed_is_copied_within_the_time_that_is_set(one: One) -> None:
    await until(lambda: one.heard.secrets)
    before = len(one.heard.secrets)
    await one.send("this changes keys")
    await until(lambda: len(one.heard.secrets) > before)


async def test_a_killed_worker_ends_its_session_and_the_next_one_goes_on(one: One) -> None:
    out = outgoing("hello", to=CUSTOMER)
    await one.session.send(out)
    client = one.session.linked.client
    assert client is not None
    os.kill(client.pid, signal.SIGKILL)
    assert (await one.ended())[0] == "worker_crashed"
    with pytest.raises(NotSent):
        await one.send("too late")
    await one.open()
    never = MessageId(new_id())
    found = await one.session.find([Doubt(out.id), Doubt(never)])
    assert isinstance(found[out.id], Found)
    assert found[never] is None
    await one.send("again")


async def test_a_message_that_kills_its_worker_counts_as_tried_and_what_comes_after_does_not(one: One) -> None:
    client = one.session.linked.client
    assert client is not None
    os.kill(client.pid, signal.SIGSTOP)
    sending = asyncio.create_task(one.send("deadly"))
    await asyncio.sleep(0.1)
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(NotSent) as over_it:
        await sending
    assert over_it.value.reason == "worker_crashed"
    assert over_it.value.reason in FAILURES
    assert over_it.value.reason not in AWAY
    with pytest.raises(NotSent) as after:
        await one.send("too late")
    assert after.value.reason in AWAY


async def test_a_file_larger_than_the_line_to_the_worker_is_refused_and_the_account_goes_on(
    one: One, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LARGEST_FILE", 2**20)
    large = Document(Media("film", "application/pdf", 2**20 + 1, "film.pdf"))
    with pytest.raises(RefusedContent) as refused:
        await one.send(large, file=bytes(2**20 + 1))
    assert refused.value.reason == "media_refused"
    assert "at most 1 MB" in refused.value.detail
    await one.send("still here")


def test_the_largest_file_fits_on_the_line_to_the_worker() -> None:
    assert session.LARGEST_FILE + 2**20 < LIMIT


async def test_opening_again_ends_the_earlier_session(one: One) -> None:
    earlier, heard = one.session, one.heard
    await one.open()
    with pytest.raises(NotSent):
        await earlier.send(outgoing("too late", to=CUSTOMER))
    assert heard.reasons == []
    await one.send("from the new one")


async def test_nobody_on_whatsapp_is_told_apart(one: One) -> None:
    with pytest.raises(RefusedRecipient) as refused:
        await one.send("hello", to="+999001234567")
    assert refused.value.reason == "not_on_whatsapp"
    assert await one.session.lookup([CUSTOMER, "+999001234567"]) == {CUSTOMER: True, "+999001234567": False}


async def test_typing_and_reading_are_shown(one: One) -> None:
    id = one.say("anybody there?")
    await until(lambda: one.heard.inbound, limit_s=WAIT_S)
    one.session.acknowledge([id])
    await one.session.typing(CUSTOMER, True)
    await one.session.typing(CUSTOMER, False)
    await one.session.read(CUSTOMER, [id])


async def test_an_account_is_shown_as_there_no_longer_than_typing_is(one: One, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearing, "TYPING_S", 1.0)
    available = talking.parts(one.emulator).presence.available

    async def shown() -> bool:
        await one.session.typing(CUSTOMER, True)
        await asyncio.sleep(0.05)
        return PHONE in available

    while not await shown():  # its phone tells it the name without which it cannot be shown
        pass
    await until(lambda: PHONE not in available)  # nobody said that typing has ended


async def test_a_message_to_its_own_number_does_not_come_back_so_that_no_canary_is_promised(one: One) -> None:
    assert not one.transport.capabilities.canary
    assert "canary" in LACKS
    await one.send("is this line alive?", to=PHONE)
    asked = one.say("a customer's")
    await until(lambda: one.heard.inbound, limit_s=WAIT_S)
    assert [inbound.provider_id for inbound in one.heard.inbound] == [asked]
    await one.session.ping()  # what proves life instead: frames that came lately, and answered keep-alives


async def test_a_ping_is_answered_while_all_is_well(one: One) -> None:
    await one.session.ping()
    await one.session.close()
    with pytest.raises(ConnectionError):
        await one.session.ping()


async def test_rubbish_for_credentials_is_said_to_be_lost(tmp_path: Path, one: One) -> None:
    await one.session.close()
    for rubbish in (b"", b"rubbish", one.secret[: len(one.secret) // 2]):
        with pytest.raises(OpenError) as refused:
            await one.transport.open(number("+491701110003"), rubbish, Heard())
        assert refused.value.reason == "credentials_lost"


async def test_two_processes_of_a_machine_never_run_one_account(tmp_path: Path, one: One) -> None:
    async with device(tmp_path) as second:
        with pytest.raises(OpenError) as refused:
            await second.open(one.number, one.secret, Heard())
    assert refused.value.reason == "in_use"
    await one.send("still well")


async def test_without_an_emulator_where_one_is_set_nothing_is_connected(tmp_path: Path) -> None:
    async with device(tmp_path, emulator=tmp_path / "nowhere") as transport:
        with pytest.raises(OpenError) as refused:
            await transport.link(number(PHONE), Heard())
    assert refused.value.reason == "network"
    assert "emulator" in refused.value.detail
    assert not list((tmp_path / "devices").glob("*/session.db"))


async def test_an_old_worker_is_replaced_and_says_so(tmp_path: Path) -> None:
    async with linked(tmp_path, lifetime_h=2 / 3600) as one:
        reason, _, again_at = await one.ended()
        assert reason == "worker_lifetime"
        assert again_at is not None
        await one.open()
        await one.send("from the new one")
