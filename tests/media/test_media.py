"""The media store over HTTP: what is uploaded comes back, to those who may see it and nobody else."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.media.files import MP4, OGG, PDF, PNG, WEBP
from tests.tenants.houses import House, build_house, client

from wafleet.config import MediaSettings
from wafleet.domain.ids import TenantId
from wafleet.domain.message import Media
from wafleet.engine.blobs import FolderStore
from wafleet.engine.clock import ManualClock, SystemClock
from wafleet.engine.db import Db
from wafleet.engine.secrets import MasterKey, open_secrets
from wafleet.media import MediaStore, received, used
from wafleet.media.model import mime_of
from wafleet.media.routes import pages, router
from wafleet.tenants import Scope


@pytest.fixture
async def house(db: Db) -> House:
    return await build_house(db, SystemClock())


@pytest.fixture
async def media(db: Db, clock: ManualClock, tmp_path: Path) -> MediaStore:
    secrets = await open_secrets(db, MasterKey(b"k" * 32))
    return MediaStore(
        db, blobs=FolderStore(tmp_path), clock=clock, secrets=secrets, settings=MediaSettings(limit_mb=1, link_s=60)
    )


@pytest.fixture
async def http(house: House, media: MediaStore) -> AsyncIterator[httpx.AsyncClient]:
    """A token of the office with every scope."""
    app = house.app(router(media, house.auth))
    app.include_router(pages(media))
    async with client(app, await house.token(*Scope, tenant=house.office)) as http:
        yield http


@pytest.fixture
async def stranger(house: House, media: MediaStore) -> AsyncIterator[httpx.AsyncClient]:
    async with client(house.app(router(media, house.auth)), await house.token(*Scope, tenant=house.kitchen)) as http:
        yield http


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def upload(http: httpx.AsyncClient, content: bytes, mime: str, name: str = "") -> dict[str, str]:
    answer = await http.post("/api/v1/media", content=content, headers={"Content-Type": mime}, params={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_file_comes_back_as_it_was_and_is_named_by_its_content(http: httpx.AsyncClient) -> None:
    told = await upload(http, PNG, "image/png", "cat.png")
    assert told == {"id": hashlib.sha256(PNG).hexdigest(), "mime": "image/png", "size": len(PNG), "name": "cat.png"}
    answer = await http.get(f"/api/v1/media/{told['id']}")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert answer.headers["content-disposition"].startswith("inline")
    assert await upload(http, PNG, "image/png", "again.png") == told


async def test_a_form_with_a_file_is_an_upload_too(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v1/media", files={"file": ("menu.pdf", PDF, "application/pdf")})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["mime"]) == ("menu.pdf", "application/pdf")
    wrong = await http.post("/api/v1/media", files={"picture": ("menu.pdf", PDF)})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "file")


async def test_another_tenant_finds_nothing_though_it_knows_the_id(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    id = (await upload(http, PNG, "image/png"))["id"]
    assert (await stranger.get(f"/api/v1/media/{id}")).status_code == 404
    assert (await stranger.post(f"/api/v1/media/{id}/link")).status_code == 404
    await upload(stranger, PNG, "image/png")
    assert (await stranger.get(f"/api/v1/media/{id}")).content == PNG


async def test_a_link_opens_the_file_for_a_while_and_for_anybody(http: httpx.AsyncClient, clock: ManualClock) -> None:
    id = (await upload(http, PDF, "application/pdf", "menu ☕.pdf"))["id"]
    url = (await http.post(f"/api/v1/media/{id}/link")).json()["url"]
    http.headers.pop("Authorization")
    answer = await http.get(url)
    assert answer.content == PDF
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''menu%20%E2%98%95.pdf"
    assert "sandbox" in answer.headers["content-security-policy"]
    middle = len(url) - 20
    for bad in (
        url[:-4],
        url[:middle] + ("A" if url[middle] != "A" else "B") + url[middle + 1 :],
        "/media/x",
        "/media/é",
    ):
        assert (await http.get(bad)).status_code == 404
    await clock.advance(61)
    assert (await http.get(url)).status_code == 404


@pytest.mark.parametrize(
    ("content", "declared", "mime"),
    [
        (PNG, "text/html", "image/png"),
        (b"<script>alert(1)</script>", "image/png", "application/octet-stream"),
        (b"<svg/>", "image/svg+xml", "image/svg+xml"),
        (b"a,b", "text/csv; charset=utf-8", "text/csv"),
        (MP4, "audio/mp4", "audio/mp4"),
        (MP4, "", "video/mp4"),
        (OGG, "application/octet-stream", "audio/ogg"),
        (WEBP, "image/jpeg", "image/webp"),
        (b"", "nonsense", "application/octet-stream"),
    ],
)
def test_a_file_is_what_it_begins_with_whatever_it_is_called(content: bytes, declared: str, mime: str) -> None:
    assert mime_of(content[:16], declared) == mime


async def test_what_could_be_a_page_with_a_program_is_saved_not_shown(http: httpx.AsyncClient) -> None:
    id = (await upload(http, b"<svg onload='alert(1)'/>", "image/svg+xml"))["id"]
    answer = await http.get(f"/api/v1/media/{id}")
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(32 * 1024)

    answer = await http.post("/api/v1/media", content=pieces())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not files(tmp_path)


async def test_reading_alone_does_not_permit_uploads(house: House, media: MediaStore) -> None:
    token = await house.token(Scope.READ, tenant=house.office)
    async with client(house.app(router(media, house.auth)), token) as reader:
        assert (await reader.post("/api/v1/media", content=PNG)).status_code == 403


async def test_what_a_transport_keeps_belongs_to_nobody_until_its_message_is_stored(
    http: httpx.AsyncClient, house: House, media: MediaStore, db: Db
) -> None:
    id = await media.keep(PNG)
    assert (await http.get(f"/api/v1/media/{id}")).status_code == 404
    async with db.fleet_tx() as tx:
        await received(
            tx, [(TenantId(house.office), Media(id, "image/png", len(PNG))), (TenantId(house.office), Media(""))]
        )
    assert (await http.get(f"/api/v1/media/{id}")).content == PNG
    with pytest.raises(ValueError, match="larger"):
        await media.keep(bytes(1024 * 1024 + 1))


async def test_only_what_nobody_carries_and_nobody_touched_lately_is_cleaned_away(
    http: httpx.AsyncClient, house: House, media: MediaStore, db: Db, tmp_path: Path
) -> None:
    stray, fresh = await media.keep(b"stray"), await media.keep(b"fresh")
    carried, unused, young = [
        (await upload(http, one, "text/plain"))["id"] for one in (b"carried", b"unused", b"young")
    ]
    async with db.fleet_tx() as tx:
        await used(tx, [(TenantId(house.office), carried)])
        await tx.run("update media set touched_at = now() - interval '8 days' where id <> %(young)s", young=young)
    long_ago = time.time() - 100_000
    for path in files(tmp_path):
        if path.name != fresh:
            os.utime(path, times=(long_ago, long_ago))
    assert await media.clean() == 2
    left = {path.name for path in files(tmp_path)}
    assert left == {carried, young, fresh}
    assert {stray, unused} & left == set()
    assert await media.clean() == 0
