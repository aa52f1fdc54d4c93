from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.clientlib.protos import common, e2e, told
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
    OnMessage,
    Reaction,
    Sticker,
    Text,
    Unsupported,
    Video,
    WithMedia,
    words,
)
from wafleet.transports.base import About, RefusedContent
from wafleet.transports.device.identity import identity, jid, written
from wafleet.transports.device.identity import read as read_jid
from wafleet.transports.device.moments import moment
from wafleet.transports.device.reading import Read, read
from wafleet.transports.device.writing import Letter, vcard, write

OWN, LAYLA = jid("+966500000001"), jid("+971550000001")
UPLOADED = told.UploadResponse(
    url="https://mmg.whatsapp.net/v/1",
    DirectPath="/v/1",
    Handle="",
    MediaKey=b"k" * 32,
    FileEncSHA256=b"e" * 32,
    FileSHA256=b"p" * 32,
    FileLength=1234,
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60)
SOME = WORDS.filter(bool)
MEDIA = st.builds(Media, st.just(""), st.sampled_from(["image/jpeg", "video/mp4"]), st.just(1234))
DEGREES = st.floats(-180, 180)
CONTENTS: st.SearchStrategy[Content] = st.one_of(
    st.builds(Text, SOME),
    st.builds(Location, DEGREES, DEGREES, WORDS, WORDS),
    st.builds(Image, MEDIA, WORDS),
    st.builds(Video, MEDIA, WORDS),
    st.builds(Audio, MEDIA, st.booleans()),
    st.builds(Sticker, MEDIA),
    st.builds(Document, st.builds(Media, st.just(""), st.just("text/csv"), st.just(1234), SOME), WORDS),
    st.builds(ContactCard, SOME, st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)),
    st.builds(Reaction, st.just(""), WORDS),
    st.builds(Edit, st.just(""), WORDS),
    st.builds(Deletion, st.just("")),
)


def sent(content: Content, about: About | None = None) -> e2e.Message:
    uploaded = UPLOADED if isinstance(content, WithMedia) else None
    return write(Letter(content, LAYLA, OWN, about, uploaded))


def there_and_back(content: Content, about: About | None = None) -> Read:
    got = read(e2e.Message.FromString(sent(content, about).SerializeToString()))
    assert got is not None
    return got


@given(CONTENTS, st.booleans())
def test_what_we_write_is_read_as_the_same_content(content: Content, answers: bool) -> None:
    needed = isinstance(content, OnMessage)
    about = About("3EB0AA", True, Text("earlier")) if needed or answers else None
    got = there_and_back(content, about)
    assert got.content == content
    assert got.about == ("3EB0AA" if about else "")
    assert bool(got.download) == isinstance(content, WithMedia)


def test_an_answer_shows_the_message_it_answers_and_who_wrote_it() -> None:
    for ours, who in ((True, OWN), (False, LAYLA)):
        message = sent(Text("yes"), About("3EB0AA", ours, Text("tea?")))
        context = message.extendedTextMessage.contextInfo
        assert context.stanzaID == "3EB0AA"
        assert context.participant == written(who)
        assert context.quotedMessage.conversation == "tea?"


def test_a_plain_text_is_sent_plain() -> None:
    assert sent(Text("hi")) == e2e.Message(conversation="hi")


def test_only_own_messages_are_changed_and_taken_back() -> None:
    theirs = About("3EB0AA", False, Text("theirs"))
    for content in (Edit("m", "new"), Deletion("m")):
        with pytest.raises(RefusedContent):
            sent(content, theirs)
    assert sent(Reaction("m", "👍"), theirs).reactionMessage.key.fromMe is False


def test_what_is_about_a_message_nobody_knows_is_refused() -> None:
    with pytest.raises(RefusedContent):
        sent(Reaction("m", "👍"))
    with pytest.raises(RefusedContent):
        write(Letter(Image(Media("x")), LAYLA, OWN))
    with pytest.raises(RefusedContent):
        sent(Unsupported({}))


def test_the_words_below_a_picture_are_edited_in_place() -> None:
    message = sent(Edit("m", "new words"), About("3EB0AA", True, Image(Media("x"), "old words")))
    assert message.editedMessage.message.protocolMessage.editedMessage.imageMessage.caption == "new words"
    got = read(message)
    assert got is not None
    assert got.content == Edit("", "new words")


def inside(field: str) -> Callable[[e2e.Message], e2e.Message]:
    def wrap(message: e2e.Message) -> e2e.Message:
        wrapper = e2e.DeviceSentMessage if field == "deviceSentMessage" else e2e.FutureProofMessage
        parts: Any = {field: wrapper(message=message)}
        return e2e.Message(**parts)

    return wrap


