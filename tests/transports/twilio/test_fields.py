"""A form is read as the standard library reads it."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.transports.twilio.hooks import MOST_BYTES, MOST_FIELDS, fields


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_what_was_written_as_a_form_is_read_back(pairs: list[tuple[str, str]]) -> None:
    storable = [(name, value) for name, value in pairs if _encodable(name + value)]
    assert fields(urlencode(storable).encode()) == storable


@given(st.text(alphabet="ab=&+%20F4É", max_size=40).map(str.encode))
def test_what_is_no_tidy_form_is_read_as_the_standard_library_does(body: bytes) -> None:
    try:
        expected = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011
            fields(body)
    else:
        assert fields(body) == expected


@pytest.mark.parametrize("body", [b"&" * MOST_FIELDS, b"a" * (MOST_BYTES + 1), b"\xff=1", b"a=%ff"])
def test_what_is_too_large_or_no_text_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        fields(body)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)
