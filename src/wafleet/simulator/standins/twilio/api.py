"""Twilio's HTTP API, as a stand-in answers it: messages, media, senders, contents."""

import base64
import binascii
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import dropwhile, islice
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from wafleet.simulator.standins.control import control
from wafleet.simulator.standins.server import Ill, IllAnswer, answering
from wafleet.simulator.standins.twilio.content import APPROVED
from wafleet.simulator.standins.twilio.errors import THROTTLED, Wrong
from wafleet.simulator.standins.twilio.model import API, Message, Sender, phone_of
from wafleet.simulator.standins.twilio.sending import read
from wafleet.simulator.standins.twilio.service import Twilio

Handler = Callable[[Request], Awaitable[Response]]

_ACCOUNT: Final = f"{API}/Accounts/{{account}}"
_PAGE: Final = 50
_LONGEST_PAGE: Final = 1_000


def api(twilio: Twilio) -> Starlette:
    """Return the app that answers as Twilio does; all its hosts are one here."""
    doors = _Doors(twilio)
    table: list[tuple[str, str, Handler]] = [
        ("GET", f"{_ACCOUNT}.json", doors.account),
        ("POST", f"{_ACCOUNT}/Messages.json", doors.create),
        ("GET", f"{_ACCOUNT}/Messages.json", doors.messages),
        ("GET", f"{_ACCOUNT}/Messages/{{sid}}.json", doors.message),
        ("POST", f"{_ACCOUNT}/Messages/{{sid}}.json", doors.update),
        ("DELETE", f"{_ACCOUNT}/Messages/{{sid}}.json", doors.delete),
        ("GET", f"{_ACCOUNT}/Messages/{{sid}}/Media.json", doors.files),
        ("GET", f"{_ACCOUNT}/Messages/{{sid}}/Media/{{file}}.json", doors.file),
        ("GET", f"{_ACCOUNT}/Messages/{{sid}}/Media/{{file}}", doors.download),
        ("GET", "/v2/Channels/Senders", doors.senders),
        ("POST", "/v2/Channels/Senders", doors.register),
        ("GET", "/v2/Channels/Senders/{sid}", doors.sender),
        ("POST", "/v2/Channels/Senders/{sid}", doors.change),
        ("DELETE", "/v2/Channels/Senders/{sid}", doors.dismiss),
        ("POST", "/v2/Indicators/Typing.json", doors.typing),
        ("GET", "/v1/Content", doors.contents),
        ("POST", "/v1/Content", doors.write),
        ("GET", "/v1/ContentAndApprovals", doors.contents),
        ("GET", "/v1/Content/{sid}", doors.content),
        ("DELETE", "/v1/Content/{sid}", doors.erase),
        ("GET", "/v1/Content/{sid}/ApprovalRequests", doors.approval),
        ("POST", "/v1/Content/{sid}/ApprovalRequests/whatsapp", doors.approve),
    ]
    routes = [Route(path, _guarded(twilio, handler), methods=[method]) for method, path, handler in table]
    routes.append(Route("/_cdn/{name}/{proof}", doors.cdn))
    routes += control(twilio.numbers, twilio.hooks, twilio.files, twilio.tally)
    return Starlette(routes=[*routes, Route("/{rest:path}", _guarded(twilio, _nothing))])


