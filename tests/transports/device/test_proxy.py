"""The address of a proxy that cannot be used is told without its password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.clientlib import Unusable, find

try:
    find()
except Unusable as missing:
    pytest.skip(str(missing), allow_module_level=True)

from tests.emulator.rig import PHONE
from tests.transports.device.parts import number, on_an_emulator
from tests.transports.heard import Heard

from wafleet.transports.base import OpenError
from wafleet.transports.device.telling import without_password

WORDS = st.text(st.characters(blacklist_categories=["Z", "C"], blacklist_characters="\"'@:/"), min_size=1)
TYPED = st.text(st.characters(blacklist_categories=["Z", "C"], blacklist_characters="\"'"), min_size=1)


@given(WORDS, TYPED, st.sampled_from(["http", "https", "socks5"]))
def test_no_password_of_an_address_is_repeated(user: str, password: str, scheme: str) -> None:
    text = f'parse "{scheme}://{user}:{password}@proxy.example.com:1": invalid URL escape'
    assert without_password(text) == f'parse "{scheme}://{user}:***@proxy.example.com:1": invalid URL escape'


@pytest.mark.parametrize(
    "text", ["", "dial tcp 127.0.0.1:1: connection refused", "http://proxy.example.com:8080 is no"]
)
def test_what_holds_no_password_is_told_as_it_is(text: str) -> None:
    assert without_password(text) == text


@pytest.mark.parametrize("password", ["s3cr%zzet", "s3cret"])
async def test_linking_through_a_proxy_that_cannot_be_used_says_so_without_its_password(
    tmp_path: Path, password: str
) -> None:
    async with on_an_emulator(tmp_path) as (_, transport):
        proxy = f"socks5://ada:{password}@127.0.0.1:1"
        with pytest.raises(OpenError) as refused:
            await transport.link(number(PHONE, device={"proxy": proxy}), Heard())
    assert refused.value.detail
    assert "s3cr" not in f"{refused.value!r} {refused.value.detail}"
