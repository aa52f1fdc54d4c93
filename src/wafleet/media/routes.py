"""Files over HTTP: upload, look, fetch; and links that browsers may follow without signing in."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from wafleet.domain.errors import Invalid
from wafleet.engine.blobs import CHUNK_BYTES
from wafleet.engine.web import Stamp
from wafleet.media.model import File, is_shown
from wafleet.media.service import MediaStore
from wafleet.tenants import Auth, Caller, Scope

UPLOAD: Final = "/media"  # below the API's prefix; its body may be as large as a file
Id = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="as the upload, or a message's content, names it")]
AROUND: Final = 64 * 1024  # bytes of a form beside its file
BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "The file itself, with its type; or a form with one part `file`.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
ALONE: Final = "default-src 'none'; sandbox"  # what a file holds must not act in our name


class FileAnswer(BaseModel):
    """A file that is stored: name it by its id in a message's `content`."""

    id: str = Field(description="SHA-256 of its content")
    mime: str = Field(description="what it is, by its first bytes where they tell")
    size: int = Field(description="bytes")
    name: str


class LinkAnswer(BaseModel):
    """An address for browsers."""

    url: str = Field(description="anybody who has it may fetch the file until it expires")
    expires_at: Stamp


def router(media: MediaStore, auth: Auth) -> APIRouter:
    """Build the routes of the media store."""
    routes = APIRouter(tags=["media"])
    reader = auth.may(Scope.READ)

    @routes.post(UPLOAD, status_code=201, openapi_extra=BODY)
    async def upload(
        request: Request,
        caller: Annotated[Caller, Depends(auth.may(Scope.SEND))],
        name: Annotated[str, Query(max_length=200, description="what to call it; documents show it")] = "",
        content_type: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> FileAnswer:
        """Take a file in, to be sent with messages. The same content again is the same file."""
        if content_type.startswith("multipart/form-data"):
            return await _form(media, caller, request, name)
        return _shown(await media.upload(caller, request.stream(), mime=content_type, name=name))

    @routes.get("/media/{file}", responses=BYTES, response_class=Response)
    async def get_media(file: Id, caller: Annotated[Caller, Depends(reader)]) -> Response:
        """Return a file's content."""
        return await _sent(media, await media.about(caller, file))

    @routes.post("/media/{file}/link")
    async def link_media(file: Id, caller: Annotated[Caller, Depends(reader)]) -> LinkAnswer:
        """Make an address at which a browser may fetch this file for a while, without signing in."""
        made = await media.link(caller, file)
        return LinkAnswer(url=made.url, expires_at=made.expires_at)

    return routes


def pages(media: MediaStore) -> APIRouter:
    """Build the open route that links lead to."""
    routes = APIRouter()

    @routes.get("/media/{written}")
    async def follow(written: Annotated[str, Path(max_length=400)]) -> Response:
        return await _sent(media, await media.linked(written))

    return routes


def _shown(file: File) -> FileAnswer:
    return FileAnswer(id=file.id, mime=file.mime, size=file.size, name=file.name)


async def _form(media: MediaStore, caller: Caller, request: Request, name: str) -> FileAnswer:
    async with request.form(max_files=1, max_fields=10) as form:
        part = form.get("file")
        if not isinstance(part, UploadFile):
            raise Invalid("file", "Send the file as the part `file` of the form, or as the whole body")
        named = name or part.filename or ""
        return _shown(await media.upload(caller, _pieces(part), mime=part.content_type or "", name=named))


async def _pieces(part: UploadFile) -> AsyncGenerator[bytes]:
    while piece := await part.read(CHUNK_BYTES):
        yield piece


async def _sent(media: MediaStore, file: File) -> Response:
    """Stream a file. What a browser must not show, it saves under the file's name."""
    kind = "inline" if is_shown(file.mime) else "attachment"
    headers = {
        "Content-Length": str(file.size),
        "Content-Disposition": f"{kind}; filename*=utf-8''{quote(file.name or file.id[:12], safe='')}",
        "Content-Security-Policy": ALONE,
        "Cache-Control": "private, max-age=3600, immutable",  # its name is its content: it never changes
    }
    return StreamingResponse(_whole(media, file), media_type=file.mime, headers=headers)


async def _whole(media: MediaStore, file: File) -> AsyncIterator[bytes]:
    async with media.open(file) as pieces:
        async for piece in pieces:
            yield piece