@asynccontextmanager
async def listening(twilio: Twilio, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Run a stand-in behind its API while this lasts; yields its base URL. Raises OSError when the port is taken."""
    async with twilio, answering(api(twilio), host=host, port=port) as twilio.base:
        yield twilio.base


def _guarded(twilio: Twilio, handler: Handler) -> Handler:
    """Let only the account's own requests through, and answer errors as Twilio does."""

    async def guarded(request: Request) -> Response:
        try:
            _know(twilio, request)
            return await handler(request)
        except Ill as ill:
            return IllAnswer(ill.kind)
        except Wrong as wrong:
            twilio.tally.errors[str(wrong.code)] += 1
            twilio.tally.throttled += str(wrong.code) in THROTTLED
            return wrong.answer()

    return guarded


def _know(twilio: Twilio, request: Request) -> None:
    kind, _, packed = request.headers.get("Authorization", "").partition(" ")
    try:
        shown = base64.b64decode(packed, validate=True)
    except binascii.Error:
        shown = b""
    known = f"{twilio.account_sid}:{twilio.auth_token}".encode()
    if kind.lower() != "basic" or not hmac.compare_digest(shown, known):
        raise Wrong(20003)
    if request.path_params.get("account", twilio.account_sid) != twilio.account_sid:
        raise Wrong(20404)


async def _nothing(_: Request) -> Response:
    raise Wrong(20404)


class _Doors:
    """One method for each thing the API does."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio

    async def account(self, _: Request) -> Response:
        told = {"sid": self._twilio.account_sid, "status": "active", "type": "Full", "friendly_name": "simulated"}
        return JSONResponse(told | {"uri": f"{API}/Accounts/{self._twilio.account_sid}.json"})

    async def create(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        draft = read(form, self._twilio.contents, self._sends)
        message = await self._twilio.create(draft)
        state = "accepted" if message.service else "queued"
        return JSONResponse(message.shown() | {"status": state, "date_sent": None}, 201)

    async def messages(self, request: Request) -> Response:
        wanted = dict(request.query_params)
        size = min(max(_number(wanted, "PageSize", _PAGE), 1), _LONGEST_PAGE)
        page = _number(wanted, "Page", 0)
        last = wanted.pop("PageToken", "")[2:]
        try:
            found = list(islice(_after(last, self._twilio.book.newest(wanted)), size + 1))
        except ValueError:
            raise Wrong(20001) from None

        def uri(number: int, **more: str) -> str:
            return f"{request.url.path}?{urlencode(wanted | {'PageSize': size, 'Page': number} | more)}"

        return JSONResponse(
            {
                "messages": [m.shown() for m in found[:size]],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(min(len(found), size) - 1, 0),
                "uri": uri(page),
                "first_page_uri": uri(0),
                "previous_page_uri": None,
                "next_page_uri": uri(page + 1, PageToken=f"PA{found[size - 1].sid}") if len(found) > size else None,
            }
        )

    async def message(self, request: Request) -> Response:
        return JSONResponse(self._message(request).shown())

    async def update(self, request: Request) -> Response:
        message, form = self._message(request), parse_qs((await request.body()).decode(), keep_blank_values=True)
        if form.get("Status"):
            raise Wrong(30409)
        if form.get("Body") == [""]:
            message.body = ""
        return JSONResponse(message.shown())

    async def delete(self, request: Request) -> Response:
        self._twilio.book.remove(self._message(request).sid)
        return Response(status_code=204)

    async def files(self, request: Request) -> Response:
        message = self._message(request)
        return JSONResponse({"media_list": [message.shown_file(f) for f in message.files], "next_page_uri": None})

    async def file(self, request: Request) -> Response:
        message = self._message(request)
        for file in message.files:
            if file.sid == request.path_params["file"]:
                return JSONResponse(message.shown_file(file))
        raise Wrong(20404)

    async def download(self, request: Request) -> Response:
        """Send the caller on to where files are, as Twilio does: an address that is good for a while."""
        for file in self._message(request).files:
            if file.sid == request.path_params["file"]:
                where = f"{self._twilio.base}/_cdn/{file.name}/{self._proof(file.name)}?{urlencode({'is': file.mime})}"
                return RedirectResponse(where, 307)
        raise Wrong(20404)

    async def cdn(self, request: Request) -> Response:
        """Hand out a file to whoever has its address."""
        name = request.path_params["name"]
        content = self._twilio.files.get(name)
        if content is None or not hmac.compare_digest(request.path_params["proof"], self._proof(name)):
            return Response(status_code=404)
        return Response(content, media_type=request.query_params.get("is"))

    async def senders(self, _: Request) -> Response:
        return self._page("senders", [s.shown(self._twilio.base) for s in self._twilio.senders.values()])

    async def register(self, request: Request) -> Response:
        asked = await _json(request)
        phone = phone_of(str(asked.get("sender_id", "")))
        if not phone:
            raise Wrong(20422)
        sender = self._twilio.add(phone, webhook=asked.get("webhook") or {})
        return self._changed(sender, asked, 201)

    async def sender(self, request: Request) -> Response:
        return JSONResponse(self._sender(request).shown(self._twilio.base))

    async def change(self, request: Request) -> Response:
        return self._changed(self._sender(request), await _json(request), 202)

    async def dismiss(self, request: Request) -> Response:
        self._twilio.remove(self._sender(request).phone)
        return Response(status_code=204)

    async def typing(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if self._twilio.book.get((form.get("messageId") or [""])[0]) is None:
            raise Wrong(20404)
        return JSONResponse({"success": True})

    async def contents(self, request: Request) -> Response:
        approvals, base = request.url.path.endswith("Approvals"), self._twilio.base
        shown = [
            c.shown(base) | ({"approval_requests": c.approval()} if approvals else {}) for c in self._twilio.contents
        ]
        return self._page("contents", shown)

    async def write(self, request: Request) -> Response:
        content = self._twilio.contents.create(await _json(request), self._twilio.clock())
        return JSONResponse(content.shown(self._twilio.base), 201)

    async def content(self, request: Request) -> Response:
        return JSONResponse(self._twilio.contents.get(request.path_params["sid"]).shown(self._twilio.base))

    async def erase(self, request: Request) -> Response:
        self._twilio.contents.remove(request.path_params["sid"])
        return Response(status_code=204)

    async def approval(self, request: Request) -> Response:
        content = self._twilio.contents.get(request.path_params["sid"])
        told = {"sid": content.sid, "account_sid": content.account_sid, "whatsapp": content.approval()}
        return JSONResponse(told | {"url": str(request.url)})

    async def approve(self, request: Request) -> Response:
        content, asked = self._twilio.contents.get(request.path_params["sid"]), await _json(request)
        content.name, content.category = str(asked.get("name", "")), str(asked.get("category", "UTILITY"))
        content.status = APPROVED
        return JSONResponse(content.approval(), 201)

    def _sends(self, address: str, to: str) -> str:
        """Return the phone of a sender; without one, that of the pool which always writes to this recipient."""
        if not address and self._twilio.senders:
            pool = sorted(self._twilio.senders)
            return pool[sum(to.encode()) % len(pool)]
        if phone_of(address) not in self._twilio.senders:
            raise Wrong(63007)
        return phone_of(address)

    def _message(self, request: Request) -> Message:
        found = self._twilio.book.get(request.path_params["sid"])
        if found is None:
            raise Wrong(20404)
        return found

    def _sender(self, request: Request) -> Sender:
        for sender in self._twilio.senders.values():
            if sender.sid == request.path_params["sid"]:
                return sender
        raise Wrong(20404)

    def _changed(self, sender: Sender, asked: dict[str, Any], status: int) -> Response:
        for name in ("webhook", "configuration", "profile"):
            setattr(sender, name, getattr(sender, name) | (asked.get(name) or {}))
        return JSONResponse(sender.shown(self._twilio.base), status)

    def _page(self, key: str, shown: Sequence[dict[str, Any]]) -> Response:
        meta = {"key": key, "page": 0, "page_size": max(len(shown), 1), "next_page_url": None}
        return JSONResponse({key: shown, "meta": meta | {"previous_page_url": None, "first_page_url": "", "url": ""}})

    def _proof(self, name: str) -> str:
        return hmac.digest(self._twilio.auth_token.encode(), name.encode(), "sha256").hex()[:32]


def _after(sid: str, messages: Iterator[Message]) -> Iterator[Message]:
    """Skip to what follows a message, so that newer ones shift no page."""
    if sid:
        messages = dropwhile(lambda m: m.sid != sid, messages)
        next(messages, None)
    return messages


async def _json(request: Request) -> dict[str, Any]:
    try:
        return msgspec.json.decode(await request.body(), type=dict[str, Any])
    except msgspec.MsgspecError:
        raise Wrong(20001) from None


def _number(wanted: dict[str, str], name: str, otherwise: int) -> int:
    written = wanted.get(name, "")
    return int(written) if written.isdecimal() else otherwise
