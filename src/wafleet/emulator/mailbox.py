"""What is kept for one device until it has confirmed it, however much that is: found by name, oldest first."""

from collections.abc import Collection, Iterator
from typing import Final

from wafleet.emulator.wire import Node

_MESSAGES: Final = 10_000
_OTHERS: Final = 2_000  # receipts and notifications


class Mailbox:
    """Stanzas in the order in which they came, each under a number of its own; numbers grow.

    Of receipts and notifications the newest are kept, of messages all: whose box is `full` has gone for good.
    """

    def __init__(self) -> None:
        self._kept: dict[int, Node] = {}
        self._named: dict[tuple[str, str], list[int]] = {}  # by tag and id
        self._others: dict[int, None] = {}  # which are no messages
        self._last = 0
        self._changed: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._kept.values())

    @property
    def full(self) -> bool:
        return len(self._kept) - len(self._others) >= _MESSAGES

    def add(self, node: Node) -> None:
        """Keep a stanza."""
        self.put(self._last + 1, node)
        self._changed[self._last] = None
        if len(self._others) > _OTHERS:
            self._drop(next(iter(self._others)))

    def put(self, number: int, node: Node) -> None:
        """Have a stanza here that was kept before."""
        self._last, self._kept[number] = number, node
        self._named.setdefault(_name(node), []).append(number)
        if node.tag != "message":
            self._others[number] = None

    def has(self, tag: str, id: str) -> bool:
        """Say whether a stanza is kept."""
        return (tag, id) in self._named

    def take(self, tag: str, ids: Collection[str]) -> None:
        """Stop keeping stanzas; those that are not here are none to keep."""
        for id in ids:
            for number in list(self._named.get((tag, id), ())):
                self._drop(number)

    def clear(self) -> None:
        for number in list(self._kept):
            self._drop(number)

    def changes(self) -> Iterator[tuple[int, Node | None]]:
        """Yield what came and, as None, what went since the last call."""
        changed, self._changed = self._changed, {}
        return ((number, self._kept.get(number)) for number in changed)

    def _drop(self, number: int) -> None:
        node = self._kept.pop(number)
        self._others.pop(number, None)
        self._changed[number] = None
        numbers = self._named[_name(node)]
        numbers.remove(number)
        if not numbers:
            del self._named[_name(node)]


def _name(node: Node) -> tuple[str, str]:
    return node.tag, node.text("id")
