"""Linking with a phone, for transports that link."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.contracts.subject import LAYLA, OTHER, Holder, Subject, only
from tests.transports.heard import Heard, number

from wafleet.domain.account import REASONS
from wafleet.simulator.orders import Say, StartFault
from wafleet.transports.base import NotSent, Number, OpenError, Pairing

pytestmark = only(lambda subject: bool(subject.capabilities.linking))
ACCOUNT = number(OTHER)


async def begin(subject: Subject, account: Number = ACCOUNT) -> tuple[Heard, "asyncio.Task[bytes]"]:
    """Begin to link; return once everything the transport promises is shown."""
    heard = Heard()
    linking = asyncio.create_task(subject.link(account, heard))
    ways = subject.transport.capabilities.linking
    await subject.until(lambda: linking.done() or any(ways == _shown(p) for p in heard.pairings))
    return heard, linking


def _shown(pairing: Pairing) -> frozenset[str]:
    return frozenset(way for way in ("qr", "code") if getattr(pairing, way))


async def ended(linking: "asyncio.Task[bytes]", patience_s: float) -> str:
    with pytest.raises(OpenError) as refused:
        await asyncio.wait_for(linking, patience_s)
    assert refused.value.reason in REASONS
    return refused.value.reason


async def test_a_phone_is_linked_by_confirming_what_is_shown_and_the_account_opens(subject: Subject) -> None:
    heard, linking = await begin(subject)
    shown = heard.pairings[-1]
    assert shown.expires_at
    assert shown.expires_at > datetime.now(UTC)
    subject.scan(OTHER, shown)
    holder = Holder(subject, ACCOUNT, await asyncio.wait_for(linking, subject.patience_s))
    subject.world.say(Say(customer=LAYLA, account=OTHER, text="welcome"))
    await holder.open()
    await holder.send("thank you")
    await holder.hears("welcome")
    await holder.session.close()


async def test_linking_that_is_cancelled_ends_and_another_may_begin(subject: Subject) -> None:
    _, linking = await begin(subject)
    linking.cancel()
    await asyncio.gather(linking, return_exceptions=True)
    assert linking.cancelled()
    heard, again = await begin(subject)
    subject.scan(OTHER, heard.pairings[-1])
    assert await asyncio.wait_for(again, subject.patience_s)


async def test_a_passkey_is_a_reason_of_its_own(subject: Subject) -> None:
    heard, linking = await begin(subject)
    subject.world.linking.passkey = True
    subject.scan(OTHER, heard.pairings[-1])
    assert await ended(linking, subject.patience_s) == "passkey"


@only(lambda subject: subject.feels("outdated"))
async def test_a_client_that_is_outdated_cannot_link(subject: Subject) -> None:
    subject.world.link(OTHER)
    subject.world.start_fault(StartFault(account="*", kind="outdated", lasts=60))
    _, linking = await begin(subject)
    assert await ended(linking, subject.patience_s) == "outdated"


async def test_an_account_that_was_unlinked_sends_nothing_and_is_logged_out(one: Holder) -> None:
    await one.subject.unlink(one.number, one.secret)
    assert one.heard.reasons in ([], ["logged_out"])
    with pytest.raises(NotSent):
        await one.send()
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert refused.value.reason == "logged_out"


async def test_an_account_that_was_logged_out_is_linked_again_and_hears_what_waited(one: Holder) -> None:
    one.fault("logged_out")
    await one.subject.until(lambda: one.heard.reasons == ["logged_out"])
    one.say("are you there?")
    heard, linking = await begin(one.subject, one.number)
    one.subject.scan(one.phone, heard.pairings[-1])
    one.first_secret = await asyncio.wait_for(linking, one.subject.patience_s)
    for former in one.heards:
        former.secrets.clear()
    await one.open()
    await one.hears("are you there?")
    await one.send("yes")
