"""Linking a phone through a gateway: its QR codes and its pairing code are passed on until its session works."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from wafleet.transports.base import LinkListener, Number, OpenError, Pairing
from wafleet.transports.gateway import states
from wafleet.transports.gateway.client import SESSION, Client, Known
from wafleet.transports.gateway.errors import PROVIDER, TABLE, told
from wafleet.transports.gateway.hooks import EVENTS
from wafleet.transports.remedies import open_errors
from wafleet.transports.web import answer, now, objs, text

log = logging.getLogger(__name__)

LINK_S: Final = 170.0  # gateways end an attempt after six codes
QR_S: Final = timedelta(seconds=20)  # WhatsApp then has another one shown; the first is good for a minute
_END_S: Final = 5.0
_UNKNOWN: Final = 404
_STARTS: Final = {states.STOPPED: "start", states.FAILED: "restart"}


class Attempt:
    """One attempt to link a phone.

    hook  where the gateway is to call us: it is told so, also of a session that is there already, which keeps all else
    """

    def __init__(self, asked: Client, number: Number, shown: LinkListener, *, hook: str, look_s: float) -> None:
        self._asked, self._number, self._shown, self._hook, self._look_s = asked, number, shown, hook, look_s
        self._qr = self._code = ""
        self._code_asked = False

    async def run(self) -> None:
        """Return when the account's own phone is linked. Raises OpenError."""
        try:
            async with asyncio.timeout(LINK_S):
                known = await self._linked()
        except TimeoutError:
            await self._end()
            raise OpenError("link_expired") from None
        except (asyncio.CancelledError, OpenError):
            await asyncio.shield(self._end())
            raise
        try:
            check_phone(known, self._number)
        except OpenError:
            await self._asked.order("logout")
            raise

    async def _linked(self) -> Known:
        known = await self._begun()
        while not known.works:
            if known.status == states.SCAN:
                await self._show()
            elif known.status in {states.PASSKEY, states.CONFIRM}:
                raise OpenError("passkey", await self._passkey(known.status))
            elif known.status in _STARTS:
                raise OpenError("link_expired", states.sentence(known.status))
            await asyncio.sleep(self._look_s)
            with open_errors(PROVIDER, table=TABLE, read=told):
                known = await self._asked.session()
        return known

    async def _begun(self) -> Known:
        """Make the session, or start it, where that is needed."""
        with open_errors(PROVIDER, table=TABLE, read=told):
            reply = await self._asked.ask("GET", SESSION)
            known = Known("") if reply.status_code == _UNKNOWN else Known.read(answer(reply))
        if not known.status:
            return await self._made()
        changed = await self._told_where_to_call(known.config)
        if start := _STARTS.get(known.status):
            await self._asked.order(start)
        return Known(states.STARTING) if start or changed else known

    async def _told_where_to_call(self, config: Mapping[str, Any]) -> bool:
        """Add our webhook to a session that does not have it as it must be; then the gateway starts it anew."""
        own = self._webhook()
        webhooks = objs(config.get("webhooks") or [])
        if own is None or any(_calls_as(one, own) for one in webhooks):
            return False
        others = [one for one in webhooks if one.get("url") != own["url"]]
        body = {"config": {**config, "webhooks": [*others, own]}}
        with open_errors(PROVIDER, table=TABLE, read=told):
            await self._asked.tell("PUT", SESSION, body)
        return True

    async def _made(self) -> Known:
        body: dict[str, Any] = {"name": self._asked.place.session, "start": True, "config": self._config()}
        with open_errors(PROVIDER, table=TABLE, read=told):
            await self._asked.tell("POST", "/api/sessions", body)
        return Known(states.STARTING)

    def _config(self) -> dict[str, Any]:
        own = self._webhook()
        config: dict[str, Any] = {"metadata": {"phone": self._number.phone}}
        return config if own is None else config | {"webhooks": [own]}

    def _webhook(self) -> dict[str, Any] | None:
        """Describe how the gateway is to call us; None: nobody told us our public address."""
        if not self._hook:
            return None
        hook: dict[str, Any] = {"url": self._hook, "events": [one for one in EVENTS if one != "message.any"]}
        hook["retries"] = {"policy": "exponential", "delaySeconds": 2, "attempts": 15}
        return hook | ({"hmac": {"key": key}} if (key := self._asked.place.keys.hmac_key) else {})

    async def _show(self) -> None:
        with contextlib.suppress(OpenError), open_errors(PROVIDER, table=TABLE, read=told):
            reply = await self._asked.ask("GET", "/api/{session}/auth/qr", params={"format": "raw"})
            qr = text(answer(reply).get("value"))
            if not self._code_asked:
                self._code_asked = True
                await self._ask_for_code()
            if qr != self._qr:
                self._qr = qr
                self._shown.pairing(Pairing(self._qr, self._code, now() + QR_S))

    async def _ask_for_code(self) -> None:
        """Ask once for a code to type on the phone. Linking works without it, so that failing is no failure."""
        body = {"phoneNumber": self._number.phone.removeprefix("+")}
        try:
            with open_errors(PROVIDER, table=TABLE, read=told):
                reply = await self._asked.tell("POST", "/api/{session}/auth/request-code", body)
                self._code = text(answer(reply).get("code"))
        except OpenError as error:
            log.info("no pairing code", extra={"why": str(error)})

    async def _passkey(self, status: str) -> str:
        """Say what is to be done; with the code that the phone shows as well, where the gateway has it."""
        if status == states.CONFIRM:
            with contextlib.suppress(OpenError), open_errors(PROVIDER, table=TABLE, read=told):
                reply = await self._asked.ask("GET", "/api/{session}/auth/passkey/confirmation")
                return f"{states.sentence(status)} (code {text(answer(reply).get('code'))})"
        return states.sentence(status)

    async def _end(self) -> None:
        """Have the gateway show no more codes. A session that waits for a passkey stays: it is linked there."""
        with contextlib.suppress(OpenError, TimeoutError):
            async with asyncio.timeout(_END_S):
                with open_errors(PROVIDER, table=TABLE, read=told):
                    known = await self._asked.session()
                if known.status in {states.SCAN, states.STARTING}:
                    await self._asked.order("stop")


def _calls_as(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a webhook calls where, of what and signed as another one does; it may tell of more."""
    events = set(known.get("events") or [])
    whole = "*" in events or events.issuperset(wanted["events"])
    return whole and all((known.get(name) or None) == wanted.get(name) for name in ("url", "hmac"))


def check_phone(known: Known, number: Number) -> None:
    """Raise OpenError when a session that works is another number's."""
    if known.phone and known.phone != number.phone:
        raise OpenError("link_wrong_phone", f"the gateway's session is that of {known.phone}, not {number.phone}")
