"""Meta's Cloud API over HTTP, as a stand-in answers it: messages, media, templates, numbers, webhooks."""

import hashlib
import hmac
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wafleet.simulator.standins.control import control
from wafleet.simulator.standins.meta.errors import THROTTLED, Wrong
from wafleet.simulator.standins.meta.model import Number
from wafleet.simulator.standins.meta.service import Meta, Upload
from wafleet.simulator.standins.server import Ill, IllAnswer, answering

Handler = Callable[[Request], Awaitable[Response]]
Json = dict[str, Any]

_VERSION: Final = re.compile(r"v\d+\.\d+")
_MB: Final = 1024 * 1024
# What may be uploaded, and how large. Source: "Media", supported media types.
_LIMITS: Final[Mapping[str, int]] = {
    "image/jpeg": 5 * _MB,
    "image/png": 5 * _MB,
    "image/webp": 500 * 1024,
    "video/mp4": 16 * _MB,
    "video/3gpp": 16 * _MB,
    **dict.fromkeys(("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg"), 16 * _MB),
    **dict.fromkeys(("text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel"), 100 * _MB),
}
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_PAGE: Final = 25


def api(meta: Meta) -> Starlette:
    """Return the app that answers as Meta does."""
    doors = _Doors(meta)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/_lookaside/{id}", doors.download),
        ("POST", "/{version}/{id}/messages", doors.messages),
        ("POST", "/{version}/{id}/media", doors.upload),
        ("GET", "/{version}/{id}/message_templates", doors.templates),
        ("POST", "/{version}/{id}/message_templates", doors.write),
        ("DELETE", "/{version}/{id}/message_templates", doors.erase),
        ("GET", "/{version}/{id}/phone_numbers", doors.numbers),
        ("POST", "/{version}/{id}/subscribed_apps", doors.subscribe),
        ("POST", "/{version}/{id}", doors.change),
        ("GET", "/{version}/{id}", doors.show),
        ("DELETE", "/{version}/{id}", doors.remove),
    ]
    routes = [*control(meta.numbers, meta.hooks, meta.files, meta.tally)]  # first: the API's own take any two words
    routes.append(Route("/_standin/tell", doors.tell, methods=["POST"]))
    routes += [Route(path, _guarded(meta, handler), methods=[method]) for method, path, handler in table]
    return Starlette(routes=[*routes, Route("/{rest:path}", _guarded(meta, _nothing))])


