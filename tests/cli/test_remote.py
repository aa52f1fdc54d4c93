"""Commands through the API of a running wafleet, and what they say where none runs."""

import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.cli.commands import Shell
from tests.cli.served import KITCHEN, OFFICE, Served, until
from tests.media.files import PNG

PHONE, OTHER = "+971501110001", "+966551110001"
CUSTOMER = "+447700900123"


@pytest.fixture(scope="module")
def fleet(served: Served) -> Served:
    """Two linked accounts of two tenants."""
    with served.client() as client:
        for name, phone, tenant in (("Front desk", PHONE, OFFICE), ("المطعم - العليا", OTHER, KITCHEN)):
            client.create_account(name, phone, "simulator", tenant=tenant, role="primary")
            client.start_linking(phone)
            served.scan(phone)
            served.settled(phone)
    return served


@pytest.fixture
def at_fleet(fleet: Served, at_served: Served) -> Served:
    return at_served


def test_accounts_are_listed_for_people_and_for_scripts(at_fleet: Served, shell: Shell) -> None:
    ran = shell("accounts", "list")
    assert ran.status == 0
    assert "Front desk" in ran.out
    assert "المطعم" in ran.out
    found = shell("accounts", "list", "--state", "online", "--json").lines()
    assert {one["phone"] for one in found} == {PHONE, OTHER}
    assert not shell("accounts", "list", "--tenant", OFFICE, "--search", "المطعم", "--json").lines()


@pytest.mark.parametrize("named", ["Front desk", "00971 50 111 0001", "+٩٧١ ٥٠١١١ ٠٠٠١", PHONE])
def test_an_account_is_found_by_what_people_call_it(at_fleet: Served, shell: Shell, named: str) -> None:
    ran = shell("accounts", "show", named, "--json")
    assert ran.json()["phone"] == PHONE
    assert shell("accounts", "show", ran.json()["id"], "--json").json()["phone"] == PHONE


def test_a_role_that_means_two_accounts_is_refused_with_both_names(at_fleet: Served, shell: Shell) -> None:
    ran = shell("accounts", "show", "primary")
    assert ran.status == 1
    assert "Front desk" in ran.err


def test_an_account_is_added_changed_stopped_and_deleted(at_fleet: Served, shell: Shell) -> None:
    words = ("Sales", "+971 50 111 0009", "--tenant", OFFICE, "--role", "sales", "--metadata", '{"desk": 4}', "--json")
    made = shell("accounts", "add", *words).json()
    assert (made["state"], made["metadata"]) == ("new", {"desk": 4})
    changed = shell("accounts", "update", "sales", "--priority", "5", "--json").json()
    assert (changed["priority"], changed["role"]) == (5, "sales")
    assert shell("accounts", "list").status == 3
    assert shell("status").status == 3
    assert shell("accounts", "disable", "sales", "--json").json()["state"] == "disabled"
    assert shell("status").status == 0
    assert shell("accounts", "enable", "sales", "--json").json()["state"] == "new"
    assert shell("accounts", "delete", "sales").status == 2  # nobody is there to confirm it
    assert shell("accounts", "delete", "sales", "--yes").status == 0
    assert shell("accounts", "show", "sales").status == 1


def test_a_message_is_sent_and_followed_until_it_has_left(at_fleet: Served, shell: Shell) -> None:
    sent = shell("send", CUSTOMER, "مرحبا", "--account", "Front desk", "--wait", "--json")
    assert sent.status == 0
    assert sent.json()["state"] in {"sent", "delivered", "read"}
    shown = shell("messages", "show", sent.json()["id"])
    assert CUSTOMER in shown.out
    assert "Front desk" in shown.out
    assert "مرحبا" in shell("messages", "--account", PHONE).out
    assert [one["id"] for one in shell("messages", "--search", "مرحبا", "--json").lines()] == [sent.json()["id"]]
    assert shell("conversations", "--account", PHONE, "--json").lines()[0]["identity"] == CUSTOMER
    assert CUSTOMER in shell("conversations").out


