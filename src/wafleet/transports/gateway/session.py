"""One account at a gateway: sends and asks. What comes in is not here: the gateway calls our webhook."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import httpx

from wafleet.domain.ids import MessageId
from wafleet.domain.message import OnMessage
from wafleet.transports.base import (
    Doubt,
    Found,
    Listener,
    MaybeSent,
    NotSent,
    Outgoing,
    RefusedContent,
    RefusedRecipient,
)
from wafleet.transports.gateway import finding, states
from wafleet.transports.gateway.client import SESSION, Client, Known
from wafleet.transports.gateway.errors import PROVIDER, TABLE, told
from wafleet.transports.gateway.names import bare, chat, whole
from wafleet.transports.gateway.writing import write
from wafleet.transports.remedies import Patience, http_errors, ping_errors
from wafleet.transports.web import FILE_S, answer, obj, objs

_KNOWN: Final = 10_000  # chats and messages that are remembered
_OVER: Final = "the session has ended"
_NO_MORE: Final = frozenset({401, 403, 404})  # neither of these passes by itself

T = TypeVar("T")


class Session:
    """One account's session. It has no connection and no task of its own."""

    def __init__(self, client: Client, listener: Listener) -> None:
        self._client, self._listener = client, listener
        self._patience = Patience()
        self._chats: OrderedDict[str, str] = OrderedDict()  # by who was written to
        self._named: OrderedDict[str, MessageId] = OrderedDict()  # messages whose send was answered, by their names
        self._under_way: set[asyncio.Timeout] = set()
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()
        self._over = False

    # messages

    async def send(self, out: Outgoing) -> str:
        """Hand one message to the gateway; return WhatsApp's name for it. Raises SendError only."""
        to = await self._chat(out.to)
        request = write(out, session=self._client.place.session, chat=to)
        async with self._asking():
            limit = FILE_S if out.media else None  # the file is in the request
            reply = await self._client.tell(request.method, request.path, request.body, within_s=limit)
            name = "" if isinstance(out.content, OnMessage) else _name(reply)
        if not name:  # a change of an earlier message has no name of its own
            return str(out.id)
        _remember(self._named, name, out.id)
        return name

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        """Look for messages among the newest of their chats. Raises SendError when the gateway cannot be asked.

        A gateway does not know our names, so a message is known by its recipient, its words and its time; one that an
        answered send named already is another. What is not there is left out: a gateway that is slow may still send it.
        """
        answered = {id: name for name, id in self._named.items()}
        found: dict[MessageId, Found | None] = {}
        doubts: dict[str, list[Doubt]] = {}
        for one in messages:
            if (name := answered.get(one.id)) is not None:
                found[one.id] = Found(name)
            elif one.content is not None and one.to:
                doubts.setdefault(one.to, []).append(one)
        for to, those in doubts.items():
            found |= finding.match(those, await self._newest(to, those), set(self._named))
        return found

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Nothing to do: the gateway was told when its call was answered."""

    # what else it is asked

    async def ping(self) -> None:
        """Return when the session works. Raises ConnectionError; one that works no more ends here."""
        if self._over:
            raise ConnectionError(_OVER)
        status = states.WORKING  # unless it says otherwise: an error of another kind is an answer, too
        with ping_errors(PROVIDER, table=TABLE, read=told):
            reply = await self._client.ask("GET", SESSION)
            if reply.status_code in _NO_MORE:
                self._end(TABLE[str(reply.status_code)].account, f"gateway HTTP {reply.status_code}")
            status = Known.read(answer(reply)).status
        if reason := states.reason(status):
            self._end(reason, states.sentence(status))
        if self._over or status != states.WORKING:
            raise ConnectionError(_OVER if self._over else states.sentence(status))

    async def typing(self, to: str, on: bool, *, newest: str = "") -> None:
        """Show a customer that somebody is writing, or no longer. Raises SendError."""
        async with self._asking():
            body = {"session": self._client.place.session, "chatId": _chat(to)}
            await self._client.tell("POST", "/api/startTyping" if on else "/api/stopTyping", body)

    async def read(self, identity: str, provider_ids: Sequence[str]) -> None:
        """Show a customer that these messages were read. Raises SendError."""
        who = _chat(identity)
        ids = [whole(id, who, ours=False) for id in provider_ids if id.isalnum()]
        async with self._asking():
            body: dict[str, Any] = {"session": self._client.place.session, "chatId": who, "messageIds": ids}
            await self._client.tell("POST", "/api/sendSeen", body)

    async def lookup(self, phones: Sequence[str]) -> Mapping[str, bool]:
        """Tell which phones are on WhatsApp; one it did not answer for is left out. Raises SendError."""
        found: dict[str, bool] = {}
        for phone in phones:
            async with self._asking():
                found[phone] = bool((await self._exists(phone)).get("numberExists"))
        return found

    async def close(self) -> None:
        """End the session on this side; the gateway keeps its own. What is under way ends as MaybeSent."""
        self._over = True
        now = asyncio.get_running_loop().time()
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(now)
        await self._none_under_way.wait()

    # parts

    async def _chat(self, to: str) -> str:
        """Return the chat with a person. Who is written to for the first time is looked up.

        Some numbers are known to WhatsApp by other digits than people write (Brazil before 2012), and to a number that
        is not on WhatsApp some engines send without a word.
        """
        if (known := self._chats.get(to)) is not None:
            return known
        usual = _chat(to)
        if not to.startswith("+"):
            return usual
        said = await self._looked_up(to)
        if said.get("numberExists") is False:
            raise RefusedRecipient("not_on_whatsapp", f"{to} is not on WhatsApp")
        named = said.get("chatId")
        _remember(self._chats, to, named if isinstance(named, str) and "@" in named else usual)
        return self._chats[to]

    async def _looked_up(self, phone: str) -> dict[str, Any]:
        try:
            async with self._asking():
                return await self._exists(phone)
        except RefusedContent:  # this gateway has no such question
            return {}
        except MaybeSent as error:
            if isinstance(
                error.__cause__, httpx.HTTPStatusError
            ):  # it has a fault there; sending may work all the same
                return {}
            raise NotSent(error.reason, error.detail) from error  # no message was on its way yet

    async def _exists(self, phone: str) -> dict[str, Any]:
        query = {"phone": phone.removeprefix("+"), "session": self._client.place.session}
        return answer(await self._client.ask("GET", "/api/contacts/check-exists", params=query))

    async def _newest(self, to: str, doubts: Sequence[Doubt]) -> list[dict[str, Any]]:
        path = f"/api/{{session}}/chats/{quote(self._chats.get(to) or _chat(to), safe='')}/messages"
        try:
            async with self._asking():
                reply = await self._client.tell("GET", f"{path}?{finding.query(doubts)}", {})
                return objs(json.loads(reply.content))
        except MaybeSent as error:
            raise NotSent(error.reason, error.detail) from error

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        """Name by its remedy whatever goes wrong inside; end it when the session is closed. Raises SendError only."""
        if self._over:
            raise NotSent("network", _OVER)
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._under_way.add(limit)
                self._none_under_way.clear()
                with http_errors(PROVIDER, table=TABLE, read=told, patience=self._patience, account=self._end):
                    yield
        except TimeoutError as error:
            raise MaybeSent("network", _OVER) from error
        finally:
            self._under_way.discard(limit)
            if not self._under_way:
                self._none_under_way.set()

    def _end(self, reason: str, detail: str) -> None:
        if not self._over:
            self._over = True
            self._listener.closed(reason, detail)


def _chat(to: str) -> str:
    try:
        return chat(to)
    except ValueError as error:
        raise RefusedRecipient("recipient_invalid", str(error)) from error


def _name(reply: httpx.Response) -> str:
    """Find the name of a message that was sent. Each engine answers in its own way. Raises ValueError."""
    said = obj(reply.json())
    key = said.get("key")  # of NOWEB
    inner = cast("dict[str, Any]", key).get("id") if isinstance(key, dict) else None
    name = bare(inner or said.get("id"))
    if not name:
        raise ValueError("the gateway did not name the message")
    return name


def _remember(known: OrderedDict[str, T], key: str, value: T) -> None:
    known[key] = value
    if len(known) > _KNOWN:
        known.popitem(last=False)
