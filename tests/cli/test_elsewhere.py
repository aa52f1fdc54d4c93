"""Commands for numbers at providers: registered, moved, and whether their network calls."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.cli.commands import Shell
from tests.cli.served import KITCHEN, OFFICE, PUBLIC, Served, until

from wafleet.accounts.needs import CREDENTIALS
from wafleet.cli.pairs import SECRETS
from wafleet.console.ways import entries_of
from wafleet.transports.twilio.hooks import signature_of

TOKEN = "auth-token-that-nobody-may-see"
SENDER = ("--set", "accountSid=AC" + "1" * 32, "--set", "senderSid=XE" + "0" * 32)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Somebody who types lines for a command that reads them."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def registered(shell: Shell, typed: Callable[[str], None], name: str, phone: str) -> dict[str, Any]:
    typed(f"{TOKEN}\n")
    ran = shell("accounts", "register", name, phone, "--tenant", KITCHEN, *SENDER, "--set", "authToken=-", "--json")
    assert ran.status == 0, ran.err
    assert TOKEN not in ran.out + ran.err
    return ran.json()


def test_a_sender_is_registered_and_its_webhook_told(
    at_served: Served, shell: Shell, typed: Callable[[str], None]
) -> None:
    made = registered(shell, typed, "Grill", "+1 415 523 8801")
    assert (made["transport"], made["phone"], made["tenant"]) == ("twilio", "+14155238801", KITCHEN)
    typed(f"{TOKEN}\n")
    ran = shell("accounts", "register", "Bar", "+14155238802", "--tenant", KITCHEN, *SENDER, "--set", "authToken=-")
    assert ran.status == 0
    assert f"Enter this address at the provider: {PUBLIC}/hooks/twilio/" in ran.out
    at_served.settled("Bar")


def test_a_webhook_that_was_not_called_ends_with_3_until_it_was(
    at_served: Served, shell: Shell, typed: Callable[[str], None]
) -> None:
    made = registered(shell, typed, "Terrace", "+14155238803")
    before = shell("accounts", "webhook", "Terrace")
    assert (before.status, "has not called yet" in before.out) == (3, True)
    path, form = f"/hooks/twilio/{made['id']}", {"MessageSid": "SM1", "From": "whatsapp:+447700900001", "Body": "hi"}
    for token, status in (("wrong", 403), (TOKEN, 200)):
        headers = {"X-Twilio-Signature": signature_of(PUBLIC + path, list(form.items()), token)}
        assert httpx.post(at_served.url + path, data=form, headers=headers).status_code == status
    until(lambda: shell("accounts", "webhook", "Terrace").status == 0, "the call to be noted")
    told = shell("accounts", "webhook", "Terrace", "--json").json()
    assert (told["url"], told["complete"]) == (f"{PUBLIC}{path}#rc=5&rp=ct,rt,5xx", True)
    assert "signature" in told["call_refused"]


def test_a_number_at_a_provider_is_added_pair_by_pair_in_either_spelling(
    at_served: Served, shell: Shell, typed: Callable[[str], None]
) -> None:
    typed(f"{TOKEN}\n")
    pairs = ("account_sid=AC" + "1" * 32, "authToken=-", "senderSid=XE" + "0" * 32, "waba_id=102290129340398")
    given = [part for pair in pairs for part in ("--set", pair)]
    ran = shell("accounts", "add", "Cellar", "+14155238809", "--tenant", KITCHEN, "--transport", "twilio", *given)
    assert ran.status == 0, ran.err
    assert f"Enter this address at the provider: {PUBLIC}/hooks/twilio/" in ran.out
    assert TOKEN not in ran.out + ran.err
    made = shell("accounts", "show", "Cellar", "--json").json()
    assert made["settings"]["twilio"] == {"sender_sid": "XE" + "0" * 32, "waba_id": "102290129340398"}
    at_served.settled("Cellar")


def test_every_credential_is_known_as_a_secret_to_the_terminal_and_to_the_forms() -> None:
    known = {one.name for several in CREDENTIALS.values() for one in several}
    assert known == SECRETS
    for kind, several in CREDENTIALS.items():
        entered = [one for one in entries_of(kind, platform=True) if one.path.startswith("credentials.")]
        assert {one.name for one in entered} == {one.name for one in several}
        assert {one.name for one in entered if one.needed} == {one.name for one in several if one.needed}
        assert {one.name for one in entered if not (one.secret or one.made_up)} == {
            one.name for one in several if one.public
        }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--set", "senderSid=nonsense"), "settings.twilio.sender_sid"),
        (("--set", "authToken="), "credentials.authToken is missing"),
        (("--set", "colour=red"), "colour"),
    ],
)
def test_what_is_wrong_with_a_sender_is_one_sentence_that_names_it(
    at_served: Served, shell: Shell, given: tuple[str, ...], sentence: str
) -> None:
    words = ("--tenant", KITCHEN, *SENDER, "--set", f"authToken={TOKEN}", *given)
    ran = shell("accounts", "register", "Nobody", "+14155238899", *words)
    assert (ran.status, ran.out) == (1, "")
    assert sentence in ran.err
    assert TOKEN not in ran.err
    assert shell("accounts", "show", "Nobody").status == 1


def test_a_value_without_a_name_is_refused(at_served: Served, shell: Shell) -> None:
    ran = shell("accounts", "register", "Nobody", "+14155238899", "--set", "accountSid")
    assert ran.status == 2
    assert "key=value" in ran.err


def test_a_number_moves_after_a_dry_run_has_told_what_it_means(
    at_served: Served, shell: Shell, typed: Callable[[str], None]
) -> None:
    assert shell("accounts", "add", "Desk", "+14155238804", "--tenant", OFFICE).status == 0
    tried = shell("accounts", "move", "Desk", "--to", "twilio", "--dry-run")
    assert tried.out.startswith("This would move Desk from simulator to twilio.")
    assert shell("accounts", "show", "Desk", "--json").json()["transport"] == "simulator"

    lacking = shell("accounts", "move", "Desk", "--to", "twilio", "--set", "accountSid=AC1")
    assert lacking.status == 1
    assert "credentials.authToken is missing" in lacking.err
    typed(f"{TOKEN}\n")
    moved = shell("accounts", "move", "Desk", "--to", "twilio", *SENDER, "--set", "authToken=-")
    assert moved.status == 0, moved.err
    assert "Moved from simulator to twilio." in moved.out
    assert f"{PUBLIC}/hooks/twilio/" in moved.out
    assert TOKEN not in moved.out
    at_served.settled("Desk")

    back = shell("accounts", "move", "Desk", "--to", "simulator", "--json").json()
    assert (back["was"], back["account"]["transport"], back["notes"]) == ("twilio", "simulator", [])
    again = shell("accounts", "move", "Desk", "--to", "simulator")
    assert again.status == 1
    assert "already" in again.err
