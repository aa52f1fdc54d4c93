"""The client against a running wafleet, and against networks that fail."""

from collections.abc import Callable

import httpx
import msgspec
import pytest
from tests.cli.served import KITCHEN, OFFICE, PUBLIC, Served, until

from wafleet.client import ApiError, Client, Unreachable, every
from wafleet.simulator.world import World

URL = "http://127.0.0.1:1"


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client("http://wafleet.test", "wf_x", transport=httpx.MockTransport(handler))


def at_once(seconds: float) -> None:
    assert seconds > 0


def test_a_person_may_do_all_that_the_api_offers_about_people(served: Served) -> None:
    with served.client() as client:
        made = client.create_user("ada@example.com", tenant=OFFICE, role="agent")
        assert made.password
        user = made.user.id
        assert client.user(user).memberships[0].role == "agent"
        assert client.change_user(user, name="Ada").name == "Ada"
        assert client.grant(user, KITCHEN, "viewer").memberships[1].name == KITCHEN
        client.remove_from_tenant(user, KITCHEN)
        password = client.set_password(user).password
        assert password
        token = client.create_token("orders", ["read"], tenant=OFFICE)
        assert token.token.startswith("wf_")
        client.revoke_token(token.id)
        assert next(one for one in client.tokens().items if one.id == token.id).revoked_at
        assert client.rename_tenant(KITCHEN, "Kitchen").name == "Kitchen"
        assert client.rename_tenant("Kitchen", KITCHEN).name == client.tenant(KITCHEN).name
        assert client.audit().items
        assert {one.email for one in every(lambda cursor: client.users(cursor=cursor, limit=1))} == {
            "ada@example.com",
            "root@example.com",
        }
    with Client(served.url) as ada:
        ada.sign_in("ada@example.com", password)
        me = ada.me()
        assert (me.email, me.role, me.scopes) == ("ada@example.com", "agent", ["read", "send"])
        ada.look_at(OFFICE)
        ada.change_password(password, "another long password")
        ada.sign_out()
        with pytest.raises(ApiError) as refused:
            ada.me()
        assert (refused.value.status, refused.value.code) == (401, "sign_in_needed")


def test_a_file_is_uploaded_read_and_linked(served: Served) -> None:
    with served.client() as client:
        file = client.upload(b"menu", mime="text/plain", name="menu.txt", tenant=OFFICE)
        assert (file.mime, file.size, file.name) == ("text/plain", 4, "menu.txt")
        assert client.media(file.id) == b"menu"
        link = client.link_media(file.id)
    assert link.url.startswith(PUBLIC)
    assert httpx.get(link.url.replace(PUBLIC, served.url), trust_env=False).content == b"menu"


def test_an_account_is_added_linked_sends_and_is_taken_away(served: Served) -> None:
    with served.client() as client:
        made = client.create_account("Front desk", "00971 50 123 4567", "simulator", tenant=OFFICE, role="primary")
        assert (made.phone, made.state, made.reason) == ("+971501234567", "new", "created")
        client.start_linking(made.id)
        served.scan(made.phone)
        served.settled(made.phone)
        assert client.pairing("Front desk").state == "online"
        queued = client.send("+447700900123", "Hello", account=made.id)
        again = client.send_from(made.id, "+447700900123", "Once", key="once")
        assert client.send_from(made.id, "+447700900123", "Once", key="once").id == again.id
        assert queued.account == made.id
        message = client.message(queued.id)
        assert (message.to, message.from_, message.content["text"]) == ("+447700900123", made.phone, "Hello")
        talk = client.conversation(message.conversation)
        assert client.change_conversation(talk.id, {"note": "VIP"}).note == "VIP"
        assert client.read_conversation(talk.id).unread == 0
        assert len(client.conversation_messages(talk.id).items) == 2
        assert client.conversation_statistics().conversations == 1
        assert client.ledger(account=made.id).totals.queued == 2
        assert client.fleet().total == len(client.fleet_view().accounts) == len(client.accounts().items) == 1
        assert client.account_statistics(made.id).waiting >= 0
        assert client.reconnect_account(made.id).id == made.id
        assert client.disable_account("primary").state == "disabled"
        late = client.send("+447700900124", "Later", account=made.id)
        assert client.cancel(late.id).state == "cancelled"
        assert client.enable_account(made.id).desired == "running"
        assert client.unlink_account(made.id).state == "logged_out"
        client.delete_account(made.id)
        assert not client.accounts().items


