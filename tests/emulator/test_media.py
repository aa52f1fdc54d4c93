"""Files go both ways through the media host: the library encrypts and decrypts, the host sees neither."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.emulator import talking
from tests.emulator.rig import PHONE, Client, linked

from wafleet.clientlib.protos import e2e, told
from wafleet.domain.message import Audio, Document, Image, Media, Sticker, Video, WithMedia
from wafleet.emulator.server import Emulator

FIELDS = {"image": 0, "video": 1, "audio": 2, "document": 3}


async def _upload(client: Client, kind: str, content: bytes) -> Any:
    answer = told.UploadReturnFunction.FromString(await client.call("Upload", content, len(content), FIELDS[kind]))
    assert not answer.Error, answer.Error
    return answer.UploadResponse


async def _download(client: Client, message: e2e.Message) -> Any:
    data = message.SerializeToString()
    return told.DownloadReturnFunction.FromString(await client.call("DownloadAny", data, len(data)))


def _image(uploaded: Any) -> e2e.Message:
    image = e2e.ImageMessage(
        URL=uploaded.url,
        directPath=uploaded.DirectPath,
        mediaKey=uploaded.MediaKey,
        fileSHA256=uploaded.FileSHA256,
        fileEncSHA256=uploaded.FileEncSHA256,
        fileLength=uploaded.FileLength,
        mimetype="image/jpeg",
        caption="our menu",
    )
    return e2e.Message(imageMessage=image)


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_picture_goes_up_and_is_opened_by_the_customer(emulator: Emulator, tmp_path: Path, way: str) -> None:
    content = os.urandom(200_000)
    async with linked(emulator, tmp_path, way=way) as client:
        message = _image(await _upload(client, "image", content))
        id = await talking.shown_message(client, message)
        assert talking.sent(emulator) == {id: 1}
        files = talking.parts(emulator).files
        assert files.opened(sha256(content).hexdigest()) == content
        assert (await _download(client, message)).Binary == content


@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("kind", [Image, Video, Audio, Document, Sticker])
async def test_a_file_of_a_customer_comes_down(
    emulator: Emulator, tmp_path: Path, kind: type[WithMedia], way: str
) -> None:
    content = os.urandom(50_000)
    async with linked(emulator, tmp_path, way=way) as client:
        media = Media(talking.parts(emulator).files.keep(content), "application/x", len(content), "a.bin")
        id = talking.write(emulator, "", body=kind(media))
        told_of = await talking.heard(client, id)
        found = await _download(client, told_of.Message)
        assert found.Binary == content, found.Error
        await talking.acknowledged(emulator, id)


async def test_a_file_the_host_no_longer_has_is_an_error_and_the_message_still_arrives(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as client:
        id = talking.write(emulator, "", body=Image(Media("0" * 64, "image/png", 10), "gone"))
        message = (await talking.heard(client, id)).Message
        assert message.imageMessage.caption == "gone"
        assert (await _download(client, message)).Error
        assert talking.ledger(emulator, PHONE).offered == 1
