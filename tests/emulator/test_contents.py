"""What customers write and what devices write means the same in the world."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.clientlib.protos import e2e
from wafleet.domain.message import (
    Audio,
    ContactCard,
    Content,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Reaction,
    Sticker,
    Text,
    Video,
)
from wafleet.emulator import contents
from wafleet.emulator.media import Broken, Enclosed, Files

BY, TO = "1@lid", "2@lid"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


def _there_and_back(content: Content, files: Files) -> Content:
    message = contents.write("", msgspec.to_builtins(content), files, by=BY, to=TO)
    said = contents.read(e2e.Message.FromString(message.SerializeToString()), files)
    assert said is not None
    text, body = said
    return Text(text) if body is None else msgspec.convert(body, Content)


@pytest.mark.parametrize(
    "content",
    [
        Text("hello"),
        Text("yes", reply_to="3EB0AA"),
        Location(25.2, 55.3, "Office", "Marina Walk"),
        ContactCard("Mr. Smith", "+971501234567"),
        Reaction("3A01", "👍"),
        Edit("3A01", "better words"),
        Deletion("3A01"),
    ],
)
def test_a_content_crosses_unchanged(content: Content, files: Files) -> None:
    assert _there_and_back(content, files) == content


@pytest.mark.parametrize("kind", [Image, Video, Audio, Document, Sticker])
def test_a_file_crosses_and_is_decrypted_by_whoever_has_the_message(kind: type, files: Files) -> None:
    name = files.keep(b"a file " * 1_000)
    content = kind(Media(name, "application/x", 7_000, "a.bin" if kind is Document else ""))
    assert _there_and_back(content, files) == content
    assert files.opened(name) == b"a file " * 1_000


def test_a_file_that_was_changed_at_the_host_is_not_opened(tmp_path: Path, files: Files) -> None:
    enclosed = files.enclose("image", files.keep(b"picture"))
    [stored] = (tmp_path / "files").glob("*.enc")
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    with pytest.raises(Broken, match="another"):
        files.open("image", enclosed)


@given(st.binary(min_size=1, max_size=40))
def test_rubbish_in_place_of_a_file_is_refused(data: bytes) -> None:
    with pytest.raises(Broken):
        Files(Path("/nonexistent")).take("image", "token", data)


def test_a_path_leads_nowhere_else(files: Files) -> None:
    for name in ("../keys", "", ".hidden"):
        with pytest.raises(Broken):
            files.opened(name)
    with pytest.raises(Broken):
        files.open("image", Enclosed(path="/etc/passwd", key=bytes(32), sha256=b"", encrypted_sha256=b"", size=0))


def test_what_nobody_would_see_is_no_message(files: Files) -> None:
    share = e2e.ProtocolMessage(type=e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE)
    assert contents.read(e2e.Message(protocolMessage=share), files) is None


def test_a_body_that_nobody_knows_becomes_a_message_nobody_can_show(files: Files) -> None:
    message = contents.write("", {"type": "poll", "name": "Lunch?"}, files, by=BY, to=TO)
    assert message.pollCreationMessage.name == "Lunch?"
