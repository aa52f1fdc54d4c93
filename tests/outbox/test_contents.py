"""Contents of every kind, queued over HTTP, carried by the lanes, and seen at the simulated network."""

from typing import Any
from uuid import uuid4

import pytest
from tests.media.files import MP4, OGG, PDF, PNG, WEBP
from tests.outbox.offices import CUSTOMER, OTHER, PHONE, Office

from wafleet.simulator.orders import Say

FILES = {"image": (PNG, "image/png"), "video": (MP4, "video/mp4"), "audio": (OGG, "audio/ogg")} | {
    "document": (PDF, "application/pdf"),
    "sticker": (WEBP, "image/webp"),
}


@pytest.fixture
async def talking(office: Office) -> Office:
    """Both numbers of the tenant are online, so that one hears what the other says."""
    for id, phone in ((office.first.id, PHONE), (office.second.id, OTHER)):
        assert (await office.http.post(f"/accounts/{id}/link")).is_success
        await office.until(f"/accounts/{id}/link", lambda seen: bool(seen.get("qr")))
        office.world.linking.scan(phone)
        await office.until(f"/accounts/{id}", lambda seen: seen["state"] == "online")
    return office


async def _uploaded(office: Office, content: bytes, mime: str, name: str = "") -> str:
    answer = await office.http.post("/media", content=content, headers={"Content-Type": mime}, params={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def _sent(office: Office, content: dict[str, Any]) -> dict[str, Any]:
    """Send from the first number to the second, and wait until it is there."""
    body = {"to": OTHER, "account": str(office.first.id), "content": content}
    answer = await office.http.post("/messages", json=body)
    assert answer.status_code == 202, answer.text
    ended = {"sent", "delivered", "read", "failed"}
    return await office.until(f"/messages/{answer.json()['id']}", lambda seen: seen["state"] in ended)


async def _heard(office: Office, count: int) -> list[dict[str, Any]]:
    """Return what the second number heard, oldest first."""
    path = f"/messages?account={office.second.id}&direction=in"
    return (await office.until(path, lambda seen: len(seen["items"]) >= count))["items"][::-1]


async def _said(office: Office, text: str) -> dict[str, Any]:
    """Have a customer write to the first number; return the message once it is here."""
    office.world.say(Say(customer=CUSTOMER, account=PHONE, text=text))
    path = f"/messages?account={office.first.id}&direction=in"
    return (await office.until(path, lambda seen: bool(seen["items"])))["items"][0]


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_goes_out_and_comes_in_whole(talking: Office, kind: str) -> None:
    content, mime = FILES[kind]
    file = await _uploaded(talking, content, mime, name="menu")
    sent = await _sent(talking, {"type": kind, "media": file})
    assert sent["state"] != "failed", sent
    assert sent["content"]["media"] == {"id": file, "mime": mime, "size": len(content), "name": "menu"}
    (got,) = await _heard(talking, 1)
    assert got["content"] == sent["content"]
    assert (await talking.http.get(f"/media/{got['content']['media']['id']}")).content == content


async def test_a_conversation_s_newest_line_says_what_a_file_without_words_is(talking: Office) -> None:
    await _sent(talking, {"type": "image", "media": await _uploaded(talking, PNG, "image/png")})
    await _heard(talking, 1)
    lines = [one["last_words"] for one in (await talking.http.get("/conversations")).json()["items"]]
    assert lines == ["photo", "photo"]


async def test_what_the_account_did_to_its_message_shows_on_it_and_crosses(talking: Office) -> None:
    first = await _sent(talking, {"type": "text", "text": "see you at six"})
    reply = await _sent(talking, {"type": "text", "text": "or seven?", "reply_to": first["id"]})
    assert reply["content"]["reply_to"] == first["id"]
    await _sent(talking, {"type": "reaction", "message": first["id"], "emoji": "👍"})
    await _sent(talking, {"type": "edit", "message": first["id"], "text": "see you at eight"})
    now = await talking.message(first["id"])
    assert [(one["emoji"], one["direction"]) for one in now["reactions"]] == [("👍", "out")]
    assert (now["edited"]["text"], now["content"]["text"]) == ("see you at eight", "see you at six")
    assert now["deleted_at"] is None
    await _sent(talking, {"type": "reaction", "message": first["id"], "emoji": ""})
    await _sent(talking, {"type": "deletion", "message": first["id"]})
    now = await talking.message(first["id"])
    assert (now["reactions"], bool(now["deleted_at"])) == ([], True)
    heard = [one["content"]["type"] for one in await _heard(talking, 6)]
    assert heard == ["text", "text", "reaction", "edit", "reaction", "deletion"]


async def test_what_a_customer_did_to_messages_shows_on_them(talking: Office) -> None:
    mine = await _sent(talking, {"type": "text", "text": "six or seven?"})
    theirs = talking.world.say(Say(customer=OTHER, account=PHONE, text="sevn"))
    for body in (
        {"type": "text", "text": "seven", "reply_to": mine["provider_id"]},
        {"type": "edit", "message": theirs, "text": "seven"},
        {"type": "reaction", "message": mine["provider_id"], "emoji": "❤️"},
        {"type": "deletion", "message": mine["provider_id"]},  # not theirs to take back
        {"type": "reaction", "message": "never heard of", "emoji": "?"},
    ):
        talking.world.say(Say(customer=OTHER, account=PHONE, text="", body=body))
    path = f"/messages?account={talking.first.id}&direction=in"
    heard = (await talking.until(path, lambda seen: len(seen["items"]) == 6))["items"][::-1]
    assert [one["content"].get("reply_to") or one["content"].get("message") for one in heard] == [
        None,
        mine["id"],
        heard[0]["id"],
        mine["id"],
        mine["id"],
        "",
    ]
    assert heard[0]["edited"]["text"] == "seven"
    now = await talking.message(mine["id"])
    assert [(one["emoji"], one["direction"]) for one in now["reactions"]] == [("❤️", "in")]
    assert now["deleted_at"] is None


async def test_a_customer_s_message_is_answered_by_its_account_without_naming_one(talking: Office) -> None:
    asked = await _said(talking, "are you open?")
    content = {"type": "reaction", "message": asked["id"], "emoji": "❤️"}
    told = (await talking.send({"content": content})).json()
    assert told["account"] == str(talking.first.id)
    assert "the message it refers to is with this account" in told["why"]


async def test_what_is_about_a_waiting_message_waits_behind_it(office: Office) -> None:
    first = (await office.send({"text": "offer", "priority": "broadcast"})).json()
    second = (await office.send({"content": {"type": "text", "text": "ends today", "reply_to": first["id"]}})).json()
    due = [(await office.message(one["id"]))["due_at"] for one in (first, second)]
    assert due[0] == due[1]
    assert second["state"] == "queued"


async def test_what_is_about_a_cancelled_message_is_refused(office: Office) -> None:
    first = (await office.send({"text": "wrong"})).json()
    await office.http.post(f"/messages/{first['id']}/cancel")
    answer = await office.send({"content": {"type": "reaction", "message": first["id"], "emoji": "👍"}})
    assert (answer.status_code, answer.json()["field"]) == (422, "content.message")
    assert "cancelled" in answer.json()["detail"]


async def test_a_customer_whose_phone_is_hidden_is_written_to_by_their_identity(office: Office) -> None:
    told = (await office.send({"to": "lid:123456789012345", "text": "hello"})).json()
    assert (await office.message(told["id"]))["to"] == "lid:123456789012345"
    told = (await office.send({"to": "bsuid:US.13491208655302741918", "text": "hello"})).json()
    assert (await office.message(told["id"]))["to"] == "bsuid:US.13491208655302741918"
    for bad in ("lid:1", "lid:12345678901x", "LID:123456789012345", "bsuid:13491208655302741918", "bsuid:US."):
        assert (await office.send({"to": bad, "text": "hello"})).status_code == 422


async def test_a_message_of_another_conversation_or_tenant_does_not_exist(office: Office) -> None:
    here = (await office.send({"text": "hello"})).json()
    for to, id in (("+971550000002", here["id"]), (CUSTOMER, str(uuid4()))):
        body = {"to": to, "account": here["account"], "content": {"type": "text", "text": "x", "reply_to": id}}
        answer = await office.http.post("/messages", json=body)
        told = answer.json()
        assert (answer.status_code, told["field"], told["errors"][0]["code"]) == (
            422,
            "content.reply_to",
            "about_not_found",
        )


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"type": "image", "media": "0" * 64}, "content.media"),
        ({"type": "reaction", "message": "yesterday's", "emoji": "👍"}, "content.message"),
        ({"type": "reaction", "message": "", "emoji": "👍"}, "content.message"),
        ({"type": "text", "text": "x", "reply_to": "nothing"}, "content.reply_to"),
        ({"type": "edit", "message": "", "text": " "}, "text"),
        ({"type": "location", "latitude": 91, "longitude": 0}, "content.latitude"),
        ({"type": "contact", "name": "", "phone": "+97155"}, "content.name"),
        ({"type": "image", "media": {"id": "0" * 64}, "caption": "x" * 1025}, "content.caption"),
        ({"type": "image"}, "content"),
        ({"type": "image", "media": 7}, "content"),
    ],
)
async def test_bad_contents_name_their_field(office: Office, content: dict[str, Any], field: str) -> None:
    answer = await office.send({"content": content})
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await office.http.get("/messages")).json()["items"] == []


async def test_a_file_of_the_wrong_kind_is_refused_before_sending(office: Office) -> None:
    file = await _uploaded(office, b"not a picture", "image/jpeg")
    answer = await office.send({"content": {"type": "image", "media": file}})
    assert (answer.status_code, answer.json()["field"]) == (422, "content.media")
    assert "image/jpeg or image/png" in answer.json()["detail"]


async def test_only_own_messages_are_changed_or_taken_back(talking: Office) -> None:
    asked = await _said(talking, "hi")
    for content in ({"type": "edit", "text": "x"}, {"type": "deletion"}):
        answer = await talking.send({"content": content | {"message": asked["id"]}})
        assert (answer.status_code, answer.json()["field"]) == (422, "content.message")


async def test_a_message_whose_file_is_gone_has_failed_and_says_so(talking: Office) -> None:
    file = await _uploaded(talking, PNG, "image/png")
    for path in (talking.app.settings.data_dir / "media").rglob(file):
        path.unlink()
    told = await _sent(talking, {"type": "image", "media": file})
    assert (told["state"], told["reason"]) == ("failed", "media_missing")
    assert "Upload the file again" in told["why"]
