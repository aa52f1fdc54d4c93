"""Only what Twilio signed is believed."""

import base64
import hashlib
import hmac
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from wafleet.transports.calls import Call, Forged
from wafleet.transports.twilio import Twilio
from wafleet.transports.twilio.hooks import FORM, check, signature_of

OFFICIAL = Path(__file__).parents[4] / "shared/contracts/twilio/signature_vectors.json"
TOKEN = "a token that is only for tests"
URL = "https://wafleet.example/hooks/twilio/0191?x=1&y=%20a"
PAIRS = [
    ("From", "whatsapp:+966500000001"),
    ("Body", " two  spaces, سلام 🏠 & a+b%20c "),
    ("To", ""),
    ("MessageSid", "SM1"),
]


def post(
    pairs: Sequence[tuple[str, str]] = PAIRS, *, url: str = URL, signature: str | None = None, kind: str = FORM
) -> Call:
    given = signature_of(url, pairs, TOKEN) if signature is None else signature
    return Call("POST", url, {"content-type": kind, "x-twilio-signature": given}, urlencode(pairs).encode())


def official(kind: str) -> list[Any]:
    if not OFFICIAL.exists():
        return []
    return json.loads(OFFICIAL.read_text("utf-8"))[kind]


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"Twilio's own vectors are not at {OFFICIAL}")
@pytest.mark.parametrize("vector", official("form"), ids=lambda one: one["id"])
def test_the_vectors_of_twilios_own_libraries(vector: dict[str, Any]) -> None:
    call = post(list(vector["params"].items()), url=vector["url"], signature=vector["signature"])
    if vector["valid"]:
        check(call, "12345")
    else:
        with pytest.raises(Forged):
            check(call, "12345")


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"Twilio's own vectors are not at {OFFICIAL}")
@pytest.mark.parametrize("vector", official("json_body"), ids=lambda one: one["id"])
def test_the_vectors_of_bodies_that_are_no_forms(vector: dict[str, Any]) -> None:
    headers = {"content-type": "application/json", "x-twilio-signature": vector["signature"]}
    check(Call("POST", vector["url"], headers, vector["body"].encode()), "12345")
    with pytest.raises(Forged):
        check(Call("POST", vector["url"], headers, vector["body"].encode() + b" "), "12345")


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://wafleet.example",
        "https://wafleet.example:8443/hooks/twilio/0191",
        "http://wafleet.example:80/hooks",
        "https://[::1]/hooks",
        "https://[::1]:8443/hooks",
        "https://wafleet.example/hooks?q='it%27s'+1%2B1&z=%D8%B3",
    ],
)
def test_we_agree_with_the_official_library(url: str) -> None:
    library = importlib.import_module("twilio.request_validator")
    signed = library.RequestValidator(TOKEN).compute_signature(url, dict(PAIRS))
    check(post(url=url, signature=signed), TOKEN)


@pytest.mark.parametrize(
    ("reached", "signed"),
    [
        ("https://wafleet.example/hooks?a=1", "https://wafleet.example:443/hooks?a=1"),
        ("https://wafleet.example:443/hooks", "https://wafleet.example/hooks"),
        ("https://wafleet.example:8443/hooks", "https://wafleet.example/hooks"),
        ("http://wafleet.example/hooks", "http://wafleet.example:80/hooks"),
        ("http://wafleet.example:80/hooks", "http://wafleet.example/hooks"),
        ("https://[::1]:443/hooks", "https://[::1]/hooks"),
        ("https://wafleet.example?a=1:2", "https://wafleet.example:443?a=1:2"),
    ],
)
def test_a_port_that_goes_without_saying_makes_no_difference(reached: str, signed: str) -> None:
    check(post(url=reached, signature=signature_of(signed, PAIRS, TOKEN)), TOKEN)


def test_the_url_counts_as_it_was_written_quote_plus_and_all() -> None:
    url = "https://wafleet.example/hooks?name=O'Neil+Sons"
    check(post(url=url), TOKEN)
    for other in (
        "https://wafleet.example/hooks?name=O%27Neil+Sons",
        "https://wafleet.example/hooks?name=O'Neil%20Sons",
    ):
        with pytest.raises(Forged):
            check(post(url=other, signature=signature_of(url, PAIRS, TOKEN)), TOKEN)


def test_of_a_repeated_parameter_each_value_counts_once_and_in_order() -> None:
    pairs = [("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b"), ("Body", "x")]
    text = f"{URL}BodyxMediaUrlaMediaUrlb"
    signed = base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), hashlib.sha1)).decode()
    check(post(pairs, signature=signed), TOKEN)


def test_parameters_that_are_new_to_us_are_part_of_the_signature() -> None:
    pairs = [*PAIRS, ("SomethingNew", "2027")]
    check(post(pairs), TOKEN)
    with pytest.raises(Forged):
        check(post(pairs, signature=signature_of(URL, PAIRS, TOKEN)), TOKEN)


@pytest.mark.parametrize(
    "call",
    [
        post(signature=""),
        post(signature="AAAA"),
        post(signature="ü ² \udcff"),
        post(url="https://elsewhere.example/hooks", signature=signature_of(URL, PAIRS, TOKEN)),
        post(kind="application/json"),
        post(kind="multipart/form-data; boundary=x"),
        Call("POST", URL, {"content-type": FORM, "x-twilio-signature": signature_of(URL, [], TOKEN)}, b"\xff\xfe=1"),
        Call("POST", URL, {"content-type": FORM, "x-twilio-signature": signature_of(URL, [], TOKEN)}, b"a=1&" * 1000),
        Call("POST", URL, {"content-type": FORM, "x-twilio-signature": signature_of(URL, [], TOKEN)}, b"a" * 300_000),
        Call("POST", URL, {"content-type": FORM}, b""),
    ],
    ids=range(10),
)
def test_everything_else_is_refused(call: Call) -> None:
    with pytest.raises(Forged):
        check(call, TOKEN)


def test_an_account_without_usable_credentials_believes_nobody() -> None:
    for credentials in (b"", b"{}", b"\xff", b'{"accountSid":"AC1","authToken":""}'):
        with pytest.raises(Forged):
            Twilio().check(post(signature=signature_of(URL, PAIRS, "")), credentials, {})
