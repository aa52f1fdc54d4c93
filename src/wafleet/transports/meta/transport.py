"""WhatsApp's Cloud API: all its accounts on this node, over one client.

Nothing stays open between requests: an account that sends nothing has no task, no timer and no connection.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Self
from weakref import WeakValueDictionary

import httpx

from wafleet.domain.ids import AccountId
from wafleet.transports import web
from wafleet.transports.base import (
    Capabilities,
    Limits,
    Listener,
    Number,
    OpenError,
    RefusedAccount,
    RefusedContent,
)
from wafleet.transports.calls import Call, Forged, News, Sign
from wafleet.transports.meta import hooks, signs
from wafleet.transports.meta.errors import ERRORS, PROVIDER, told
from wafleet.transports.meta.files import fetched
from wafleet.transports.meta.graph import MOST_BYTES, URL, Graph, root
from wafleet.transports.meta.session import MetaSession, Shared
from wafleet.transports.meta.settings import Keys, Own, keys_of, own_of
from wafleet.transports.remedies import file_errors, http_errors, open_errors

_FIELDS: Final = "id,display_phone_number,verified_name,quality_rating,status,messaging_limit_tier"
_END: Final = 7  # digits
_SHUT: Final = frozenset({"banned_for_good", "sender_missing", "sender_pending"})  # no session at all


class Meta:
    """Speak for numbers on the Cloud API. Use as a context manager, or close it.

    url   where the API is; an account's own `meta.url` counts more
    http  the client to use, which stays the caller's
    """

    capabilities = Capabilities(
        contents=frozenset(
            {
                *("text", "location", "contact", "image", "video", "audio", "document", "sticker"),
                *("reaction", "buttons", "choices", "template"),
            }
        ),
        window=32,  # 80 a second at 0.4 s each
        asks=frozenset({"typing", "read", "templates"}),
        canary=False,  # a number cannot write to itself (131021)
        free_for=timedelta(hours=24),
        always=frozenset({"template"}),
        # Source: ".../whatsapp/messages/send-messages", Throughput and Pair rate limits
        limits=Limits(per_second=80, pair_s=6, pair_burst=45),
        longest_text=4096,  # Source: ".../whatsapp/messages/text-messages", body
        largest_file=MOST_BYTES,
    )

    def __init__(
        self, *, url: str = URL, answer_s: float = web.ANSWER_S, http: httpx.AsyncClient | None = None
    ) -> None:
        self._url = url
        self._http, self._answer_s = http if http is not None else web.client(answer_s=answer_s), answer_s
        self._ours = http is None
        self._shared = Shared()
        self._sessions: WeakValueDictionary[AccountId, MetaSession] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client, and every session with it."""
        for session in list(self._sessions.values()):
            await session.close()
        if self._ours:
            await self._http.aclose()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> MetaSession:
        """Prove the token, and that the id is this phone's; tell what Meta says of it. Raises OpenError only."""
        keys, own = _known(number, credentials)
        graph = self._graph(keys, own)
        if (former := self._sessions.pop(number.id, None)) is not None:
            await former.close()
        with open_errors(PROVIDER, table=ERRORS, read=told):
            found = await _described(graph, own.number)
        _check_phone(number, found)
        for sign in signs.of_number(found):
            if sign.reason in _SHUT:
                raise OpenError(sign.reason, f"Meta says {sign.value}")
            listener.sign(sign)
        session = self._sessions[number.id] = MetaSession(graph, own, listener, self._shared)
        return session

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        """Fetch a file that a customer sent: see `Fetches`."""
        with file_errors(PROVIDER, table=ERRORS, read=told):
            keys, own = _known(number, credentials)
            try:
                with http_errors(PROVIDER, table=ERRORS, read=told):
                    return await fetched(self._graph(keys, own), reference, number=own.number)
            except RefusedAccount as error:
                if error.reason == "sender_missing":  # to Meta, a file is an object like a number
                    raise RefusedContent("media_gone", error.detail) from error
                raise

    # --- calls

    def check(self, call: Call, credentials: bytes, settings: Mapping[str, object]) -> None:
        """Return when Meta certainly sent this. Raises Forged."""
        try:
            hooks.check(call, keys_of(credentials))
        except ValueError as error:
            raise Forged(str(error)) from error

    def read(self, call: Call, settings: Mapping[str, object]) -> News:
        """Read what a checked call says. Raises Unreadable."""
        news = hooks.read(call)
        for one in news.said:
            if isinstance(one.what, Sign) and one.what.kind == "template":
                self._shared.templates.forget(one.number.removeprefix("waba:"))
        return news

    def _graph(self, keys: Keys, own: Own) -> Graph:
        return Graph(self._http, root(own.url or self._url), keys.access_token, self._answer_s)


def _known(number: Number, credentials: bytes) -> tuple[Keys, Own]:
    own = own_of(number.settings)
    try:
        keys = keys_of(credentials)
    except ValueError as error:
        raise OpenError("credentials_missing", str(error)) from error
    if not keys.access_token:
        raise OpenError("credentials_missing", "there is no access token")
    if not own.number.isdecimal():
        raise OpenError("sender_missing", "set `meta.phone_number_id`, the id that Meta gives the phone number")
    return keys, own


async def _described(graph: Graph, number: str) -> dict[str, Any]:
    """Ask for a number; where Meta does not know a field any more, for what it tells unasked."""
    try:
        return await graph.get(number, fields=_FIELDS)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != 400 or told(error.response).code != "100":
            raise
        return await graph.get(number)


def _check_phone(number: Number, found: Mapping[str, Any]) -> None:
    """Refuse an id that belongs to another phone: messages would go out under a wrong number.

    Only the end counts: some countries write a digit before it for mobile phones, and some people leave it out.
    """
    shown = "".join(c for c in str(found.get("display_phone_number") or "") if c.isdecimal())
    if shown and shown[-_END:] != number.phone[-_END:]:
        raise OpenError("sender_missing", f"the phone number id {found.get('id')} is +{shown}, not {number.phone}")