WRAPPED = {
    "disappearing": inside("ephemeralMessage"),
    "seen once": inside("viewOnceMessageV2"),
    "from another device": inside("deviceSentMessage"),
    "with a caption": inside("documentWithCaptionMessage"),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrappers_are_taken_off(wrap: Callable[[e2e.Message], e2e.Message]) -> None:
    plain = e2e.Message(conversation="inside", messageContextInfo=e2e.MessageContextInfo(messageSecret=b"s"))
    for message in (wrap(plain), wrap(wrap(plain))):
        got = read(message)
        assert got is not None
        assert got.content == Text("inside")


def test_wrappers_without_end_end() -> None:
    message = e2e.Message(conversation="deep")
    for _ in range(50):
        message = e2e.Message(ephemeralMessage=e2e.FutureProofMessage(message=message))
    got = read(message)
    assert got is not None
    assert isinstance(got.content, Unsupported)


def test_keys_settings_and_notices_between_devices_say_nothing_to_a_person() -> None:
    share = e2e.ProtocolMessage(type=e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE)
    timer = e2e.ProtocolMessage(type=e2e.ProtocolMessage.EPHEMERAL_SETTING, ephemeralExpiration=86400)
    group = e2e.SenderKeyDistributionMessage(groupID="g")
    for message in (
        e2e.Message(),
        e2e.Message(protocolMessage=share),
        e2e.Message(protocolMessage=timer),
        e2e.Message(senderKeyDistributionMessage=group),
        e2e.Message(albumMessage=e2e.AlbumMessage(expectedImageCount=3)),
    ):
        assert read(message) is None


def test_what_we_cannot_show_is_kept_whole() -> None:
    poll = e2e.PollCreationMessage(name="Lunch?", contextInfo=e2e.ContextInfo(stanzaID="3EB0AA"))
    got = read(e2e.Message(pollCreationMessageV3=poll))
    assert got is not None
    assert isinstance(got.content, Unsupported)
    assert got.content.raw["pollCreationMessageV3"]["name"] == "Lunch?"
    assert got.about == "3EB0AA"


def test_an_answer_given_by_a_button_is_read_as_its_words() -> None:
    got = read(
        e2e.Message(
            buttonsResponseMessage=e2e.ButtonsResponseMessage(selectedButtonID="b1", selectedDisplayText="Yes, please")
        )
    )
    assert got is not None
    assert got.content == Text("Yes, please")
    assert got.raw is not None
    assert got.raw["buttonsResponseMessage"]["selectedButtonID"] == "b1"


CARDS = {
    "ours": (vcard(ContactCard("Smith; Anna, Dr.", "+4915112345678")), "Smith; Anna, Dr.", "+4915112345678"),
    "item prefix, folded": (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna Long\r\n name\r\nitem1.TEL;waid=4915112345678:+49 151 1234 5678\r\n",
        "Anna Longname",
        "+4915112345678",
    ),
    "without a phone": ("BEGIN:VCARD\nFN:Nobody\nEND:VCARD", "Nobody", ""),
    "no card at all": ("rubbish", "", ""),
}


@pytest.mark.parametrize(("card", "name", "phone"), CARDS.values(), ids=CARDS)
def test_cards_of_all_kinds_are_read(card: str, name: str, phone: str) -> None:
    got = read(e2e.Message(contactMessage=e2e.ContactMessage(vcard=card)))
    assert got is not None
    assert got.content == ContactCard(name, phone)


@given(st.binary(max_size=300))
def test_any_bytes_that_are_a_message_can_be_read(data: bytes) -> None:
    try:
        message = e2e.Message.FromString(data)
    except Exception:
        return
    got = read(message)
    assert got is None or words(got.content) is not None


def test_a_large_thumbnail_is_left_out_of_what_is_kept_raw() -> None:
    live = e2e.LiveLocationMessage(degreesLatitude=1, degreesLongitude=2, JPEGThumbnail=b"x" * 200_000)
    got = read(e2e.Message(liveLocationMessage=live))
    assert got is not None
    assert got.content == Location(1, 2)
    assert len(str(got.raw)) < 1000


def test_people_are_named_by_phone_where_it_is_known_and_by_their_hidden_id_otherwise() -> None:
    hidden, phone = jid("lid:123456"), jid("+4915112345678")
    assert identity(hidden, phone) == identity(phone, hidden) == "+4915112345678"
    assert identity(hidden, told.JID(User="", Server="", RawAgent=0, Device=0, Integrator=0, IsEmpty=True)) == (
        "lid:123456"
    )
    assert written(hidden) == "123456@lid"
    assert identity(read_jid("123456:7@lid")) == "lid:123456"
    with pytest.raises(ValueError, match="names nobody"):
        jid("+49 151")
    group = told.JID(User="120363", Server="g.us", RawAgent=0, Device=0, Integrator=0, IsEmpty=False)
    assert identity(group) == ""


def test_times_are_read_whatever_their_unit() -> None:
    assert moment(1_795_271_880) == moment(1_795_271_880_000) == datetime(2026, 11, 21, 14, 38, tzinfo=UTC)
    assert (datetime.now(UTC) - moment(0)).total_seconds() < 5
    assert moment(-62135596800).year >= 2024


def test_a_reaction_names_the_message_it_is_put_on() -> None:
    key = common.MessageKey(remoteJID="1@lid", fromMe=False, ID="3EB0AA")
    got = read(e2e.Message(reactionMessage=e2e.ReactionMessage(key=key, text="")))
    assert got == Read(Reaction("", ""), "3EB0AA")