@asynccontextmanager
async def listening(meta: Meta, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Run a stand-in behind its API while this lasts; yields its base URL. Raises OSError when the port is taken."""
    async with meta, answering(api(meta), host=host, port=port) as meta.base:
        yield meta.base


def _guarded(meta: Meta, handler: Handler) -> Handler:
    """Let only bearers of the token through, and answer errors as Meta does."""

    async def guarded(request: Request) -> Response:
        try:
            kind, _, token = request.headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(token.encode(), meta.access_token.encode()):
                raise Wrong(190)
            if not _VERSION.fullmatch(request.path_params.get("version", "v1.0")):
                raise Wrong(33)
            return await handler(request)
        except Ill as ill:
            return IllAnswer(ill.kind)
        except Wrong as wrong:
            meta.tally.errors[str(wrong.code)] += 1
            meta.tally.throttled += str(wrong.code) in THROTTLED
            return wrong.answer()

    return guarded


async def _nothing(_: Request) -> Response:
    raise Wrong(33)


class _Doors:
    """One method for each thing the API does."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    async def messages(self, request: Request) -> Response:
        number, said = self._number(request), await _json(request)
        if said.get("status") == "read":
            return self._read(said)
        draft = self._meta.reader.read(said)
        wamid = await self._meta.create(number, draft)
        contact = {"input": str(said.get("recipient") or said["to"]), "wa_id": draft.to.removeprefix("+")}
        return JSONResponse({"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": wamid}]})

    async def upload(self, request: Request) -> Response:
        self._number(request)
        try:
            async with request.form(max_part_size=100 * _MB) as form:
                file, mime = form.get("file"), str(form.get("type") or "")
                if form.get("messaging_product") != "whatsapp" or not isinstance(file, UploadFile):
                    raise Wrong(100, "The parameters messaging_product and file are required.")
                content, mime = await file.read(), (mime or file.content_type or "").partition(";")[0]
        except MultiPartException as e:
            raise Wrong(100, str(e)) from None
        limit = 100 * _MB if mime.startswith(_OFFICE) else _LIMITS.get(mime, 0)
        if not limit:
            raise Wrong(100, f"Param file must be a file of a supported type. Received file of type '{mime}'.")
        if len(content) > limit:
            raise Wrong(131053, f"File size must be at most {limit} bytes")
        return JSONResponse({"id": self._meta.upload(content, mime).id})

    async def show(self, request: Request) -> Response:
        id = request.path_params["id"]
        if upload := self._meta.uploads.get(id):
            return JSONResponse(self._shown_file(upload))
        if number := self._meta.phones.get(id):
            return JSONResponse(_fields(number.shown(), request))
        for template in self._meta.templates:
            if template.id == id:
                return JSONResponse(template.shown())
        if id == self._meta.waba_id:
            return JSONResponse({"id": id, "name": "A business", "timezone_id": "1", "currency": "USD"})
        raise Wrong(33)

    async def remove(self, request: Request) -> Response:
        if self._meta.uploads.pop(request.path_params["id"], None) is None:
            raise Wrong(33)
        return JSONResponse({"success": True})

    async def download(self, request: Request) -> Response:
        upload = self._meta.uploads.get(request.path_params["id"])
        content = self._meta.files.get(upload.name) if upload else None
        if upload is None or content is None:
            return Response(status_code=404)
        return Response(content, media_type=upload.mime)

    async def templates(self, request: Request) -> Response:
        self._business(request)
        wanted = request.query_params
        found = [
            t.shown()
            for t in self._meta.templates
            if wanted.get("name", t.name) == t.name
            and wanted.get("language", t.language) == t.language
            and wanted.get("status", t.status) == t.status
        ]
        return _paged(request, found)

    async def write(self, request: Request) -> Response:
        self._business(request)
        said = await _json(request)
        if not said.get("name") or not said.get("language"):
            raise Wrong(100, "The parameters name and language are required.")
        components = cast("list[Json]", said.get("components") or [])
        made = self._meta.templates.add(
            str(said["name"]), str(said["language"]), str(said.get("category") or "UTILITY"), components
        )
        self._told_template(made.id, made.name, made.language)
        return JSONResponse({"id": made.id, "status": made.status, "category": made.category})

    async def erase(self, request: Request) -> Response:
        self._business(request)
        if not self._meta.templates.remove(request.query_params.get("name", "")):
            raise Wrong(100, "Message template not found")
        return JSONResponse({"success": True})

    async def numbers(self, request: Request) -> Response:
        self._business(request)
        return _paged(request, [_fields(n.shown(), request) for n in self._meta.phones.values()])

    async def subscribe(self, request: Request) -> Response:
        """Use another webhook for the business account, if it answers the challenge."""
        self._business(request)
        said = await _json(request) if await request.body() else {}
        if url := said.get("override_callback_uri"):
            await self._use(str(url), str(said.get("verify_token", "")), None)
        return JSONResponse({"success": True})

    async def change(self, request: Request) -> Response:
        """Use another webhook for one number, if it answers the challenge."""
        number, said = self._number(request), await _json(request)
        wanted = cast(Json, said.get("webhook_configuration") or {})
        if url := wanted.get("override_callback_uri"):
            await self._use(str(url), str(wanted.get("verify_token", "")), number)
        elif "override_callback_uri" in wanted:
            number.webhook = ""
        return JSONResponse({"success": True})

    async def tell(self, request: Request) -> Response:
        """Have the webhook hear a change that somebody wrote: {"phone", "field", "value"}. No credentials needed."""
        said = msgspec.json.decode(await request.body(), type=Json)
        for number in self._meta.phones.values():
            if number.phone == said.get("phone"):
                self._meta.tell(number, str(said["field"]), cast(Json, said["value"]))
                return JSONResponse({"success": True})
        return Response(status_code=404)

    def _read(self, said: Json) -> Response:
        """Mark a customer's message as read, with or without showing that somebody writes."""
        got = self._meta.book.got(str(said.get("message_id")))
        if got is None:
            raise Wrong(131009, "Message not found")
        got.read = True
        return JSONResponse({"success": True})

    async def _use(self, url: str, token: str, number: Number | None) -> None:
        if not await self._meta.subscribe(url, token or self._meta.verify_token, number):
            raise Wrong(100, "The URL couldn't be validated. Callback verification failed.")

    def _told_template(self, id: str, name: str, language: str) -> None:
        value = {"event": "APPROVED", "message_template_id": id, "message_template_name": name, "reason": "NONE"}
        for number in list(self._meta.phones.values())[:1]:
            told = value | {"message_template_language": language}
            self._meta.tell(number, "message_template_status_update", told)

    def _number(self, request: Request) -> Number:
        found = self._meta.phones.get(request.path_params["id"])
        if found is None:
            raise Wrong(33, f"Object with ID '{request.path_params['id']}' does not exist")
        return found

    def _business(self, request: Request) -> None:
        if request.path_params["id"] != self._meta.waba_id:
            raise Wrong(33, f"Object with ID '{request.path_params['id']}' does not exist")

    def _shown_file(self, upload: Upload) -> Json:
        content = self._meta.files.get(upload.name) or b""
        return {
            "url": f"{self._meta.base}/_lookaside/{upload.id}",
            "mime_type": upload.mime,
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_size": upload.size,
            "id": upload.id,
            "messaging_product": "whatsapp",
        }


async def _json(request: Request) -> Json:
    try:
        return msgspec.json.decode(await request.body(), type=Json)
    except msgspec.MsgspecError:
        raise Wrong(100, "The body is not a JSON object") from None


def _fields(shown: Json, request: Request) -> Json:
    """Keep what was asked for, and the id."""
    wanted = request.query_params.get("fields", "")
    if not wanted:
        return shown
    return {name: shown[name] for name in [*wanted.split(","), "id"] if name in shown}


def _paged(request: Request, found: Sequence[Json]) -> Response:
    """Answer one page of a list; a cursor is a place in it."""
    written, limit = request.query_params.get("after", ""), request.query_params.get("limit", "")
    start, size = int(written) if written.isdecimal() else 0, int(limit) if limit.isdecimal() else _PAGE
    page, end = list(found[start : start + size]), start + size
    paging: Json = {"cursors": {"before": str(start), "after": str(min(end, len(found)))}}
    if end < len(found):
        paging["next"] = str(request.url.include_query_params(after=end))
    told: Json = {"data": page, "paging": paging} if page else {"data": []}
    if "summary" in request.query_params:
        told["summary"] = {"total_count": len(found), "message_template_count": len(found)}
        told["summary"] |= {"message_template_limit": 6000, "are_translations_complete": True}
    return JSONResponse(told)
