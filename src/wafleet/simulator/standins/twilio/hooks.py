"""Twilio's calls of webhooks: their parameters, their signature, and the rules by which they are tried again.

Sources: twilio.com/docs/messaging/guides/webhook-request, .../track-outbound-message-status,
.../usage/webhooks/webhooks-security and .../webhooks-connection-overrides.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urldefrag, urlencode

from wafleet.simulator.frames import Said
from wafleet.simulator.standins.hooks import SILENT, UNREACHED, Hook
from wafleet.simulator.standins.twilio.model import Message

_TRIES_S: Final = 15.0
_PAUSE_S: Final = 0.2
_EVENTS: Final = {"delivered": "DELIVERED", "read": "READ", "failed": "UNDELIVERED", "undelivered": "UNDELIVERED"}
_TYPES: Final = {"contact": "contacts", "choice": "interactive"}


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """Sign a call: HMAC-SHA1, by the auth token, of the URL and all parameters in the order of their names."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), said.encode(), hashlib.sha1)).decode()


def call(token: str, url: str, form: Mapping[str, str], *, key: str, ended: Callable[[bool], None] | None) -> Hook:
    """Make one call. What the fragment of its URL says of tries and times holds: `#rc=5&rp=all&rt=2000`."""
    address, fragment = urldefrag(url)
    rules = dict(parse_qsl(fragment))
    tries = min(int(rules.get("rc", "1")), 5)
    limit_ms = int(rules.get("rt", _TRIES_S * 1000))
    return Hook(
        url=address,
        body=urlencode(form).encode(),
        headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "X-Twilio-Signature": signature(token, address, form),
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
            "User-Agent": "TwilioProxy/1.1",
        },
        key=key,
        pauses=(_PAUSE_S,) * tries,
        again=_again(set(rules.get("rp", "ct").split(","))),
        limit_s=min(limit_ms / 1000, _TRIES_S),
        ended=ended,
    )


def _again(policy: set[str]) -> Callable[[int], bool]:
    def again(status: int) -> bool:
        if status == UNREACHED:
            return bool(policy & {"ct", "all"})
        if status == SILENT:
            return bool(policy & {"rt", "all"})
        return bool(policy & {f"{status // 100}xx", "all"})

    return again


def status(message: Message, state: str) -> dict[str, str]:
    """Write the parameters that tell what became of a message."""
    form = {
        "AccountSid": message.account_sid,
        "ApiVersion": "2010-04-01",
        "ChannelInstallSid": "XE" + "0" * 31 + "1",
        "ChannelPrefix": "whatsapp",
        "ChannelToAddress": message.to.removeprefix("whatsapp:")[:-4] + "XXXX",
        "From": message.from_,
        "MessageSid": message.sid,
        "MessageStatus": state,
        "SmsSid": message.sid,
        "SmsStatus": state,
        "StructuredMessage": "false",
        "To": message.to,
    }
    if message.service:
        form["MessagingServiceSid"] = message.service
    if state in _EVENTS:
        form["EventType"] = _EVENTS[state]
    if state in {"failed", "undelivered"}:
        form |= {"ErrorCode": str(message.error), "ErrorMessage": f"Twilio Error: {message.error_words}"}
    return form


def inbound(message: Message, said: Said, base: str, about: Message | None) -> dict[str, str]:
    """Write the parameters of what a customer wrote.

    about  the message it answers
    """
    number = said.sender.removeprefix("+")
    body = said.body or {}
    kind = str(body.get("type", "text"))
    context = {"type": "whatsapp", "data": {"context": {"ProfileName": said.name, "WaId": number}}}
    return {
        "AccountSid": message.account_sid,
        "ApiVersion": "2010-04-01",
        "Body": message.body,
        "ChannelMetadata": json.dumps(context, ensure_ascii=False),
        "From": message.from_,
        "MessageSid": message.sid,
        "MessageType": _TYPES.get(kind, kind),
        "NumMedia": str(len(message.files)),
        "NumSegments": "1",
        "ProfileName": said.name,
        "ReferralNumMedia": "0",
        "SmsMessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "To": message.to,
        "WaId": number,
        **_extra(body, about),
        **_context(about),
        **{f"MediaUrl{n}": f"{base}{message.uri}/Media/{f.sid}" for n, f in enumerate(message.files)},
        **{f"MediaContentType{n}": f.mime for n, f in enumerate(message.files)},
    }


def _context(about: Message | None) -> dict[str, str]:
    if about is None:
        return {}
    return {"OriginalRepliedMessageSid": about.sid, "OriginalRepliedMessageSender": about.from_}


def _extra(body: Mapping[str, Any], about: Message | None) -> dict[str, str]:
    match body.get("type"):
        case "location":
            said = {"Latitude": body.get("latitude"), "Longitude": body.get("longitude")}
            said |= {"Label": body.get("name"), "Address": body.get("address")}
            return {name: str(value) for name, value in said.items() if value}
        case "choice" if about is not None and about.offered == "choices":
            return {"ListId": str(body.get("option", "")), "ListTitle": str(body.get("title", ""))}
        case "choice":
            return {"ButtonText": str(body.get("title", "")), "ButtonPayload": str(body.get("option", ""))}
        case _:
            return {}
