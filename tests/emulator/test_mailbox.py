"""What waits for a device: in order, found by its name, bounded, and the same on disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.rig import PHONE

from wafleet.emulator import mailbox
from wafleet.emulator.mailbox import Mailbox
from wafleet.emulator.model import Device
from wafleet.emulator.post import bring
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node

NAMES = st.tuples(st.sampled_from(["message", "receipt"]), st.sampled_from("abc"))


def node(tag: str, id: str) -> Node:
    return Node(tag, {"id": id})


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "keep"]), NAMES)))
def test_a_mailbox_and_its_copy_on_disk_hold_what_was_added_and_not_taken(
    steps: list[tuple[str, tuple[str, str]]],
) -> None:
    box, wanted, disk = Mailbox(), list[Node](), dict[int, Node]()
    for what, (tag, id) in [*steps, ("keep", ("", ""))]:
        if what == "add":
            box.add(node(tag, id))
            wanted.append(node(tag, id))
        elif what == "take":
            box.take(tag, [id])
            wanted = [kept for kept in wanted if kept != node(tag, id)]
        else:
            for number, changed in box.changes():
                disk.pop(number, None)
                if changed is not None:
                    disk[number] = changed
        assert list(box) == wanted
        assert len(box) == len(wanted)
        assert box.has(tag, id) == (node(tag, id) in wanted)
    again = Mailbox()
    for number, kept in sorted(disk.items()):
        again.put(number, kept)
    assert list(again) == wanted
    assert not list(again.changes())


def test_of_receipts_the_newest_are_kept_and_of_messages_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_OTHERS", 2)
    box = Mailbox()
    for number in range(4):
        box.add(node("message", str(number)))
        box.add(node("receipt", str(number)))
    assert [kept.text("id") for kept in box if kept.tag == "message"] == ["0", "1", "2", "3"]
    assert [kept.text("id") for kept in box if kept.tag == "receipt"] == ["2", "3"]


async def test_a_device_for_which_too_much_waits_while_it_is_away_is_unlinked(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "_MESSAGES", 3)
    account = emulator.account(PHONE)
    account.devices |= {number: Device(account, number, bytes(32)) for number in (1, 2)}
    for id in "abc":
        emulator.remove_absent(account)
        bring(account.devices[1], node("message", id))
    assert [device.number for device in account.linked] == [1, 2]
    emulator.remove_absent(account)
    assert [device.number for device in account.linked] == [2]
    assert not account.devices[1].queue
