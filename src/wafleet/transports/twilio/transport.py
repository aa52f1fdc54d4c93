"""WhatsApp through Twilio. Source: https://www.twilio.com/docs/whatsapp/api"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Self
from weakref import WeakValueDictionary

import httpx

from wafleet.domain.ids import AccountId
from wafleet.transports import web
from wafleet.transports.base import Capabilities, Limits, Listener, Number, OpenError
from wafleet.transports.calls import Call, Forged, News
from wafleet.transports.twilio import hooks, media, sender, writing
from wafleet.transports.twilio.errors import PROVIDER
from wafleet.transports.twilio.search import Memory
from wafleet.transports.twilio.session import TwilioSession
from wafleet.transports.twilio.templates import Templates

WINDOW: Final = timedelta(hours=24)  # https://www.twilio.com/docs/whatsapp/key-concepts, customer service window
# Of one WhatsApp sender, texts and files alike; up to 400 for texts alone where Twilio granted that. What comes faster
# waits at Twilio for four hours, then fails. The Senders API tells a sender's quality and daily limit, which are
# followed, but not this. Source: https://www.twilio.com/docs/whatsapp/best-practices-and-faqs (MPS limit)
PER_SECOND: Final = 80.0


class Twilio:
    """Speaks for senders at Twilio. All of them share one client; none has a connection or a task of its own.

    public_url  how Twilio reaches this installation: it reports there on messages, and fetches files; empty: neither
    http        the client to use, which stays the caller's
    """

    capabilities = Capabilities(
        contents=writing.KINDS,
        finds_messages=True,
        finds_by_content=True,
        window=16,
        asks=frozenset({"templates"}),
        canary=False,
        media_by_link=True,
        free_for=WINDOW,
        always=frozenset({"template"}),
        limits=Limits(per_second=PER_SECOND),
        longest_text=writing.LONGEST,
        largest_file=writing.LARGEST,
    )

    def __init__(
        self, *, public_url: str = "", answer_s: float = web.ANSWER_S, http: httpx.AsyncClient | None = None
    ) -> None:
        self._public, self._answer_s = public_url.rstrip("/"), answer_s
        self._http = http if http is not None else web.client(answer_s=answer_s)
        self._ours = http is None
        self._memory, self._templates = Memory(), Templates()
        self._sessions: WeakValueDictionary[AccountId, TwilioSession] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> TwilioSession:
        """Open the account's session: one request proves its credentials and tells how it stands. Raises OpenError."""
        if (former := self._sessions.pop(number.id, None)) is not None:
            await former.close()
        session = TwilioSession(
            self._http,
            number=number,
            keys=sender.keys(credentials),
            place=sender.place(number.settings),
            listener=listener,
            memory=self._memory,
            templates=self._templates,
            callbacks=f"{self._public}/hooks/{PROVIDER}/{number.id}" if self._public else "",
            answer_s=self._answer_s,
        )
        await session.prove()
        self._sessions[number.id] = session
        return session

    def check(self, call: Call, credentials: bytes, settings: Mapping[str, object]) -> None:
        """Return when Twilio signed this request with the account's token. Raises Forged."""
        try:
            token = sender.keys(credentials).auth_token
        except OpenError:
            raise Forged("This account has no credentials of Twilio to check requests with") from None
        hooks.check(call, token)

    def read(self, call: Call, settings: Mapping[str, object]) -> News:
        """Read what a checked request says. Raises Unreadable."""
        return hooks.read(call)

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        """Fetch a customer's file: see `Fetches`."""
        return await media.fetch(self._http, number, credentials, reference)

    async def close(self) -> None:
        """Close the client, and every session with it."""
        for session in list(self._sessions.values()):
            await session.close()
        if self._ours:
            await self._http.aclose()
