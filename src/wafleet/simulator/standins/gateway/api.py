"""The HTTP interface of a stand-in of a gateway.

Source: https://waha.devlike.pro/docs/how-to/ and the OpenAPI description of WAHA
"""

import base64
import hmac
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import segno
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wafleet.simulator.standins.control import control
from wafleet.simulator.standins.gateway.model import SCAN, Session, Wrong, own_id, phone_of, wrong
from wafleet.simulator.standins.gateway.service import Gateway
from wafleet.simulator.standins.server import Ill, IllAnswer, answering

_SENDS: Final = ("Text", "Image", "Video", "Voice", "File", "Sticker", "Location", "ContactVcard")
_NEWEST: Final = 100
_MADE: Final = 201  # what the framework answers to a POST
Work = Callable[[Request], Awaitable[Any]]


def app(gateway: Gateway) -> Starlette:
    """Make the application of a gateway."""
    api = _Api(gateway)
    return Starlette(
        routes=[
            *control(gateway.numbers, gateway.hooks, gateway.files, gateway.tally),
            *(_route(api, "POST", f"/api/send{what}", _sender(api, f"send{what}")) for what in _SENDS),
            *(_route(api, method, path, work) for (method, path), work in api.works().items()),
            Route("/ping", _pong),
            Route("/{rest:path}", _nothing, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


@asynccontextmanager
async def listening(gateway: Gateway, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve a gateway while this lasts; yields its base URL. Raises OSError when the port is taken."""
    async with gateway, answering(app(gateway), host=host, port=port) as base:
        gateway.base = base
        yield base


def _route(api: "_Api", method: str, path: str, work: Work) -> Route:
    async def answer(request: Request) -> Response:
        try:
            api.check(request)
            said = await work(request)
        except Wrong as refused:
            after = {"Retry-After": str(round(refused.wait))} if refused.status == 429 and refused.wait else None
            return JSONResponse(refused.body, refused.status, headers=after)
        except Ill as ill:
            return IllAnswer(ill.kind)
        return said if isinstance(said, Response) else JSONResponse(said, _MADE if method == "POST" else 200)

    return Route(path, answer, methods=[method])


def _sender(api: "_Api", what: str) -> Work:
    async def send(request: Request) -> Any:
        return await api.gateway.send(what, await _body(request))

    return send


async def _pong(request: Request) -> Response:
    return JSONResponse({"message": "pong"})


async def _nothing(request: Request) -> Response:
    words = f"Cannot {request.method} {request.url.path}"
    return JSONResponse({"message": words, "error": "Not Found", "statusCode": 404}, 404)


class _Api:
    """What each request does."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def works(self) -> dict[tuple[str, str], Work]:
        """Return the requests there are besides those that send."""
        one, message = "/api/sessions/{session}", "/api/{session}/chats/{chat}/messages/{message}"
        return {
            ("GET", "/api/version"): self.version,
            ("GET", "/api/sessions"): self.sessions,
            ("POST", "/api/sessions"): self.make,
            ("GET", one): self.session,
            ("PUT", one): self.update,
            ("DELETE", one): self.delete,
            ("GET", f"{one}/me"): self.me,
            **{("POST", f"{one}/{what}"): self.order(what) for what in ("start", "stop", "restart", "logout")},
            ("GET", "/api/{session}/auth/qr"): self.qr,
            ("POST", "/api/{session}/auth/request-code"): self.code,
            ("GET", "/api/contacts/check-exists"): self.exists,
            ("GET", "/api/{session}/chats/{chat}/messages"): self.messages,
            ("GET", message): self.message,
            ("PUT", message): self.edit,
            ("DELETE", message): self.revoke,
            ("PUT", "/api/reaction"): self.react,
            **{("POST", f"/api/{what}"): self.shown for what in ("sendSeen", "startTyping", "stopTyping")},
            ("GET", "/api/files/{session}/{file}"): self.file,
        }

    def check(self, request: Request) -> None:
        """Raise Wrong where the key is not shown."""
        shown = request.headers.get("X-Api-Key", "")
        if not hmac.compare_digest(shown.encode(), self.gateway.api_key.encode()):
            raise Wrong(401, {"message": "Unauthorized", "statusCode": 401})

    async def version(self, request: Request) -> Any:
        return {"version": "2025.9.1", "engine": "GOWS", "tier": "PLUS", "browser": None}

    # sessions

    async def sessions(self, request: Request) -> Any:
        every = request.query_params.get("all") == "true"
        return [one.shown() for one in self.gateway.sessions.all if every or one.status != "STOPPED"]

    async def make(self, request: Request) -> Any:
        asked = await _body(request)
        config = cast("dict[str, Any]", asked.get("config") or {})
        name = str(asked.get("name") or "default")
        return self.gateway.sessions.make(name, config, start=asked.get("start") is not False).shown()

    async def session(self, request: Request) -> Any:
        return self._named(request).shown()

    async def update(self, request: Request) -> Any:
        session = self._named(request)
        session.config = dict((await _body(request)).get("config") or {})
        if session.status != "STOPPED":
            await self.gateway.sessions.restart(session)
        return session.shown()

    async def delete(self, request: Request) -> Any:
        await self.gateway.sessions.delete(self._named(request))
        return {}

    async def me(self, request: Request) -> Any:
        return self._named(request).shown()["me"]

    def order(self, what: str) -> Work:
        """Return the work of starting a session, and so on."""

        async def work(request: Request) -> Any:
            session, sessions = self._named(request), self.gateway.sessions
            if what == "start":
                sessions.start(session)
            else:
                await {"stop": sessions.stop, "restart": sessions.restart, "logout": sessions.log_out}[what](session)
            return session.shown()

        return work

    async def qr(self, request: Request) -> Any:
        session = self._named(request)
        if session.status != SCAN:
            raise self.gateway.sessions.not_working(session, SCAN)
        if request.query_params.get("format") == "raw":
            return {"value": session.qr}
        image = io.BytesIO()
        segno.make_qr(session.qr).save(image, kind="png", scale=4)
        if "json" in request.headers.get("Accept", ""):
            return {"mimetype": "image/png", "data": base64.b64encode(image.getvalue()).decode()}
        return Response(image.getvalue(), media_type="image/png")

    async def code(self, request: Request) -> Any:
        asked = await _body(request)
        return {"code": await self.gateway.sessions.code(self._named(request), str(asked.get("phoneNumber") or ""))}

    # messages

    async def exists(self, request: Request) -> Any:
        self.gateway.sessions.working(request.query_params.get("session", "default"))
        return self.gateway.exists(f"+{request.query_params.get('phone', '').partition('@')[0].lstrip('+ ')}")

    async def messages(self, request: Request) -> Any:
        session, asked = self._working(request), request.query_params
        since, ours = float(asked.get("filter.timestamp.gte") or 0), asked.get("filter.fromMe")
        found = [
            one.payload
            for one in self.gateway.book.of(session.name, request.path_params["chat"])
            if one.payload["timestamp"] >= since and (ours is None or one.payload["fromMe"] is (ours == "true"))
        ]
        start = int(asked.get("offset") or 0)
        return found[start : start + int(asked.get("limit") or _NEWEST)]

    async def message(self, request: Request) -> Any:
        self._working(request)
        if (found := self.gateway.book.get(own_id(request.path_params["message"]))) is None:
            raise wrong(404, "Message not found", "Not Found")
        return found.payload

    async def edit(self, request: Request) -> Any:
        text = str((await _body(request)).get("text") or "")
        return await self._change(request, {"type": "edit", "text": text})

    async def revoke(self, request: Request) -> Any:
        return await self._change(request, {"type": "deletion"})

    async def react(self, request: Request) -> Any:
        asked = await _body(request)
        session, id = self.gateway.sessions.working(str(asked.get("session") or "default")), str(asked.get("messageId"))
        to = phone_of(id.partition("_")[2].partition("_")[0])
        body = {"type": "reaction", "message": own_id(id), "emoji": str(asked.get("reaction") or "")}
        return {"id": await self.gateway.change(session, to, body)}

    async def shown(self, request: Request) -> Any:
        asked = await _body(request)
        self.gateway.sessions.working(str(asked.get("session") or "default"))
        phone_of(asked.get("chatId"))
        return {"result": True}

    async def file(self, request: Request) -> Any:
        name = str(request.path_params["file"]).partition(".")[0]
        content = self.gateway.files.get(name)
        if content is None:
            raise wrong(404, "File not found", "Not Found")
        return Response(content, media_type="application/octet-stream")

    async def _change(self, request: Request, body: dict[str, Any]) -> Any:
        session, to = self._working(request), phone_of(request.path_params["chat"])
        about = own_id(request.path_params["message"])
        await self.gateway.change(session, to, body | {"message": about})
        return True

    def _named(self, request: Request) -> Session:
        return self.gateway.sessions.get(request.path_params["session"])

    def _working(self, request: Request) -> Session:
        return self.gateway.sessions.working(request.path_params["session"])


async def _body(request: Request) -> dict[str, Any]:
    try:
        said: object = json.loads(await request.body() or b"{}")
    except ValueError:
        raise wrong(400, "Unexpected token in JSON") from None
    if not isinstance(said, dict):
        raise wrong(400, "the body must be an object")
    return cast("dict[str, Any]", said)
