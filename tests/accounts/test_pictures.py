"""QR codes as pictures: what is drawn is the code, with its quiet zone."""

import re
from io import BytesIO
from xml.etree import ElementTree

import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from wafleet.accounts import pictures

LINKS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=250)


def modules(text: str) -> list[list[bool]]:
    return [[bool(m) for m in row] for row in segno.make_qr(text, error="l", boost_error=False).matrix_iter(border=4)]


@settings(max_examples=20, deadline=None)
@given(text=LINKS)
def test_the_svg_draws_exactly_the_dark_modules(text: str) -> None:
    expected = modules(text)
    drawn = [[False] * len(expected) for _ in expected]
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", pictures.svg(text)):
        for dx in range(int(width)):
            drawn[int(y)][int(x) + dx] = True
    assert drawn == expected


def test_the_svg_needs_no_style_and_takes_the_colour_of_its_surroundings() -> None:
    root = ElementTree.fromstring(pictures.svg("2@abc"))
    assert [(one.tag.rpartition("}")[2], one.get("fill")) for one in root] == [("path", "currentColor")]
    assert not any("style" in one.attrib or one.tag.endswith("style") for one in root.iter())
    on_paper = ElementTree.fromstring(pictures.svg_on_paper("2@abc"))
    assert [one.get("fill") for one in on_paper] == ["#fff", "#000"]


def test_the_png_has_the_size_of_its_modules() -> None:
    data = BytesIO(pictures.png("2@abc")).getvalue()
    width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
    assert width == height == len(modules("2@abc")) * 8
