"""The client: every operation of the API, as a method."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

from wafleet.client.address import find
from wafleet.client.answers import Page
from wafleet.client.fleet import Fleet
from wafleet.client.media import MediaFiles
from wafleet.client.messaging import Messaging
from wafleet.client.network import Network
from wafleet.client.people import People

T = TypeVar("T")


class Client(Fleet, Messaging, MediaFiles, People, Network):
    """Talks to one wafleet: `with Client.from_env() as wafleet: wafleet.send("+447700900123", "Hello")`.

    Failures are `ApiError`s with one sentence that says what to do. What is safe to repeat is repeated when the
    connection breaks: reads, and messages, which always carry an Idempotency-Key.
    """

    @classmethod
    def from_env(cls, data_dir: Path | None = None, *, tenant: str | None = None) -> Self:
        """Return a client for the wafleet of the environment: WAFLEET_URL and WAFLEET_TOKEN, else the one started here.

        data_dir    the data folder whose wafleet is meant; left out: WAFLEET_DATA_DIR, the default, the demo's
        """
        url, token = find(data_dir)
        return cls(url, token, tenant=tenant)


def every(page: Callable[[str | None], Page[T]], *, most: int | None = None) -> Iterator[T]:
    """Iterate over the items of all pages: `every(lambda cursor: client.messages(cursor=cursor))`."""
    cursor: str | None = None
    count = 0
    while True:
        got = page(cursor)
        for item in got.items:
            if most is not None and count >= most:
                return
            count += 1
            yield item
        if got.next is None:
            return
        cursor = got.next
