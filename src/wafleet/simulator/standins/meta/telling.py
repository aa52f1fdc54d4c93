"""What Meta's webhooks say: messages of customers and statuses of messages, as values of changes.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wafleet.simulator.frames import Said
from wafleet.simulator.standins.files import Files
from wafleet.simulator.standins.meta.errors import DETAILS, sentence
from wafleet.simulator.standins.meta.model import Number, Sent, bsuid
from wafleet.simulator.standins.meta.reading import FILES

Json = dict[str, Any]
Name = Callable[[str], str]  # Meta's name of a message that the network calls so

_PAID: Final = {"billable": False, "pricing_model": "PMP", "category": "service", "type": "free_customer_service"}


def envelope(number: Number) -> Json:
    """Begin the value of a change about a number."""
    metadata = {"display_phone_number": number.shown_phone, "phone_number_id": number.id}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def person(phone: str, name: str = "", *, hidden: bool) -> Json:
    """Describe a customer; one who hides the phone has only the id that Meta gives."""
    shown: Json = {"profile": {"name": name, "username": name} if hidden else {"name": name}, "user_id": bsuid(phone)}
    return shown if hidden else shown | {"wa_id": phone.removeprefix("+")}


def status(number: Number, sent: Sent, state: str, at: float, *, error: int = 0, hidden: bool = False) -> Json:
    """Write what became of a message."""
    told: Json = {
        "id": sent.wamid,
        "status": state,
        "timestamp": str(int(at)),
        "recipient_user_id": bsuid(sent.to),
    }
    if not hidden:
        told["recipient_id"] = sent.to.removeprefix("+")
    if sent.data:
        told["biz_opaque_callback_data"] = sent.data
    if error:
        told["errors"] = [_error(error)]
    elif state in {"sent", "delivered"}:
        told["conversation"] = {"id": hashlib.md5(sent.to.encode(), usedforsecurity=False).hexdigest()}
        told["pricing"] = _PAID
    return envelope(number) | {"contacts": [person(sent.to, hidden=hidden)], "statuses": [told]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known around a customer's message."""

    name: Name  # of the message it answers or changes
    offered: str  # how the message it answers offered its answers
    files: Files
    file_id: str  # Meta's id of the file it carries
    hidden: bool  # the customer hides the phone


def message(number: Number, said: Said, wamid: str, around: Around) -> Json:
    """Write what a customer wrote."""
    name = around.name
    body: Json = said.body or {"type": "text", "text": said.text}
    kind, part = _part(body, around)
    told: Json = {"from_user_id": bsuid(said.sender), "id": wamid, "timestamp": str(int(said.at)), "type": kind}
    told[kind] = part
    if not around.hidden:
        told["from"] = said.sender.removeprefix("+")
    if kind == "unsupported":
        told = {k: v for k, v in told.items() if k != kind} | {"errors": [_error(131051)]}
    if about := name(str(body.get("reply_to") or "")):
        told["context"] = {"from": number.shown_phone, "id": about}
    contact = person(said.sender, said.name, hidden=around.hidden)
    return envelope(number) | {"contacts": [contact], "messages": [told]}


def _part(body: Json, around: Around) -> tuple[str, Json]:
    """Return the type of a message, and the part that has its name."""
    kind = str(body.get("type"))
    if kind in FILES:
        return kind, _file(body, kind, around.files, around.file_id)
    match kind:
        case "text":
            return kind, {"body": str(body.get("text", ""))}
        case "location":
            return kind, {k: body[k] for k in ("latitude", "longitude", "name", "address") if k in body}
        case "contact":
            return "contacts", _card(body)
        case "choice":
            return _answer(body, around.offered)
        case _:
            return _change(body, kind, around.name(str(body.get("message"))))


def _change(body: Json, kind: str, about: str) -> tuple[str, Json]:
    match kind:
        case "reaction":
            return kind, {"message_id": about, "emoji": str(body.get("emoji", ""))}
        case "edit":
            new = {"type": "text", "text": {"body": str(body.get("text", ""))}}
            return kind, {"original_message_id": about, "message": new}
        case "deletion":
            return "revoke", {"original_message_id": about}
        case _:
            return "unsupported", {}


def _file(body: Json, kind: str, files: Files, file_id: str) -> Json:
    content = files.of(body)
    media: Json = body.get("media") or {}
    sha256 = b64encode(hashlib.sha256(content).digest()).decode()
    part: Json = {"mime_type": media.get("mime") or "application/octet-stream", "sha256": sha256, "id": file_id}
    if body.get("caption"):
        part["caption"] = str(body["caption"])
    if media.get("name") and kind == "document":
        part["filename"] = str(media["name"])
    if kind == "audio":
        part["voice"] = bool(body.get("voice"))
    return part


def _card(body: Mapping[str, Any]) -> Any:
    phone, called = str(body.get("phone", "")), str(body.get("name", ""))
    name = {"formatted_name": called, "first_name": called}
    return [{"name": name, "phones": [{"phone": phone, "wa_id": phone.removeprefix("+"), "type": "CELL"}]}]


def _answer(body: Json, offered: str) -> tuple[str, Json]:
    option, title = str(body.get("option", "")), str(body.get("title", ""))
    match offered:
        case "buttons":
            return "interactive", {"type": "button_reply", "button_reply": {"id": option, "title": title}}
        case "choices":
            return "interactive", {"type": "list_reply", "list_reply": {"id": option, "title": title}}
        case _:
            return "button", {"payload": option, "text": title}


def _error(code: int) -> Json:
    details = DETAILS.get(code) or sentence(code)
    words = sentence(code)
    return {"code": code, "title": words, "message": words, "error_data": {"details": details}}
