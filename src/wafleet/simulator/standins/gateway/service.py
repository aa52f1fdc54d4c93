"""A stand-in of a gateway: the HTTP interface of WAHA and its webhooks, on the numbers of a simulated network.

gateway_api.py reads requests; gateway_words.py knows how messages look; gateway_sessions.py links and starts sessions;
here is what becomes of messages.
Source: https://waha.devlike.pro/docs/
"""

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from wafleet.simulator.frames import DELIVERED, READ, Receipt, Said
from wafleet.simulator.model import PHONE
from wafleet.simulator.sending import NOBODY
from wafleet.simulator.standins.files import Files
from wafleet.simulator.standins.gateway.hooks import calls
from wafleet.simulator.standins.gateway.model import (
    ACKS,
    FAILED,
    PREFIX,
    STARTING,
    WORKING,
    Book,
    Message,
    Session,
    Wrong,
    broken,
    chat,
    own_id,
    phone_of,
    wrong,
)
from wafleet.simulator.standins.gateway.sessions import Sessions
from wafleet.simulator.standins.gateway.words import Draft, draft, event, vcard
from wafleet.simulator.standins.hooks import Webhooks
from wafleet.simulator.standins.numbers import Connect, Numbers
from wafleet.simulator.standins.rules import Tally
from wafleet.simulator.standins.server import Ill
from wafleet.simulator.wire import NoAnswer, Refusal

log = logging.getLogger(__name__)

_ACKS: Final = {DELIVERED: 2, READ: 3}
_ENDED: Final = frozenset({"banned", "locked", "outdated"})  # the number's own trouble: starting anew does not help
_NUMBERS: Final = {"reach_out_lock": "463", "throttled": "429"}  # WhatsApp's own, as the engine passes them on


