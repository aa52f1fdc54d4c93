"""Requests of one gateway's session, and what it answers."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from wafleet.transports.gateway import states
from wafleet.transports.gateway.errors import PROVIDER, TABLE, told
from wafleet.transports.gateway.names import identity
from wafleet.transports.gateway.place import Place
from wafleet.transports.remedies import open_errors
from wafleet.transports.web import ANSWER_S, CONNECT_S, answer, obj, text, whole

SESSION: Final = "/api/sessions/{session}"


class Client:
    """One session of a gateway, asked over the transport's shared connections.

    answer_s  for a whole answer, where a request names no time of its own
    """

    def __init__(self, http: httpx.AsyncClient, place: Place, *, answer_s: float = ANSWER_S) -> None:
        self._http, self.place, self._answer_s = http, place, answer_s

    async def ask(self, method: str, path: str, *, within_s: float | None = None, **more: Any) -> httpx.Response:
        """Make a request; return its answer, whatever its status. Raises what httpx raises."""
        limit = {} if within_s is None else {"timeout": httpx.Timeout(within_s, connect=CONNECT_S)}
        request = self.place.request(self._http, method, path, **more, **limit)
        return await whole(self._http.send(request), within_s=within_s or self._answer_s)

    async def tell(
        self, method: str, path: str, body: dict[str, Any], *, within_s: float | None = None
    ) -> httpx.Response:
        """Make a request with a body; return its answer. Raises HTTPStatusError where it is an error."""
        reply = await self.ask(method, path, json=body or None, within_s=within_s)
        if not reply.is_success:
            raise httpx.HTTPStatusError(f"HTTP {reply.status_code}", request=reply.request, response=reply)
        return reply

    async def session(self) -> "Known":
        """Return what the gateway knows of the session. Raises HTTPStatusError, ValueError."""
        return Known.read(answer(await self.ask("GET", SESSION)))

    async def order(self, what: str) -> None:
        """Have the session started, stopped, restarted or logged out. Raises OpenError."""
        with open_errors(PROVIDER, table=TABLE, read=told):
            await self.tell("POST", f"{SESSION}/{what}", {})


class Known:
    """What a gateway says about one of its sessions."""

    __slots__ = ("config", "phone", "status")

    def __init__(self, status: str, phone: str = "", config: Mapping[str, Any] | None = None) -> None:
        self.status, self.phone, self.config = status, phone, config or {}

    @classmethod
    def read(cls, said: dict[str, Any]) -> "Known":
        """Read the answer of a gateway. Raises ValueError."""
        me, config = said.get("me"), said.get("config")
        who = identity(obj(me).get("id")) if me else ""
        return cls(text(said.get("status")), who if who.startswith("+") else "", obj(config) if config else None)

    @property
    def works(self) -> bool:
        return self.status == states.WORKING