def test_the_code_comes_as_text_and_as_pictures_until_linking_is_cancelled(served: Served) -> None:
    with served.client() as client:
        made = client.create_account("Sales", "+971501234568", "simulator", tenant=OFFICE)
        with pytest.raises(ApiError, match="no QR code"):
            client.qr_png(made.id)
        client.start_linking(made.id)
        until(lambda: client.pairing(made.id).qr, "a code")
        assert client.qr_svg(made.id).startswith(b"<svg")
        assert client.qr_png(made.id).startswith(b"\x89PNG")
        assert client.cancel_linking(made.id).reason == "link_cancelled"
        client.delete_account(made.id)


def test_a_refusal_is_one_sentence_with_the_field_that_is_wrong(served: Served) -> None:
    with served.client() as client, pytest.raises(ApiError) as refused:
        client.create_account("X", "12", "simulator", tenant=OFFICE)
    assert (refused.value.status, refused.value.field) == (422, "phone")
    assert "country code" in str(refused.value)
    assert refused.value.request


def test_names_with_slashes_and_other_signs_reach_their_tenant(served: Served) -> None:
    with served.client() as client, pytest.raises(ApiError) as missing:
        client.tenant("a?b#c%2F")
    assert missing.value.status == 404
    assert "a?b#c%2F" in missing.value.sentence


def test_a_client_narrowed_to_a_tenant_sees_only_it(served: Served) -> None:
    with Client(served.url, served.token, tenant=OFFICE) as client:
        assert [one.name for one in client.tenants().items] == [OFFICE]


def test_where_nobody_listens_it_says_how_to_start_wafleet() -> None:
    with Client(URL, "wf_x") as client, pytest.raises(Unreachable) as nobody:
        client.me()
    expected = f"wafleet does not answer at {URL}: start it with `wafleet up` (or `make demo`)"
    assert str(nobody.value) == expected


def test_reads_and_messages_are_repeated_when_the_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", at_once)
    keys: list[str | None] = []

    def broken_once(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        if len(keys) % 2:
            raise httpx.ReadError("reset", request=request)
        answer = {"id": "01a1fc84-5495-7000-b8ae-e943cb700064", "state": "queued", "why": ""}
        return httpx.Response(202, json=answer | {"account": answer["id"], "a field of tomorrow": 1})

    with answering(broken_once) as client:
        assert client.send("+447700900123", "Hello").state == "queued"
    assert keys[0]
    assert keys[0] == keys[1]


def test_a_change_without_a_key_is_never_repeated() -> None:
    asked: list[str] = []

    def broken(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ReadError("reset", request=request)

    with answering(broken) as client, pytest.raises(Unreachable):
        client.create_tenant("Twice")
    assert asked == ["/api/v1/tenants"]


def test_it_waits_as_long_as_it_is_asked_to_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    body = {"detail": "Too many requests: wait", "code": "too_many"}

    def busy(wait: str) -> Callable[[httpx.Request], httpx.Response]:
        return lambda _: httpx.Response(429, json=body, headers={"Retry-After": wait})

    for wait, tries in (("2", [2, 2]), ("60", [])):
        waits.clear()
        with answering(busy(wait)) as client, pytest.raises(ApiError, match="Too many"):
            client.create_tenant("X")
        assert waits == tries


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [(502, b"<html>proxy</html>", "not_wafleet"), (200, b'{"items": 3}', "bad_answer"), (404, b"", "not_wafleet")],
)
def test_an_answer_that_is_not_wafleets_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, status: int, content: bytes, code: str
) -> None:
    monkeypatch.setattr("time.sleep", at_once)
    with answering(lambda _: httpx.Response(status, content=content)) as client, pytest.raises(ApiError) as strange:
        client.tenants()
    assert strange.value.code == code


def test_the_simulated_network_is_looked_at_and_interfered_with() -> None:
    world = World(seed=1)
    world.link("+971501110001")
    asked: list[tuple[str, str]] = []

    def network(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.raw_path.decode().removeprefix("/api/v1/simulator")))
        if request.method != "GET":
            return httpx.Response(200, json={"id": "7"})
        told = {"accounts": world.ledger()} if request.url.path.endswith("ledger") else world.status()
        return httpx.Response(200, content=msgspec.json.encode(told))

    with answering(network) as client:
        assert client.network().accounts[0]["account"] == "+971501110001"
        assert client.network_ledger("+971501110001").accounts[0]["sent_twice"] == 0
        made = [
            client.scan("+971501110001"),
            client.say("+447700900123", "+971501110001", "Hello"),
            client.start_fault("*", "deaf", lasts_s=5),
            client.end_fault("*", "deaf"),
            client.start_load(5, total=10),
        ]
    assert {one.id for one in made} == {"7"}
    assert asked[2] == ("POST", "/scan/%2B971501110001")
    assert asked[5] == ("DELETE", "/faults/%2A/deaf")
