"""Messages as a gateway's API has them, and as they cross the simulated network.

Source: https://waha.devlike.pro/docs/how-to/send-messages/, /receive-messages/ and /events/
"""

import mimetypes
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wafleet.simulator.frames import Said
from wafleet.simulator.standins.gateway.model import chat, own_id, wrong

Body = Mapping[str, Any]

_NAME: Final = re.compile(r"^FN:(.*)$", re.MULTILINE)
_PHONE: Final = re.compile(r"^TEL[^:]*waid=(\d+)", re.MULTILINE)
_KINDS: Final = {"sendImage": "image", "sendVideo": "video", "sendVoice": "audio", "sendSticker": "sticker"}
_EVENTS: Final = {"reaction": "message.reaction", "edit": "message.edited", "deletion": "message.revoked"}
_MEDIA: Final = frozenset({"image", "video", "audio", "document", "sticker"})
_LONGEST: Final = 4_096


@dataclass(frozen=True, slots=True)
class Draft:
    """What a request asks to send."""

    text: str
    body: dict[str, Any] | None = None  # what is not plain text, as it crosses
    shown: str = ""  # its words, as the API shows them


def draft(what: str, asked: Body, keep: Callable[[bytes], str]) -> Draft:
    """Read a request to send. Raises Wrong.

    keep  takes a file; returns its name
    """
    answers: dict[str, Any] = {"reply_to": own_id(asked["reply_to"])} if asked.get("reply_to") else {}
    match what:
        case "sendText":
            return _text(asked, answers)
        case "sendLocation":
            return Draft("", _location(asked) | answers, "")
        case "sendContactVcard":
            return Draft("", _card(asked) | answers, "")
        case _:
            caption = str(asked.get("caption") or "")
            return Draft("", _file(what, asked, caption, keep) | answers, caption)


def _text(asked: Body, answers: dict[str, Any]) -> Draft:
    text = asked.get("text")
    if not isinstance(text, str) or not text:
        raise wrong(400, "text must be a string")
    if len(text) > _LONGEST:
        raise wrong(400, f"text must be shorter than or equal to {_LONGEST} characters")
    return Draft(text, {"type": "text", "text": text, **answers} if answers else None, text)


def _location(asked: Body) -> dict[str, Any]:
    try:
        place: dict[str, Any] = {"latitude": float(asked["latitude"]), "longitude": float(asked["longitude"])}
    except (LookupError, TypeError, ValueError):
        raise wrong(400, "latitude must be a number") from None
    name, _, address = str(asked.get("title") or "").partition("\n")
    return {"type": "location"} | place | {k: v for k, v in (("name", name), ("address", address)) if v}


def _card(asked: Body) -> dict[str, Any]:
    try:
        one = asked["contacts"][0]
        card = str(one.get("vcard") or "")
    except (LookupError, TypeError, AttributeError):
        raise wrong(400, "contacts must be an array") from None
    name, phone = _NAME.search(card), _PHONE.search(card)
    return {
        "type": "contact",
        "name": name[1] if name else str(one.get("fullName") or ""),
        "phone": f"+{phone[1] if phone else one.get('whatsappId') or ''}",
    }


def _file(what: str, asked: Body, caption: str, keep: Callable[[bytes], str]) -> dict[str, Any]:
    try:
        file = asked["file"]
        content, mime = b64decode(file["data"], validate=True), str(file.get("mimetype") or "")
    except (LookupError, TypeError, ValueError, AttributeError):
        raise wrong(400, "file.data must be base64 encoded") from None
    media: dict[str, Any] = {"id": keep(content), "mime": mime, "size": len(content)}
    if name := file.get("filename"):
        media["name"] = str(name)
    said: dict[str, Any] = {"type": _KINDS.get(what, "document"), "media": media}
    if what == "sendVoice":
        said["voice"] = True
    return said | {"caption": caption} if caption and said["type"] in {"image", "video", "document"} else said


def event(said: Said, phone: str, files_at: str) -> tuple[str, dict[str, Any]]:
    """Write what a customer said as the event that tells it.

    files_at  the URL below which files are given out
    """
    body = said.body or {"type": "text", "text": said.text}
    kind, who = str(body.get("type")), chat(said.sender)
    basic: dict[str, Any] = {
        "id": f"false_{who}_{said.id}",
        "timestamp": int(said.at),
        "from": who,
        "fromMe": False,
        "source": "app",
        "to": chat(phone),
        "_data": {"notifyName": said.name, "type": kind},
    }
    if kind in _EVENTS:
        return _EVENTS[kind], _on_other(kind, body, basic)
    words_ = _words(kind, body, files_at)
    engine: dict[str, Any] = basic["_data"] | words_.pop("_data", {})
    return "message", basic | words_ | _answering(body, who) | {"_data": engine}


def _on_other(kind: str, body: Body, basic: dict[str, Any]) -> dict[str, Any]:
    about = str(body.get("message", ""))
    match kind:
        case "reaction":
            whole = f"true_{basic['from']}_{about}"
            return basic | {"participant": None, "reaction": {"text": body.get("emoji", ""), "messageId": whole}}
        case "edit":
            return basic | {"editedMessageId": about, "body": body.get("text", "")}
        case _:
            return {"after": basic, "revokedMessageId": about, "before": None}


def _words(kind: str, body: Body, files_at: str) -> dict[str, Any]:
    said: dict[str, Any] = {"body": str(body.get("text") or body.get("caption") or ""), "hasMedia": False}
    match kind:
        case "location":
            title = "\n".join(str(body[key]) for key in ("name", "address") if body.get(key))
            place = {"latitude": str(body["latitude"]), "longitude": str(body["longitude"]), "description": title}
            return said | {"location": place}
        case "contact":
            return said | {"vCards": [vcard(body)]}
        case "choice":
            chosen = {"type": "buttons_response", "selectedButtonId": body.get("option", "")}
            return said | {"body": body.get("title", ""), "_data": chosen}
        case _ if kind in _MEDIA:
            return said | _media(kind, body, files_at)
        case "text":
            return said
        case _:  # something the API has no words for: an engine shows what it got
            return said | {"body": "", "_data": dict(body)}


def _media(kind: str, body: Body, files_at: str) -> dict[str, Any]:
    media: Body = body.get("media") or {}
    mime = str(media.get("mime") or "application/octet-stream")
    ending = mimetypes.guess_extension(mime.partition(";")[0]) or ".bin"
    file = {"url": f"{files_at}/{media.get('id', '')}{ending}", "mimetype": mime, "filename": media.get("name")}
    engine = {"type": "ptt" if body.get("voice") else kind, "size": media.get("size", 0)}
    return {"hasMedia": True, "media": file | {"error": None}, "_data": engine}


def _answering(body: Body, who: str) -> dict[str, Any]:
    about = body.get("reply_to")
    return {"replyTo": {"id": about, "participant": who, "body": ""} if about else None}


def vcard(body: Body) -> str:
    """Write somebody's name and number as phones exchange them."""
    phone = str(body.get("phone", ""))
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"FN:{body.get('name', '')}", f"TEL;waid={phone.lstrip('+')}:{phone}")
    return "\n".join((*lines, "END:VCARD"))
