"""One account's dealings with Twilio. There is no connection to keep: an idle account costs nothing."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import httpx

from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Inbound
from wafleet.transports import web
from wafleet.transports.base import (
    Doubt,
    Found,
    Listener,
    NotSent,
    Number,
    OpenError,
    Outgoing,
    RefusedAccount,
)
from wafleet.transports.remedies import Patience, http_errors, named, open_errors, ping_errors
from wafleet.transports.twilio import recalling, sender, writing
from wafleet.transports.twilio.errors import PROVIDER, TABLE, told
from wafleet.transports.twilio.hooks import AGAIN
from wafleet.transports.twilio.search import Memory, Search
from wafleet.transports.twilio.sender import Keys, Place
from wafleet.transports.twilio.templates import Templates

ENDED: Final = frozenset({"failed", "undelivered", "canceled"})


class TwilioSession:
    """Speaks for one sender.

    callbacks  where Twilio reports on this account's messages; empty: it is not asked to
    answer_s   a request without a whole answer for this long may have been carried out
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        number: Number,
        keys: Keys,
        place: Place,
        listener: Listener,
        memory: Memory,
        templates: Templates,
        callbacks: str,
        answer_s: float,
    ) -> None:
        self._http, self._listener, self._memory, self._templates = http, listener, memory, templates
        self._number, self._keys, self._place = number, keys, place
        self._callbacks, self._answer_s = callbacks, answer_s
        self._messages = f"{place.api}/2010-04-01/Accounts/{keys.account_sid}/Messages.json"
        self._patience, self._contact, self._looked = Patience(), web.Contact(), web.Contact()
        self._search = Search(
            self._page, messages=self._messages, phone=number.phone, memory=memory, settled_s=answer_s
        )
        self._ended = False

    async def prove(self) -> None:
        """Learn whether the credentials count and the sender works. Raises OpenError."""
        with open_errors(PROVIDER, table=TABLE, read=told):
            seen = await self._look()
        if why := sender.reason(seen):
            raise OpenError(why, sender.offline(seen) or f"{PROVIDER} {seen.get('status')}")
        self._tell(seen)

    async def send(self, out: Outgoing) -> str:
        """Hand one message to Twilio; return its sid. Raises SendError only."""
        if self._ended:
            raise NotSent("network", "the session has ended")
        form = writing.form(out) | self._addressed(out)
        try:
            with self._errors():
                said = await self._asked("POST", self._messages, data=form)
                sid = web.text(said["sid"])
        except RefusedAccount:
            self._looked.lost()  # the next ping looks how the sender stands
            raise
        self._memory.keep(sid, out.id)
        if said.get("status") in ENDED:
            raise named(PROVIDER, str(said.get("error_code") or ""), str(said.get("error_message") or ""), table=TABLE)
        return sid

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        """Look for messages in Twilio's list; one about which too little is known is left out. Raises SendError."""
        return await self._search.find(messages)

    async def since(self, at: datetime) -> list[Inbound]:
        """List what customers wrote since then, oldest first. Raises SendError."""
        return await recalling.lately(self._page, messages=self._messages, phone=self._number.phone, since=at)

    async def ping(self) -> None:
        """Return when Twilio answers, or lately did. Raises ConnectionError.

        How the sender stands is asked every ten minutes, also while it sends. Not to learn it then is no harm.
        """
        if self._ended:
            raise ConnectionError("the session has ended")
        if self._looked.fresh:
            return
        try:
            with ping_errors(PROVIDER, table=TABLE, read=told, account=self._end):
                seen = await self._look()
                self._tell(seen)
                if why := sender.reason(seen):
                    self._end(why, sender.offline(seen))
        except ConnectionError:
            if self._ended or not self._contact.fresh:
                raise
        self._looked.made()

    async def templates(self) -> list[dict[str, Any]]:
        """List the contents of this sender's account, with WhatsApp's word on each. Raises SendError."""
        return await self._templates.all(
            lambda url: self._asked("GET", url), base=self._place.content, account=self._keys.account_sid
        )

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Do nothing: Twilio's requests are answered once what they say is stored."""

    async def close(self) -> None:
        """End the session; nothing is sent on it any more."""
        self._ended = True

    def _addressed(self, out: Outgoing) -> dict[str, str]:
        """The sender is named beside a messaging service, so that a customer always hears from the same number."""
        form = {"From": f"whatsapp:{self._number.phone}", "To": f"whatsapp:{out.to}"}
        if self._place.messaging_service_sid:
            form["MessagingServiceSid"] = self._place.messaging_service_sid
        if self._callbacks:
            form["StatusCallback"] = f"{self._callbacks}/{out.id}{AGAIN}"
        return form

    async def _look(self) -> dict[str, Any]:
        if self._place.sender_sid:
            return await self._asked("GET", f"{self._place.messaging}/v2/Channels/Senders/{self._place.sender_sid}")
        await self._asked("GET", f"{self._place.api}/2010-04-01/Accounts/{self._keys.account_sid}.json")
        return {}

    def _tell(self, seen: Mapping[str, Any]) -> None:
        for sign in sender.signs(seen) if seen else ():
            self._listener.sign(sign)

    async def _page(self, url: str) -> dict[str, Any]:
        with self._errors():
            return await self._asked("GET", url)

    async def _asked(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        asking = self._http.request(method, url, auth=self._keys.auth, **more)
        said = web.answer(await web.whole(asking, within_s=self._answer_s))
        self._contact.made()
        return said

    def _errors(self) -> AbstractContextManager[None]:
        return http_errors(PROVIDER, table=TABLE, read=told, patience=self._patience, account=self._end)

    def _end(self, reason: str, detail: str) -> None:
        if not self._ended:
            self._ended = True
            self._listener.closed(reason, detail)
