"""What Meta posts and answers, as its documents describe it; and a number at Meta that tests speak for."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from wafleet.domain.ids import AccountId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.transports.base import Number
from wafleet.transports.calls import Call, News, Sign
from wafleet.transports.meta.settings import keys_of
from wafleet.transports.meta.transport import Meta

PHONE, NUMBER, BUSINESS = "+15550783881", "106540352242922", "102290129340398"
CUSTOMER = "+16505551234"
TOKEN, SECRET, VERIFY = "EAAtoken-that-is-never-shown", "app-secret-that-is-never-shown", "we agreed on this"
CREDENTIALS = json.dumps({"accessToken": TOKEN, "appSecret": SECRET, "verifyToken": VERIFY}).encode()
SETTINGS: dict[str, object] = {"meta": {"phone_number_id": NUMBER, "waba_id": BUSINESS}}
KEYS = keys_of(CREDENTIALS)
URL = f"https://fleet.example.com/hooks/meta/{new_id()}"
API = "https://graph.facebook.com/v23.0"


def escaped(said: object) -> bytes:
    """Write JSON as Meta does: a slash is escaped, and everything beyond ASCII."""
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode()


def signed(body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={made}", "content-type": "application/json"}


def post(said: object, *, secret: str = SECRET) -> Call:
    body = said if isinstance(said, bytes) else escaped(said)
    return Call("POST", URL, signed(body, secret=secret), body)


def challenge(**asked: str) -> Call:
    query = "&".join(f"hub.{name}={quote(value)}" for name, value in asked.items())
    return Call("GET", f"{URL}?{query}", {}, b"")


def change(value: dict[str, Any], name: str = "messages") -> dict[str, Any]:
    return {"field": name, "value": value}


def notice(*changes: dict[str, Any], business: str = BUSINESS) -> dict[str, Any]:
    return {"object": "whatsapp_business_account", "entry": [{"id": business, "changes": list(changes)}]}


def value(number: str = NUMBER, **parts: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata} | parts


def contact(name: str = "Layla", **more: Any) -> dict[str, Any]:
    return {"profile": {"name": name}, "wa_id": CUSTOMER[1:]} | more


def said(kind: str, part: Any = None, **more: Any) -> dict[str, Any]:
    """One message of a customer."""
    message = {"from": CUSTOMER[1:], "id": "wamid.ONE", "timestamp": "1750016800", "type": kind}
    return message | ({} if part is None else {kind: part}) | more


def messages(*said: Any, contacts: list[dict[str, Any]] | None = None, number: str = NUMBER) -> Any:
    return notice(change(value(number, contacts=[contact()] if contacts is None else contacts, messages=list(said))))


def status(state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "wamid.OURS",
        "status": state,
        "timestamp": "1750016801",
        "recipient_id": CUSTOMER[1:],
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "service"},
    } | more


def statuses(*said: dict[str, Any], number: str = NUMBER) -> Any:
    return notice(change(value(number, statuses=list(said))))


def inbound(news: News) -> list[Inbound]:
    return [one.what for one in news.said if isinstance(one.what, Inbound)]


def receipts(news: News) -> list[Receipt]:
    return [one.what for one in news.said if isinstance(one.what, Receipt)]


def signs(news: News) -> list[Sign]:
    return [one.what for one in news.said if isinstance(one.what, Sign)]


def number(phone: str = PHONE, **settings: Any) -> Number:
    return Number(AccountId(new_id()), phone, SETTINGS | settings)


def refused(code: int, message: str = "no", *, http: int = 400, **more: Any) -> httpx.Response:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AXsgn"} | more
    return httpx.Response(http, json={"error": error})


def taken(id: str = "wamid.SENT") -> httpx.Response:
    contacts = [{"input": CUSTOMER, "wa_id": CUSTOMER[1:]}]
    return httpx.Response(200, json={"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": id}]})


DESCRIBED: dict[str, Any] = {
    "id": NUMBER,
    "display_phone_number": "+1 555-078-3881",
    "verified_name": "Lucky Shrub",
    "quality_rating": "GREEN",
    "status": "CONNECTED",
    "messaging_limit_tier": "TIER_10K",
}

Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Api:
    """Meta's API as far as one test needs it: each answer is asked for by method and path."""

    asked: list[httpx.Request] = field(default_factory=list[httpx.Request])
    answers: dict[str, list[Answer | httpx.Response | Exception]] = field(
        default_factory=dict[str, list[Answer | httpx.Response | Exception]]
    )

    def answer(self, what: str, *answers: Answer | httpx.Response | Exception) -> None:
        """Answer requests such as "POST /messages" with these, in order; the last one stays."""
        self.answers[what] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        for what, answers in self.answers.items():
            method, _, end = what.partition(" ")
            if request.method == method and re.search(f"{end}$", request.url.path):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                return self._given(answer, request)
        if request.method == "GET" and request.url.path.endswith(f"/{NUMBER}"):
            return httpx.Response(200, json=DESCRIBED)
        return refused(100, f"Unknown path components: {request.url.path}")

    def _given(self, answer: Answer | httpx.Response | Exception, request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    @property
    def letters(self) -> list[Any]:
        """What was posted to /messages."""
        return [json.loads(one.content) for one in self.asked if one.url.path.endswith("/messages")]

    def paths(self, method: str) -> list[str]:
        return [one.url.path for one in self.asked if one.method == method]

    def transport(self) -> Meta:
        return Meta(http=httpx.AsyncClient(transport=httpx.MockTransport(self)))