class Gateway:
    """One gateway with its sessions. Use as a context manager.

    connect   opens a connection to the world
    api_key   what callers must show
    webhooks  called for all sessions, besides each session's own: {"url", "events", "hmac": {"key"}, "retries"}
    base      the URL under which the API is reached: it stands in links to files
    """

    def __init__(
        self,
        connect: Connect,
        *,
        api_key: str,
        webhooks: Sequence[Mapping[str, Any]] = (),
        files: Files | None = None,
        answer_s: float = 60.0,
    ) -> None:
        self.api_key, self.webhooks, self.base = api_key, list(webhooks), ""
        self.files, self.book, self.tally = files or Files(), Book(), Tally()
        self.numbers, self.hooks = Numbers(connect, self, answer_s=answer_s), Webhooks()
        self.sessions = Sessions(self.numbers, self._status)
        self._telling: set[tuple[str, str]] = set()  # messages of customers whose webhooks are under way

    async def __aenter__(self) -> Self:
        await self.numbers.__aenter__()
        await self.hooks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sessions.close()
        await self.numbers.__aexit__()
        await self.hooks.__aexit__()

    # what it is asked

    async def send(self, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message; return it as the API shows it. Raises Wrong, Ill."""
        session, to = self.sessions.working(str(asked.get("session") or "default")), phone_of(asked.get("chatId"))
        said = draft(what, asked, self.files.put)
        message = self._noted(session, to, said, str(asked.get("reply_to") or ""))
        await self._carry(session, message.id, to, said)
        return message.payload

    async def change(self, session: Session, to: str, body: dict[str, Any]) -> str:
        """Say something about an earlier message: a reaction, new words, that it is taken back."""
        id = _new_id()
        await self._carry(session, id, to, Draft("", body))
        return id

    def exists(self, phone: str) -> dict[str, Any]:
        """Tell whether a phone is on WhatsApp."""
        is_there = bool(PHONE.fullmatch(phone)) and not phone.startswith(NOBODY)
        return {"numberExists": is_there} | ({"chatId": chat(phone)} if is_there else {})

    async def _carry(self, session: Session, id: str, to: str, said: Draft) -> None:
        try:
            await self.numbers.send(session.phone, id.encode(), to, said.text, said.body)
        except NoAnswer:
            raise broken("1 CANCELLED: the engine did not answer in time") from None
        except Refusal as refused:
            if refused.reason == "ill_answer":
                self._crossed(id)
                self.tally.ill += 1
                raise Ill(refused.detail) from None
            self.book.drop(id)
            raise self._refused(session, refused) from None
        self._crossed(id)
        self.tally.accepted += 1

    def _refused(self, session: Session, refused: Refusal) -> Wrong:
        code = str(refused.reason)
        self.tally.errors[code] += 1
        match refused.reason:
            case "throttled" | "reach_out_lock":
                self.tally.throttled += refused.reason == "throttled"
                return broken(f"2 UNKNOWN: server returned error {_NUMBERS[refused.reason]}")
            case "refused":
                return broken(f"2 UNKNOWN: server returned error {refused.detail[:3]}")
            case "not_on_whatsapp":
                return broken("2 UNKNOWN: no LID found for the number")
            case "too_long":
                return wrong(400, refused.detail)
            case "provider_error":
                return _demanded(refused.detail)
            case _:
                return self.sessions.not_working(session)

    def _noted(self, session: Session, to: str, said: Draft, answers: str) -> Message:
        id, who = _new_id(), chat(to)
        payload: dict[str, Any] = {
            "id": f"true_{who}_{id}",
            "timestamp": int(time.time()),
            "from": chat(session.phone),
            "fromMe": True,
            "source": "api",
            "to": who,
            "body": said.shown,
            "hasMedia": bool(said.body and said.body.get("media")),
            "media": None,
            "ack": 0,
            "ackName": ACKS[0],
            "replyTo": {"id": own_id(answers), "participant": None, "body": ""} if answers else None,
        }
        payload |= _listed(said)
        message = Message(id, session.name, who, payload)
        self.book.add(message)
        return message

    # what the network tells

    def said(self, phone: str, said: Said) -> None:
        """Tell the webhooks what a customer wrote; the network counts it as received once they took it."""
        session = self.sessions.with_phone(phone)
        if session is None or (phone, said.id) in self._telling:
            return
        kind, payload = event(said, phone, f"{self.base}/api/files/{session.name}")
        if kind == "message":
            self.book.add(Message(said.id, session.name, str(payload["from"]), payload, crossed=True))
        self._telling.add((phone, said.id))
        open_, all_taken = 1, True

        def ended(accepted: bool) -> None:
            nonlocal open_, all_taken
            open_, all_taken = open_ - 1, all_taken and accepted
            if not open_:
                self._telling.discard((phone, said.id))
                if all_taken:
                    self.numbers.acknowledge(phone, [said.id])

        events = (kind, "message.any") if kind == "message" else (kind,)
        hooks = [one for name in events for one in calls(session, name, payload, everywhere=self.webhooks, ended=ended)]
        for hook in hooks:
            open_ += 1
            if not self.hooks.post(hook):
                ended(False)
        ended(bool(hooks))

    def receipt(self, phone: str, receipt: Receipt) -> None:
        """Tell the webhooks what became of a message."""
        self._crossed(receipt.id)
        session, message = self.sessions.with_phone(phone), self.book.get(receipt.id)
        if session is None:
            return
        ack = _ACKS.get(receipt.state, 1)
        payload: dict[str, Any] = {"id": receipt.id, "from": chat(phone), "fromMe": True, "participant": None}
        if message is not None:
            message.payload |= {"ack": max(ack, message.payload["ack"]), "ackName": ACKS[ack]}
            payload |= {"id": message.payload["id"], "to": message.chat}
        self._post(session, "message.ack", payload | {"ack": ack, "ackName": ACKS[ack]})

    def changed(self, phone: str) -> None:
        """A number went online or off: its session follows."""
        session, trouble = self.sessions.with_phone(phone), self.numbers.trouble(phone)
        if session is None:
            return
        if trouble is None:
            self.sessions.move(session, WORKING)
        elif trouble.reason == "logged_out":
            self.sessions.logged_out(session)
        else:
            self.sessions.move(session, FAILED if trouble.reason in _ENDED else STARTING)

    def _status(self, session: Session) -> None:
        payload = {"name": session.name, "status": session.status, "statuses": session.history[-3:]}
        self._post(session, "session.status", payload)

    def _post(self, session: Session, kind: str, payload: Mapping[str, Any]) -> None:
        for hook in calls(session, kind, payload, everywhere=self.webhooks):
            self.hooks.post(hook)

    def _crossed(self, id: str) -> None:
        if (message := self.book.get(id)) is not None and not message.crossed:
            message.crossed = True
            message.payload |= {"ack": 1, "ackName": ACKS[1]}


def _new_id() -> str:
    return PREFIX + secrets.token_hex(9).upper()


def _listed(said: Draft) -> dict[str, Any]:
    """What else a list of a chat shows of a message that was sent."""
    body = said.body or {}
    if body.get("type") == "location":
        title = "\n".join(str(body[key]) for key in ("name", "address") if body.get(key))
        return {"location": {"latitude": body["latitude"], "longitude": body["longitude"], "description": title}}
    if body.get("type") == "contact":
        return {"vCards": [vcard(body)]}
    if file := body.get("media"):
        return {"media": {"url": None, "mimetype": file.get("mime"), "filename": file.get("name"), "error": None}}
    return {}


def _demanded(detail: str) -> Wrong:
    """Answer with the error that somebody wants to see: an HTTP status, or a number of WhatsApp's."""
    code = detail.split()[0] if detail else "500"
    if code in {"400", "401", "403", "404", "413", "422", "429", "500", "501", "502", "503"}:
        return Wrong(int(code), {"message": f"on demand: {detail}", "statusCode": int(code)}, wait=2.0)
    return broken(f"2 UNKNOWN: server returned error {code}")
