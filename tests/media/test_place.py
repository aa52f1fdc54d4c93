"""Where files lie, and how networks reach them."""

import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr
from tests.media.files import PNG
from tests.tenants.houses import House, build_house, client

from wafleet.config import MediaSettings
from wafleet.domain.message import Media
from wafleet.engine.blobs import FolderStore
from wafleet.engine.blobs_s3 import BucketStore
from wafleet.engine.clock import ManualClock, SystemClock
from wafleet.engine.db import Db
from wafleet.engine.secrets import MasterKey, open_secrets
from wafleet.media import MediaStore, NoBucket, place, received
from wafleet.media.routes import pages, router
from wafleet.tenants import Scope

BUCKET = MediaSettings(s3_bucket="files", s3_access_key="hunter1", s3_secret_key=SecretStr("hunter2"))


@pytest.fixture
async def house(db: Db) -> House:
    return await build_house(db, SystemClock())


@pytest.fixture
async def media(db: Db, clock: ManualClock, tmp_path: Path) -> MediaStore:
    secrets = await open_secrets(db, MasterKey(b"k" * 32))
    return MediaStore(
        db,
        blobs=FolderStore(tmp_path),
        clock=clock,
        secrets=secrets,
        settings=MediaSettings(link_s=60),
        public_url="https://fleet.example.com",
    )


@pytest.fixture
async def network(house: House, media: MediaStore) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who knows nothing but a link."""
    app = house.app(pages(media))
    app.include_router(pages(media))
    async with client(app, "") as http:
        http.headers.pop("Authorization", None)
        yield http


async def test_a_network_can_fetch_a_file_by_its_link_for_an_hour(
    db: Db, house: House, media: MediaStore, network: httpx.AsyncClient, clock: ManualClock
) -> None:
    id = await media.keep(PNG)
    async with db.fleet_tx() as tx:
        await received(tx, [(house.office, Media(id, "image/png", len(PNG)))])
    url = media.shared(house.office, id)
    assert url.startswith("https://fleet.example.com/media/")
    answer = await network.get(urlsplit(url).path)
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    await clock.advance(3601)
    assert (await network.get(urlsplit(url).path)).status_code == 404


def test_files_lie_in_a_folder_unless_a_bucket_is_named(tmp_path: Path) -> None:
    assert isinstance(place(MediaSettings(), tmp_path), FolderStore)
    assert isinstance(place(BUCKET, tmp_path), BucketStore)
    assert "hunter" not in repr(BUCKET)


def test_a_bucket_without_the_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "wafleet.engine.blobs_s3", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(NoBucket, match="with its extra `s3`"):
        place(BUCKET, tmp_path)


async def test_a_bucket_that_is_away_is_told_to_whoever_asks_and_keeps_its_address_to_itself(
    db: Db, house: House, clock: ManualClock
) -> None:
    away = BucketStore("files", endpoint="http://127.0.0.1:9", access_key="hunter", secret_key="hunter2", answer_s=0.5)
    secrets = await open_secrets(db, MasterKey(b"k" * 32))
    media = MediaStore(db, blobs=away, clock=clock, secrets=secrets, settings=MediaSettings())
    id = hashlib.sha256(PNG).hexdigest()
    async with db.fleet_tx() as tx:
        await received(tx, [(house.office, Media(id, "image/png", len(PNG)))])
    async with client(house.app(router(media, house.auth)), await house.token(*Scope, tenant=house.office)) as http:
        for answer in (
            await http.post("/api/v1/media", content=PNG),
            await http.get(f"/api/v1/media/{id}"),
            await http.post(f"/api/v1/media/{id}/link"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "store_away")
            assert answer.headers["retry-after"] == "2"
            assert "127.0.0.1" not in answer.text
