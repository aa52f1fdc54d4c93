"""Webhooks of a gateway: how one proves where it comes from, and what it says.

Each call carries one event. With a key, `X-Webhook-Hmac` is the HMAC-SHA512 of the body as it came, in hex.
Source: https://waha.devlike.pro/docs/how-to/events/ (the example of its section on HMAC is a test here).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Content, Deletion, Edit, Reaction, Sending, Unsupported
from wafleet.transports.calls import Call, Forged, News, Of, Sign, Unreadable
from wafleet.transports.gateway import reading, states
from wafleet.transports.gateway.names import bare
from wafleet.transports.gateway.place import Keys, session_name
from wafleet.transports.web import now, obj

PLACEHOLDER: Final = "?"  # behind its id, so that the message itself is welcome if it comes after all
_ALGORITHM: Final = "sha512"
_ACKS: Final[Mapping[int, Sending]] = {
    -1: Sending.FAILED,
    1: Sending.SENT,
    2: Sending.DELIVERED,
    3: Sending.READ,
    4: Sending.READ,  # played
}


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    payload: Mapping[str, Any]
    at: datetime


def check(call: Call, credentials: bytes) -> None:
    """Return when the gateway that has our key sent this. Raises Forged."""
    try:
        key = Keys.read(credentials).hmac_key
    except ValueError:
        key = ""
    if not key:
        raise Forged("this account has no HMAC key: enter the one its gateway signs with")
    said = call.headers.get("x-webhook-hmac", "").strip().lower()
    if call.headers.get("x-webhook-hmac-algorithm", _ALGORITHM).strip().lower() != _ALGORITHM:
        raise Forged("the gateway signed with another algorithm than sha512")
    due = hmac.new(key.encode(), call.body, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(said.encode(), due.encode()):
        raise Forged("the signature of this call is not that of the gateway")


def read(call: Call, settings: Mapping[str, object]) -> News:
    """Read what a checked call says. Raises Unreadable."""
    try:
        told = obj(json.loads(call.body))
        event = _event(told, call)
    except (ValueError, RecursionError) as error:
        raise Unreadable("this is no event of a gateway") from error
    reader = _READERS.get(event.kind)
    what = reader(event) if reader is not None else None
    if what is None:
        return News(left={event.kind[:60] or "nothing": 1})
    return News(said=(Of(what, _of(told, settings)),))


def _event(told: Mapping[str, Any], call: Call) -> _Event:
    kind, payload = told.get("event"), told.get("payload")
    if not isinstance(kind, str):
        raise ValueError("no event")
    sent = call.headers.get("x-webhook-timestamp", "")
    stamp = told.get("timestamp") or (int(sent) if sent.isascii() and sent.isdecimal() else 0)
    inside = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    return _Event(kind, inside, reading.time(stamp, now()))


def _of(told: Mapping[str, Any], settings: Mapping[str, object]) -> str:
    """One gateway may post the events of all its sessions to one address."""
    session = told.get("session")
    return session if isinstance(session, str) and session != session_name(settings) else ""


def _message(event: _Event) -> Inbound | None:
    return None if event.payload.get("fromMe") else reading.message(event.payload, at=event.at)


def _waiting(event: _Event) -> Inbound | None:
    """The gateway cannot decrypt it yet, and may never: something visible stands in its place."""
    if event.payload.get("fromMe"):
        return None
    return _on_other(event, Unsupported(dict(event.payload)), "", suffix=PLACEHOLDER)


def _reaction(event: _Event) -> Inbound | None:
    put = event.payload.get("reaction")
    if event.payload.get("fromMe") or not isinstance(put, dict):
        return None
    said = cast("dict[str, Any]", put)
    return _on_other(event, Reaction("", str(said.get("text") or "")), bare(said.get("messageId")))


def _edited(event: _Event) -> Inbound | None:
    if event.payload.get("fromMe"):
        return None
    about = bare(event.payload.get("editedMessageId")) or bare(event.payload.get("id"))
    return _on_other(event, Edit("", str(event.payload.get("body") or "")), about)


def _revoked(event: _Event) -> Inbound | None:
    after = event.payload.get("after")
    inside = cast("dict[str, Any]", after) if isinstance(after, dict) else {}
    if inside.get("fromMe"):
        return None
    about = bare(event.payload.get("revokedMessageId")) or bare(inside.get("id"))
    return _on_other(_Event(event.kind, inside, event.at), Deletion(""), about)


def _on_other(event: _Event, said: Content, about: str, *, suffix: str = "") -> Inbound | None:
    """Something about an earlier message. Some engines give it that message's id: then it gets one of its own."""
    who, id = reading.sender(event.payload), bare(event.payload.get("id"))
    if not (who and id and (about or suffix)):
        return None
    at = reading.time(event.payload.get("timestamp"), event.at)
    own = f"{id}!{event.kind}!{at.timestamp():.3f}" if id == about else id + suffix
    return Inbound(provider_id=own, identity=who, content=said, at=at, about=about)


def _ack(event: _Event) -> Receipt | None:
    ack, id = event.payload.get("ack"), bare(event.payload.get("id"))
    state = _ACKS.get(ack) if isinstance(ack, int) else None
    if state is None or not id or event.payload.get("fromMe") is False:
        return None
    failed = state is Sending.FAILED
    detail = f"gateway {event.payload.get('ackName') or ack}" if failed else ""
    return Receipt(state=state, at=event.at, provider_id=id, reason="refused" if failed else "", detail=detail)


def _status(event: _Event) -> Sign | None:
    status = event.payload.get("status")
    if not isinstance(status, str):
        return None
    reason = states.reason(status)
    detail = states.sentence(status) if reason else ""
    return Sign("status", status[:60], reason, detail)


_READERS: Final[Mapping[str, Callable[[_Event], Inbound | Receipt | Sign | None]]] = {
    "message": _message,
    "message.any": _message,  # the same again, and our own; each is taken once, by its name
    "message.waiting": _waiting,
    "message.reaction": _reaction,
    "message.edited": _edited,
    "message.revoked": _revoked,
    "message.ack": _ack,
    "session.status": _status,
}
EVENTS: Final = tuple(_READERS)  # those that are read
