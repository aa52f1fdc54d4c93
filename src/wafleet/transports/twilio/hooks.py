"""Requests of Twilio to us: proved by their signature, and read. Pure but for the time of day.

Sources: https://www.twilio.com/docs/usage/webhooks/webhooks-security (signatures),
https://www.twilio.com/docs/messaging/guides/webhook-request (messages of customers),
https://www.twilio.com/docs/messaging/guides/track-outbound-message-status (receipts).
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit
from uuid import UUID

from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.transports import web
from wafleet.transports.base import RefusedAccount
from wafleet.transports.calls import Call, Forged, News, Of, Sign, Unreadable
from wafleet.transports.remedies import Told, detail, remedy
from wafleet.transports.twilio.errors import PROVIDER, TABLE
from wafleet.transports.twilio.reading import inbound, phone

FORM: Final = "application/x-www-form-urlencoded"
SILENCE: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><Response/>'  # plain text would go to the customer as an answer
)
MOST_FIELDS: Final = 500
MOST_BYTES: Final = 256 * 1024  # of a form; Twilio's have a few thousand
# Behind an address at which Twilio calls. Without it a call is repeated once, and only where no connection was made: a
# 503 would lose a customer's message. Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
AGAIN: Final = "#rc=5&rp=ct,rt,5xx"
_PORTS: Final = {"https": "443", "http": "80"}

STATES: Final[Mapping[str, Sending]] = {
    "accepted": Sending.SENT,  # Twilio has it and named it: for us that is all "sent" ever meant
    "scheduled": Sending.SENT,
    "queued": Sending.SENT,
    "sending": Sending.SENT,
    "sent": Sending.SENT,
    "partially_delivered": Sending.SENT,
    "delivered": Sending.DELIVERED,
    "read": Sending.READ,
    "undelivered": Sending.FAILED,
    "failed": Sending.FAILED,
    "canceled": Sending.FAILED,
}

_KNOWN: Final = frozenset(  # of a receipt: all that is read, and what repeats what the message itself says
    {
        *("AccountSid", "ApiVersion", "From", "To", "MessageSid", "SmsSid", "SmsMessageSid"),
        *("MessageStatus", "SmsStatus", "ErrorCode", "ErrorMessage", "ChannelStatusMessage"),
        *("ChannelPrefix", "ChannelInstallSid", "ChannelToAddress", "MessagingServiceSid", "EventType"),
    }
)

Form = Mapping[str, str]


def check(call: Call, token: str) -> None:
    """Return when this request was signed with our account's token. Raises Forged.

    The signature is over the URL exactly as Twilio requested it, byte for byte, as the documentation says. Some of
    Twilio's own client libraries decode and encode it anew and so disagree with each other about a URL with a quote
    or a plus in it; ours does neither. A port may or may not be part of what Twilio signed, so each is tried.
    """
    given = call.headers.get("x-twilio-signature", "").encode("utf-8", "surrogateescape")
    if not given:
        raise Forged("The request bears no signature of Twilio")
    try:
        pairs = _signed_pairs(call)
    except ValueError:
        raise Forged("The request's body cannot be what Twilio signed") from None
    for url in _spellings(call.url):
        if hmac.compare_digest(signature_of(url, pairs, token).encode(), given):
            return
    raise Forged(
        "The signature is not Twilio's: compare the auth token, and `public_url` with the address set at Twilio"
    )


def signature_of(url: str, pairs: Sequence[tuple[str, str]], token: str) -> str:
    """Return what Twilio writes into X-Twilio-Signature: of a repeated parameter, each value counts once."""
    text = url + "".join(map("".join, sorted(set(pairs))))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


def read(call: Call) -> News:
    """Read a checked request: what became of a message of ours, or a message of a customer. Raises Unreadable."""
    form = _form(call)
    status = form.get("MessageStatus", "")
    if status and status not in {"received", "receiving"}:
        return News(said=_receipt(form, status, call))
    if not form.get("From", "").startswith("whatsapp:"):
        return News(answer=SILENCE, content_type="text/xml", left={"not_whatsapp": 1})
    number = phone(form.get("To", ""))
    said = [Of(one, number) for one in inbound(form, at=web.now())]
    return News(said=said, answer=SILENCE, content_type="text/xml")


def _signed_pairs(call: Call) -> Sequence[tuple[str, str]]:
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        return fields(call.body)
    if call.body:
        _check_body(call)
    return []


def _check_body(call: Call) -> None:
    """A body that is no form is not part of the signature itself; its hash in the URL is."""
    said = [value for name, value in parse_qsl(urlsplit(call.url).query) if name == "bodySHA256"]
    if not said or not hmac.compare_digest(said[0].lower().encode(), hashlib.sha256(call.body).hexdigest().encode()):
        raise ValueError("bodySHA256")


@lru_cache(maxsize=1)  # a request is proved and read in one breath
def fields(body: bytes) -> Sequence[tuple[str, str]]:
    """Read a form as `parse_qsl` does, at a third of its cost; bytes that are no text raise ValueError."""
    if len(body) > MOST_BYTES or body.count(b"&") >= MOST_FIELDS:
        raise ValueError("too large")
    cut = [part.partition("=") for part in body.decode().replace("+", " ").split("&") if part]
    return [(_plain(name) if "%" in name else name, _plain(value) if "%" in value else value) for name, _, value in cut]


def _plain(text: str) -> str:
    return unquote_to_bytes(text).decode()


def _spellings(url: str) -> Iterator[str]:
    """The URL as it is, without its port, and with the port that goes without saying."""
    yield url
    scheme, _, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    where, path = rest[:end], rest[end:]
    host, colon, port = where.rpartition(":")
    if colon and port.isdecimal():
        yield f"{scheme}://{host}{path}"
        where = host
    if scheme in _PORTS:
        yield f"{scheme}://{where}:{_PORTS[scheme]}{path}"


def _form(call: Call) -> Form:
    try:
        return dict(fields(call.body or urlsplit(call.url).query.encode()))
    except ValueError:
        raise Unreadable("Twilio sends forms; this is none") from None


def _ours(call: Call) -> MessageId | None:
    """The id we put into the URL ourselves; the signature covers it."""
    try:
        return MessageId(UUID(call.message)) if call.message else None
    except ValueError:
        return None


def _receipt(form: Form, status: str, call: Call) -> list[Of]:
    ours = _ours(call)
    number = "" if ours is not None else phone(form.get("From", ""))
    state = STATES.get(status)
    told = Told(form.get("ErrorCode", ""), form.get("ErrorMessage", "") or form.get("ChannelStatusMessage", ""))
    failed = state is Sending.FAILED
    meant = remedy(PROVIDER, told, TABLE) if failed and told.code else None
    receipt = Receipt(
        state=state or Sending.SENT,  # a word nobody knows proves at least that Twilio has the message
        at=web.now(),
        provider_id=form.get("MessageSid") or form.get("SmsSid") or None,
        message=ours,
        reason=(meant.reason if meant is not None else "refused") if failed else "",
        detail=detail(PROVIDER, told) if failed else "" if state else f"{PROVIDER} {status}",
        raw={name: value for name, value in form.items() if name not in _KNOWN} or None,
    )
    if meant is None or not issubclass(meant.error, RefusedAccount):
        return [Of(receipt, number)]
    return [Of(receipt, number), Of(Sign("status", told.code, meant.reason, receipt.detail), number)]