def test_a_file_goes_out_with_its_words_and_is_saved_again(at_fleet: Served, shell: Shell, tmp_path: Path) -> None:
    picture, saved = tmp_path / "cat.png", tmp_path / "saved.png"
    picture.write_bytes(PNG)
    sent = shell("send", CUSTOMER, "a cat", "--image", picture, "--account", PHONE, "--wait", "--json").json()
    assert (sent["content"]["caption"], sent["content"]["media"]["name"]) == ("a cat", "cat.png")
    assert shell("messages", "file", sent["id"], "-o", saved).status == 0
    assert saved.read_bytes() == PNG
    assert "(image) a cat" in shell("messages", "--account", PHONE).out


def test_a_message_is_answered_reacted_to_corrected_and_taken_back(at_fleet: Served, shell: Shell) -> None:
    def said(*words: object) -> dict[str, Any]:
        return shell("send", CUSTOMER, *words, "--account", PHONE, "--wait", "--json").json()

    first = said("six o'clock")
    assert said("or seven", "--reply-to", first["id"])["content"]["reply_to"] == first["id"]
    assert said("--react", "👍", "--on", first["id"])["state"] != "failed"
    assert said("eight o'clock", "--edit", first["id"])["state"] != "failed"
    assert said("--location", "25.2,55.3", "Marina")["content"]["type"] == "location"
    shown = shell("messages", "show", first["id"]).out
    assert "👍 out" in shown
    assert "eight o'clock" in shown
    assert said("--take-back", first["id"])["state"] != "failed"
    assert "(taken back)" in shell("messages", "--account", PHONE).out


