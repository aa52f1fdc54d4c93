"""The gate: WhatsApp hears that a message arrived only after our side has stored it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from wafleet.transports.device.worker import gate as gates
from wafleet.transports.device.worker.gate import Gate


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_TICK_S", 0.01)


class Story:
    """A gate with a library that acknowledges on threads of its own."""

    def __init__(self, blocked: Callable[[], bool] = lambda: False) -> None:
        self.swallowed: dict[str, str] = {}
        self.told = threading.Event()
        self.gate = Gate(self._tell, blocked)
        self._threads = ThreadPoolExecutor(8)

    def acknowledges(self, id: str) -> "Future[None]":
        return self._threads.submit(self.gate.hold, id)

    def comes(self, id: str) -> "Future[None]":
        return self._threads.submit(self.gate.came, id, "1@lid")

    def _tell(self, id: str, sender: str) -> None:
        assert id not in self.swallowed
        self.swallowed[id] = sender
        self.told.set()


def waits(held: "Future[None]", seconds: float = 0.2) -> bool:
    return not wait_for([held], seconds).done


def test_an_acknowledgement_waits_until_the_message_is_stored() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    held = story.acknowledges("A")
    story.gate.handed_over("A", whole=True)
    assert waits(held)
    story.gate.stored("A")
    held.result(5)
    assert not story.swallowed


def test_a_message_the_library_made_nothing_of_is_told_once_and_still_waits() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    held = [story.acknowledges("A"), story.acknowledges("A")]
    assert story.told.wait(5)
    assert waits(held[0])
    story.gate.stored("A")
    assert [one.result(5) for one in held] == [None, None]
    assert story.swallowed == {"A": "1@lid"}


def test_a_message_brought_again_that_we_have_is_acknowledged_without_a_word() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    story.gate.handed_over("A", whole=True)
    story.gate.stored("A")
    story.gate.came("A", "1@lid")
    story.gate.hold("A")
    assert not story.swallowed


def test_a_message_that_an_earlier_worker_left_in_the_spool_waits_until_it_is_stored() -> None:
    story = Story()
    story.gate.begin(["A"])
    story.gate.came("A", "1@lid")
    held = story.acknowledges("A")
    assert waits(held, 0.3)
    story.gate.stored("A")
    held.result(5)
    assert not story.swallowed


def test_a_message_that_could_not_be_decrypted_waits_again_when_it_is_sent_again() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    story.gate.handed_over("A", whole=False)
    story.gate.stored("A")
    story.gate.came("A", "1@lid")
    held = story.acknowledges("A")
    story.gate.handed_over("A", whole=True)
    assert waits(held)
    story.gate.stored("A")
    held.result(5)


def test_messages_are_let_in_one_by_one_and_a_swallowed_one_holds_nobody_up_for_long() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    second = story.comes("B")
    story.gate.handed_over("A", whole=True)
    second.result(5)
    third = story.comes("C")
    assert waits(third)
    story.acknowledges("B")  # and nothing was heard of it
    third.result(5)
    story.gate.open()


def test_while_the_library_is_kept_from_handing_over_no_further_message_is_let_in() -> None:
    blocked = threading.Event()
    blocked.set()
    story = Story(blocked.is_set)
    story.gate.came("A", "1@lid")
    second = story.comes("B")
    assert waits(second)
    blocked.clear()
    story.gate.handed_over("A", whole=True)
    second.result(5)


def test_while_the_library_is_kept_from_handing_over_nothing_counts_as_swallowed() -> None:
    blocked = threading.Event()
    blocked.set()
    story = Story(blocked.is_set)
    story.gate.came("A", "1@lid")
    held = story.acknowledges("A")
    assert waits(held, 0.3)
    assert not story.swallowed
    story.gate.handed_over("A", whole=True)
    blocked.clear()
    story.gate.stored("A")
    held.result(5)
    assert not story.swallowed


def test_what_is_no_message_of_a_customer_passes() -> None:
    Story().acknowledges("unheard of").result(5)


def test_with_the_connection_gone_nothing_is_held() -> None:
    story = Story()
    story.gate.came("A", "1@lid")
    held = story.acknowledges("A")
    story.gate.open()
    held.result(5)
