"""Customers' files that the network keeps: whatever goes wrong says whether trying again can help."""

from typing import Any

import pytest
from tests.contracts.subject import Holder, Subject, only

from wafleet.transports.base import MaybeSent, NotSent, RefusedContent, SendError

pytestmark = only(lambda subject: subject.keeps_files)
NONSENSE = ("", "nonsense", "1", "1 2", "https://elsewhere.test/x", "image/png https://elsewhere.test/x", "../x", "\0")


async def fetched(one: Holder, reference: str, credentials: bytes) -> SendError:
    transport: Any = one.subject.transport
    with pytest.raises(SendError) as error:
        await transport.inner.fetch(transport.named(one.number), credentials, reference)
    return error.value


@pytest.mark.parametrize("reference", NONSENSE)
async def test_what_names_no_file_is_refused_for_good(one: Holder, reference: str) -> None:
    assert isinstance(await fetched(one, reference, one.secret), RefusedContent)


@pytest.mark.parametrize("credentials", [b"", b"nonsense", b"{}"])
async def test_an_account_that_cannot_fetch_now_may_later(subject: Subject, one: Holder, credentials: bytes) -> None:
    error = await fetched(one, subject.file_named(one.phone), credentials)
    assert isinstance(error, NotSent | MaybeSent)
    assert error.reason


async def test_a_provider_that_refuses_the_account_may_give_the_file_later(subject: Subject, one: Holder) -> None:
    error = await fetched(one, subject.file_named(one.phone), subject.wrong)
    assert isinstance(error, NotSent | MaybeSent)
    assert error.reason == "credentials"