def test_answers_are_offered_and_a_template_is_filled(at_fleet: Served, shell: Shell) -> None:
    def said(*words: object) -> dict[str, Any]:
        return shell("send", CUSTOMER, *words, "--account", PHONE, "--wait", "--json").json()

    asked = said("Which one?", "--offer", "Tea", "--offer", "Coffee")
    assert asked["content"]["type"] == "buttons"
    assert asked["content"]["options"] == [{"id": "1", "title": "Tea"}, {"id": "2", "title": "Coffee"}]
    many = [word for title in ("Mon", "Tue", "Wed", "Thu") for word in ("--offer", title)]
    assert said("Which day?", *many)["content"]["type"] == "choices"
    filled = said("--template", "order_ready", "--language", "en_US", "--with", "1=Ada", "--with", "2=a=b")
    assert filled["content"]["variables"] == {"1": "Ada", "2": "a=b"}
    assert "(template) order_ready" in shell("messages", "--account", PHONE).out
    assert "cannot list templates" in shell("templates", PHONE).err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say what to send"),
        (["x", "--template", "order_ready"], "words of its own"),
        (["x", "--location", "here"], "is no place"),
        (["--react", "👍"], "go together"),
        (["--location", "1,2", "--take-back", "0197b1c2-3d4e-7f50-8a6b-9c0d1e2f3a4b"], "one thing"),
        (["x", "--take-back", "0197b1c2-3d4e-7f50-8a6b-9c0d1e2f3a4b"], "no words"),
        (["--image", "/no/such/file"], "does not exist"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is(
    at_fleet: Served, shell: Shell, words: list[str], says: str
) -> None:
    ran = shell("send", CUSTOMER, *words, "--account", PHONE)
    assert ran.status == 2
    assert says in " ".join(ran.err.replace("│", " ").split())


def test_the_same_key_sends_once(at_fleet: Served, shell: Shell) -> None:
    words = ("send", CUSTOMER, "Once", "--account", PHONE, "--key", "order-7", "--json")
    first, second = shell(*words).json(), shell(*words).json()
    assert first["id"] == second["id"]


def test_a_scheduled_message_waits_and_can_be_cancelled(at_fleet: Served, shell: Shell) -> None:
    words = ("send", CUSTOMER, "Later", "--account", PHONE, "--at", "2100-01-01T00:00:00", "--json")
    queued = shell(*words).json()
    assert queued["state"] == "queued"
    assert shell("messages", "cancel", queued["id"], "--json").json() == {"id": queued["id"], "state": "cancelled"}
    sent = shell("send", CUSTOMER, "Now", "--account", PHONE, "--wait", "--json").json()
    late = shell("messages", "cancel", sent["id"])
    assert (late.status, "only a message that waits" in late.err) == (1, True)


def test_waiting_for_a_message_that_does_not_leave_ends_with_3(at_fleet: Served, shell: Shell) -> None:
    words = ("send", CUSTOMER, "Later", "--account", PHONE, "--at", "2100-01-01T00:00:00", "--wait", "--within", "1s")
    ran = shell(*words)
    assert ran.status == 3
    assert "queued" in ran.out


def test_the_ledger_adds_up(at_fleet: Served, shell: Shell) -> None:
    shell("send", CUSTOMER, "Counted", "--account", PHONE, "--wait")
    drawn = shell("ledger", "--account", PHONE, "--json")
    assert (drawn.status, drawn.json()["balanced"]) == (0, True)
    shown = shell("ledger")
    assert "Adds up" in shown.out
    assert "FAILED" not in shown.out
    assert shell("ledger", "--day", "2026-13-01").status == 2


def test_a_ledger_that_does_not_add_up_ends_with_3(
    at_fleet: Served, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    from wafleet.client import Client
    from wafleet.client.answers import Ledger

    with at_fleet.client() as client:
        drawn = client.ledger()
    wrong = msgspec.structs.replace(drawn, balanced=False, sentence="Does not add up.")

    def drawn_wrongly(*_: object, **__: object) -> Ledger:
        return wrong

    monkeypatch.setattr(Client, "ledger", drawn_wrongly)
    ran = shell("ledger")
    assert (ran.status, "all" in ran.out, "NO" in ran.out) == (3, True, True)


def test_statistics_are_told_for_a_period(at_fleet: Served, shell: Shell) -> None:
    assert shell("accounts", "statistics", PHONE, "--period", "7d", "--json").json()["sent"] >= 0
    assert "received" in shell("accounts", "statistics", PHONE).out
    assert shell("accounts", "statistics", PHONE, "--period", "ever").status == 2


def test_linking_shows_each_code_until_a_phone_has_scanned_it(at_fleet: Served, shell: Shell) -> None:
    phone = "+971501110010"
    shell("accounts", "add", "Linked here", phone, "--tenant", OFFICE)
    scanning = threading.Thread(target=at_fleet.scan, args=[phone])
    scanning.start()
    ran = shell("link", "Linked here")
    scanning.join()
    assert ran.status == 0
    assert "is linked" in ran.out
    again = shell("link", "Linked here")
    at_fleet.settled(phone)
    assert (again.status, "already" in again.err or "connected" in again.err) == (1, True)
    assert shell("accounts", "delete", "Linked here", "--yes").status == 0


def test_linking_that_is_cancelled_elsewhere_ends_with_its_reason(at_fleet: Served, shell: Shell) -> None:
    phone = "+971501110011"
    shell("accounts", "add", "Not linked", phone, "--tenant", OFFICE)

    def cancel() -> None:
        with at_fleet.client() as client:
            until(lambda: client.pairing(phone).qr, "a code")
            client.cancel_linking(phone)

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    ran = shell("link", phone, "--json")
    cancelling.join()
    assert ran.status == 1
    states = [one["state"] for one in ran.lines()]
    assert (states[0], states[-1], ran.lines()[-1]["reason"]) == ("linking", "new", "link_cancelled")
    assert shell("accounts", "delete", phone, "--yes").status == 0


def test_a_phone_that_is_not_linked_anew_is_no_linked_phone_although_its_account_is_online(
    at_fleet: Served, shell: Shell
) -> None:
    phone = "+971501110012"
    shell("accounts", "add", "Linked once", phone, "--tenant", OFFICE)
    for passkey, status in ((False, 0), (True, 1)):
        at_fleet.world.linking.passkey = passkey
        scanning = threading.Thread(target=at_fleet.scan, args=[phone])
        scanning.start()
        ran = shell("link", "Linked once", "--again")
        scanning.join()
        at_fleet.world.linking.passkey = False
        assert ran.status == status
        at_fleet.settled(phone)
    assert "was not linked: WhatsApp asks for a passkey" in ran.err
    assert "It goes on with its earlier session." in ran.err
    assert f"Once more: wafleet link {phone} --again" in ran.err
    assert shell("accounts", "delete", phone, "--yes").status == 0


def test_texts_of_customers_cannot_steer_the_terminal(at_fleet: Served, shell: Shell) -> None:
    shell("send", CUSTOMER, "\x1b[2J\u202eoops\n\r", "--account", PHONE, "--wait")
    shown = shell("messages", "--limit", "1")
    assert "oops" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("accounts", "show", "Nobody"), 1, "There is no such account"),
        (("accounts", "add", "X", "12", "--tenant", OFFICE), 1, "country code"),
        (("accounts", "add", "X", "+971501119999"), 1, "tenant"),
        (("accounts", "add", "X", PHONE, "--tenant", OFFICE), 1, "already"),
        (("accounts", "add", "X", "+971501119999", "--metadata", "[1]"), 2, "no JSON object"),
        (("accounts", "update", PHONE), 2, "nothing is to be changed"),
        (("accounts", "update", PHONE, "--settings", '{"pase": 1}'), 1, "settings.pase"),
        (("accounts", "list", "--state", "asleep"), 1, "state"),
        (("accounts", "list", "--tenant", "Nowhere"), 1, "There is no tenant"),
        (("send", "12", "x"), 1, "country code"),
        (("send", CUSTOMER, "  ", "--account", PHONE), 1, "empty"),
        (("messages", "show", str(UUID(int=1))), 1, "no such message"),
        (("messages", "cancel", "x"), 2, "valid UUID"),
        (("messages", "--state", "lost"), 1, "state"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_status(
    at_fleet: Served, shell: Shell, words: tuple[str, ...], status: int, sentence: str
) -> None:
    ran = shell(*words)
    assert ran.status == status, ran.err
    assert sentence in " ".join(ran.err.replace("│", " ").split())
    assert not ran.out


def test_where_wafleet_does_not_run_every_command_says_how_to_start_it(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAFLEET_DATA_DIR", str(tmp_path))
    for words in (("status",), ("accounts", "list"), ("send", CUSTOMER, "x"), ("ledger",), ("link", "x")):
        ran = shell(*words)
        assert (ran.status, "`wafleet up`" in ran.err) == (4, True)
    monkeypatch.setenv("WAFLEET_URL", "http://127.0.0.1:1")
    assert "WAFLEET_TOKEN" in shell("status").err
    monkeypatch.setenv("WAFLEET_TOKEN", "wf_x")
    ran = shell("status")
    assert (ran.status, ran.err.strip()) == (
        4,
        "wafleet: wafleet does not answer at http://127.0.0.1:1: start it with `wafleet up` (or `make demo`)",
    )


def test_the_environment_names_a_wafleet_elsewhere(
    fleet: Served, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAFLEET_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WAFLEET_URL", fleet.url)
    monkeypatch.setenv("WAFLEET_TOKEN", fleet.token)
    assert shell("status", "--json").json()["totals"]["total"] >= 2
    monkeypatch.setenv("WAFLEET_TOKEN", "wf_wrong")
    ran = shell("status")
    assert (ran.status, "not a token" in ran.err) == (1, True)


def test_names_of_accounts_are_offered_to_the_shell(at_fleet: Served) -> None:
    from wafleet.cli.calling import complete_account

    assert ("Front desk", f"{PHONE} online") in complete_account("Fro")
