import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.domain.errors import Invalid
from wafleet.domain.phone import normalise, spellings

EXAMPLES = Path(__file__).parents[3] / "shared/contracts/phone/example_numbers.json"


@pytest.mark.parametrize(
    "written",
    [
        "+966501234567",
        "whatsapp:+966501234567",
        "WhatsApp:+966 50 123 4567",
        "tel:+966-50-123-4567",
        "00966501234567",
        "966501234567",
        "+966 (50) 123.45.67",
        "+٩٦٦٥٠١٢٣٤٥٦٧",
        "\u200e+966\u00a050 123 4567",
        "\uff0b966501234567",
    ],
)
def test_one_number_in_any_usual_spelling_is_one_number(written: str) -> None:
    if written == "966501234567":
        assert normalise(written, region="SA") == "+966501234567"
    else:
        assert normalise(written) == "+966501234567"


@pytest.mark.parametrize(
    "written", ["", "hello", "050 1234567 (Ahmed)", "050 1234567 ext 5", "+", "+0123456789", "12", "+1234567890123456"]
)
def test_what_is_not_a_whole_number_is_refused_and_never_mended(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalise(written, field="to")
    assert refused.value.field == "to"


def test_a_local_number_needs_a_country_and_is_never_given_one() -> None:
    with pytest.raises(Invalid, match="country code"):
        normalise("050 123 4567")
    assert normalise("050 123 4567", region="AE") == "+971501234567"


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_e164_stays_as_it_is(number: str) -> None:
    assert normalise(number) == number
    assert normalise(normalise(number)) == number


@given(st.text(max_size=30))
def test_any_text_gives_a_number_or_a_clear_refusal(text: str) -> None:
    refusals: list[Invalid] = []
    try:
        assert normalise(text).startswith("+")
    except Invalid as refused:
        refusals.append(refused)
    assert all(one.field == "phone" and len(one.sentence) > 20 for one in refusals)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the official example numbers are not on this machine")
def test_every_official_example_number_of_a_subscriber_is_understood() -> None:
    rows = json.loads(EXAMPLES.read_text())["rows"]
    numbers = [one["e164"] for one in rows if 8 <= len(one["e164"]) <= 16]
    assert len(numbers) > 500
    assert [normalise(one) for one in numbers] == numbers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+5521987654321", "+552187654321"),
        ("+5553981234567", "+555381234567"),
        ("+525512345678", "+5215512345678"),
        ("+541123456789", "+5491123456789"),
    ],
)
def test_a_person_whom_networks_know_by_two_numbers_is_one(one: str, other: str) -> None:
    assert spellings(one) == (one, other)
    assert spellings(other) == (other, one)


@pytest.mark.parametrize(
    "only",
    ["+552134567890", "+5511912345678", "+447700900123", "+5251234567", "lid:552187654321", "bsuid:BR.1", "+549"],
)
def test_every_other_person_has_one_identity(only: str) -> None:
    assert spellings(only) == (only,)
