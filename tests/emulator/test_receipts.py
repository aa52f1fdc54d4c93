"""A message is kept for a device until it confirmed it: whatever happens to the device or its connection."""

from pathlib import Path

from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE, client, linked, until

from wafleet.emulator.connection import Connection
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node
from wafleet.simulator.orders import StartFault


async def test_what_customers_wrote_meanwhile_comes_with_the_next_login(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as first:
        there = talking.write(emulator, "while it is there")
        await talking.heard(first, there)
        await talking.acknowledged(emulator, there)
    await until(lambda: emulator.world.account(PHONE).session is None)
    ids = [talking.write(emulator, f"while it is away {n}") for n in range(3)]
    async with client(emulator, tmp_path) as again:
        for id in ids:
            await talking.heard(again, id)
        await talking.acknowledged(emulator, *ids)
        assert [talking.times_heard(again, id) for id in ids] == [1, 1, 1]
        assert talking.ledger(emulator).repeated == 0


async def test_what_never_reached_a_killed_client_comes_again(emulator: Emulator, tmp_path: Path) -> None:
    def lose(_: Connection, node: Node) -> Node | None:
        return None if node.tag == "message" and node.text("id") in lost else node

    lost: set[str] = set()
    emulator.filters.append(lose)
    async with linked(emulator, tmp_path) as first:
        await talking.heard(first, talking.write(emulator, "arrives"))
        id = talking.write(emulator, "gets lost")
        lost.add(id)
        await until(lambda: emulator.account(PHONE).devices[1].queue)
        await first.kill()
    lost.clear()
    async with client(emulator, tmp_path) as again:
        assert (await talking.heard(again, id)).Message.conversation == "gets lost"
        await talking.acknowledged(emulator, id)
        assert talking.times_heard(again, id) == 1


async def test_a_confirmation_that_got_lost_is_given_again_after_kill_9(emulator: Emulator, tmp_path: Path) -> None:
    def lose(_: Connection, node: Node) -> bool:
        return losing and node.tag == "receipt"

    losing = True
    emulator.watchers.append(lose)
    async with linked(emulator, tmp_path) as first:
        id = talking.write(emulator, "read, but never confirmed")
        await talking.heard(first, id)
        await first.kill()
    losing = False
    assert talking.ledger(emulator).waiting == 1
    async with client(emulator, tmp_path):
        await talking.acknowledged(emulator, id)
        assert not emulator.account(PHONE).devices[1].queue


async def test_what_waits_for_a_device_that_never_returns_still_reaches_the_one_linked_after_it(
    emulator: Emulator, tmp_path: Path
) -> None:
    def lose(connection: Connection, node: Node) -> Node | None:
        return None if node.tag == "message" and connection.device is first_device else node

    async with linked(emulator, tmp_path) as first:
        first_device = emulator.account(PHONE).devices[1]
        emulator.filters.append(lose)
        id = talking.write(emulator, "for whoever comes")
        await until(lambda: first_device.queue.has("message", id))
        await first.kill()
    async with linked(emulator, tmp_path, name="anew") as anew:
        await talking.heard(anew, id)
        await talking.acknowledged(emulator, id)
        assert talking.times_heard(anew, id) == 1
        line = talking.ledger(emulator)
        assert (line.offered, line.received, line.waiting) == (1, 1, 0)


async def test_reading_is_confirmed_one_by_one_or_together(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        ids = [talking.write(emulator, f"message {n}") for n in range(3)]
        for id in ids:
            await talking.heard(one, id)
        read = talking.parts(emulator).receipts.read
        await talking.read(emulator, one, ids[0])
        await until(lambda: ids[0] in read)
        assert ids[1] not in read
        await talking.read(emulator, one, *ids[1:])
        await until(lambda: set(ids) <= set(read))


async def test_receipts_of_one_moment_come_as_one(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        emulator.world.start_fault(StartFault(account=PHONE, kind="deaf"))
        ids = [await one.say(CUSTOMER, f"message {n}") for n in range(3)]
        mark = one.mark()
        await until(lambda: all(line.state == 3 for line in emulator.world.refs(PHONE)))
        emulator.world.trouble.end(PHONE, "deaf")
        found = await one.event("Receipt", lambda r: r.Type == 4 and len(r.MessageIDs) > 1, since=mark)
        assert set(found.MessageIDs) <= set(ids)
        for id in ids:
            await talking.receipt(one, id, 4)


async def test_a_phone_that_is_in_touch_shows_it(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        id = talking.write(emulator, "read it on the phone")
        await talking.heard(one, id)
        assert talking.parts(emulator).receipts.touch(emulator.account(PHONE))
        seen = await talking.receipt(one, id, 5)
        assert seen.MessageSource.IsFromMe
        assert seen.MessageSource.Sender.Device == 0
