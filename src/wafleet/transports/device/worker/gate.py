"""Holds back what would tell WhatsApp that a message arrived, until our side has stored it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

_TICK_S: Final = 0.25  # counted, not measured: a process that was stopped for a while has not waited
_TICKS: Final = 8  # two seconds without a word from the library: it made nothing of the message
_QUEUE: Final = 200  # events: the library's own queue holds 100, so what is later than this will not come
_TURN_S: Final = 0.05  # usually 4 ms pass from a message's coming to its event
_TURNS: Final = 100  # five seconds: WhatsApp's answers to keep-alives may not wait behind a message longer than ten
_TURNS_ASKED: Final = 6  # once the library acknowledges it: its event, if any, is in the library's queue by then
_REMEMBERED: Final = 4096  # ids


class _Waiting:
    """One message that came and is not stored yet."""

    __slots__ = ("asked", "heard", "sender", "stored", "told", "whole")

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.heard = self.told = False  # by the library's event; by our side, that there is none
        self.asked = False  # the library wants to acknowledge it
        self.whole = False  # what was heard is the message, and not that it could not be decrypted
        self.stored = threading.Event()


class Gate:
    """The messages that came and are not stored yet.

    The library hands a message to us and acknowledges it to WhatsApp on two threads of its own. The second waits here.
    Where it handed nothing over, our side is told, and stores a placeholder, so that nothing is lost in silence.

    Messages are let in one by one, each when the one before is in the spool. What the library has decrypted and not
    yet handed over dies with the process, and can never be decrypted again: so that is one message at most.

    swallowed  called with id and sender of a message the library made nothing of
    blocked    tells whether the library is kept from handing over more just now
    """

    def __init__(self, swallowed: Callable[[str, str], None], blocked: Callable[[], bool]) -> None:
        self._swallowed, self._blocked = swallowed, blocked
        self._change = threading.Condition()
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._last: _Waiting | None = None
        self._known: OrderedDict[str, None] = OrderedDict()
        self._events = 0

    def begin(self, ids: Iterable[str]) -> None:
        """Begin with messages that an earlier worker left in the spool: brought again, they wait until stored."""
        with self._change:
            for id in ids:
                self._waiting[id] = waiting = _Waiting("")
                waiting.heard = waiting.whole = True

    def came(self, id: str, sender: str) -> None:
        """A message is here; the library looks at it when this returns."""
        with self._change:
            self._wait_for_the_last()
            if id in self._known:
                return
            self._last = self._waiting.setdefault(id, _Waiting(sender))
            if len(self._waiting) > _REMEMBERED:
                self._waiting.popitem(last=False)

    def handed_over(self, id: str, whole: bool) -> None:
        """The library made an event of it, and that is in the spool."""
        with self._change:
            self._events += 1
            if found := self._waiting.get(id):
                found.heard, found.whole = True, found.whole or whole
            self._change.notify_all()

    def counted(self) -> None:
        """The library made an event of something else."""
        self._events += 1

    def hold(self, id: str) -> None:
        """Return when the message may be acknowledged."""
        with self._change:
            waiting = self._waiting.get(id)
        if waiting is None:
            return
        waiting.asked = True
        first, seen, quiet = self._events, self._events, 0
        while not (waiting.heard or waiting.told) and not waiting.stored.wait(_TICK_S):
            quiet = quiet + 1 if seen == self._events and not self._blocked() else 0
            seen = self._events
            if quiet >= _TICKS or seen - first > _QUEUE:
                self._give_up(id, waiting)
        waiting.stored.wait()

    def stored(self, id: str) -> None:
        """Our side has it."""
        with self._change:
            waiting = self._waiting.pop(id, None)
            if waiting:
                waiting.stored.set()
            if waiting and waiting.whole:
                self._known[id] = None  # brought again, it may be acknowledged at once
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            self._change.notify_all()

    def open(self) -> None:
        """Hold nothing any more; only for a client that has no connection left."""
        with self._change:
            for waiting in self._waiting.values():
                waiting.stored.set()
            self._waiting.clear()

    def _wait_for_the_last(self) -> None:
        last, turns, asked = self._last, 0, 0
        while last and not (last.heard or last.stored.is_set()) and turns < _TURNS and asked < _TURNS_ASKED:
            self._change.wait(_TURN_S)
            turns += 1
            asked += last.asked and not self._blocked()

    def _give_up(self, id: str, waiting: _Waiting) -> None:
        with self._change:
            first, waiting.told = not (waiting.told or waiting.heard), True
        if first:
            self._swallowed(id, waiting.sender)
