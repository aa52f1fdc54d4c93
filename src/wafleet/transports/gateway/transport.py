"""The transport of gateways: opens sessions, links phones through the gateway, and understands its calls."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self
from weakref import WeakValueDictionary

from wafleet.domain.ids import AccountId
from wafleet.transports.base import Capabilities, LinkListener, Listener, Number, OpenError
from wafleet.transports.calls import Call, News
from wafleet.transports.gateway import hooks, states
from wafleet.transports.gateway.client import Client, Known
from wafleet.transports.gateway.errors import PROVIDER, TABLE, told
from wafleet.transports.gateway.files import fetched
from wafleet.transports.gateway.linking import Attempt, check_phone
from wafleet.transports.gateway.place import Place
from wafleet.transports.gateway.session import Session
from wafleet.transports.gateway.writing import CONTENTS
from wafleet.transports.remedies import file_errors, open_errors
from wafleet.transports.web import ANSWER_S, client

LACKS: Final[Mapping[str, str]] = {
    "message ids of ours": "A gateway takes no id of ours with a message: what a lost answer was about is found by "
    "recipient, words and time.",
    "proof that nothing was sent": "A message that the gateway does not list may still be on its way.",
    "passkey linking": "A phone that WhatsApp asks for a passkey is linked in the gateway's own dashboard.",
    "sound that was not spoken": "It is sent as a file.",
    "buttons and lists": "Gateways warn that theirs break; questions are sent as numbered text.",
    "groups, channels and status": "They are no conversations with customers; what comes from them is passed over.",
}
_LOOK_S: Final = 0.5  # between two looks at a session that is starting


class Gateway:
    """Speak for numbers that gateways hold. One HTTP client serves all accounts; an idle account costs nothing.

    url       the installation's own gateway, for accounts that name none
    hook      the URL at which gateways call us, with `{account}` in it; empty: nobody told us our public address
    store     where gateways keep customers' files, when not with themselves; they are fetched from nowhere else
    answer_s  a request without an answer for this long may have been carried out
    open_s    a session that the gateway has not started by then is given up
    """

    capabilities = Capabilities(
        contents=CONTENTS,
        linking=frozenset({"qr", "code"}),
        keyed=True,
        finds_messages=True,
        finds_by_content=True,
        asks=frozenset({"typing", "read", "lookup"}),
        canary=False,  # a gateway posts no copy of what it sent itself
    )

    def __init__(
        self,
        url: str = "",
        *,
        hook: str = "",
        store: str = "",
        answer_s: float = ANSWER_S,
        open_s: float = 30.0,
        look_s: float = _LOOK_S,
    ) -> None:
        self._url, self._hook, self._store = url, hook, store
        self._answer_s, self._open_s, self._look_s = answer_s, open_s, look_s
        self._http = client(answer_s=answer_s)
        self._sessions: WeakValueDictionary[AccountId, Session] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every session on this side."""
        for session in list(self._sessions.values()):
            await session.close()
        await self._http.aclose()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        """Open the account's session; one that the gateway has stopped is started. Raises OpenError only."""
        asked = self._client(number, credentials)
        if (former := self._sessions.pop(number.id, None)) is not None:
            await former.close()
        try:
            async with asyncio.timeout(self._open_s):
                known = await self._working(asked)
        except TimeoutError:
            raise OpenError("connect_timeout", "the gateway did not start the session in time") from None
        check_phone(known, number)
        session = self._sessions[number.id] = Session(asked, listener)
        return session

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        """Link a phone through the gateway, whose keys must be stored already. Raises OpenError."""
        asked = self._client(number, number.credentials)
        hook = self._hook.format(account=number.id) if self._hook else ""
        await Attempt(asked, number, shown, hook=hook, look_s=self._look_s).run()
        return number.credentials

    async def unlink(self, number: Number, credentials: bytes) -> None:
        """Have the gateway log the phone out; the session itself stays there. Raises OpenError."""
        if (session := self._sessions.pop(number.id, None)) is not None:
            await session.close()
        await self._client(number, credentials).order("logout")

    def check(self, call: Call, credentials: bytes, settings: Mapping[str, object]) -> None:
        """Return when the account's gateway certainly sent this. Raises Forged."""
        hooks.check(call, credentials)

    def read(self, call: Call, settings: Mapping[str, object]) -> News:
        """Read what a checked call says. Raises Unreadable."""
        return hooks.read(call, settings)

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        """Fetch a file that a customer sent, by the URL its message has: see `Fetches`."""
        with file_errors(PROVIDER, table=TABLE, read=told):
            return await fetched(self._http, Place.of(number, credentials, self._url), reference, store=self._store)

    def _client(self, number: Number, credentials: bytes) -> Client:
        return Client(self._http, Place.of(number, credentials, self._url), answer_s=self._answer_s)

    async def _working(self, asked: Client) -> Known:
        """Return once the session works; start it where it stands still. Raises OpenError."""
        tried = False
        while True:
            with open_errors(PROVIDER, table=TABLE, read=told):
                known = await asked.session()
            if known.works:
                return known
            if known.status in {states.STOPPED, states.FAILED} and not tried:
                tried = True
                await asked.order("start" if known.status == states.STOPPED else "restart")
            elif reason := states.reason(known.status):
                raise OpenError(reason, states.sentence(known.status))
            await asyncio.sleep(self._look_s)
