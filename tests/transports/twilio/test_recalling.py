"""What customers wrote, out of Twilio's list."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from wafleet.domain.message import Image, Media, Text
from wafleet.transports.base import MaybeSent
from wafleet.transports.twilio.recalling import lately

MESSAGES = "https://api.example.com/2010-04-01/Accounts/AC1/Messages.json"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(sid: str, ago: timedelta = timedelta(), **more: Any) -> dict[str, Any]:
    said = {"direction": "inbound", "from": "whatsapp:+447700900001", "to": "whatsapp:+14155238886", "body": sid}
    return {"sid": sid, "date_created": format_datetime(NOON - ago), "num_media": "0"} | said | more


async def recalled(pages: dict[str, Any], *, since: datetime = NOON - timedelta(hours=1)) -> list[Any]:
    async def ask(url: str) -> dict[str, Any]:
        return pages[url.partition("?")[0].rpartition("/")[2] + ("2" if "Page=2" in url else "")]

    return await lately(ask, messages=MESSAGES, phone="+14155238886", since=since)


async def test_customers_messages_are_listed_over_all_pages_oldest_first_and_no_others() -> None:
    first = [
        row("SM3", num_media="2", body="both"),
        row("SM2", timedelta(minutes=1), direction="outbound-api"),
        {**row("SM4"), "from": "+447700900001"},
    ]
    second = [row("SM1", timedelta(minutes=2)), row("SM0", timedelta(hours=2))]
    files = [{"sid": "ME1", "content_type": "image/png"}, {"sid": "ME2", "content_type": "image/jpeg"}]
    found = await recalled(
        {
            "Messages.json": {"messages": first, "next_page_uri": "/2010-04-01/Accounts/AC1/Messages.json?Page=2"},
            "Messages.json2": {"messages": second, "next_page_uri": None},
            "Media.json": {"media_list": files},
        }
    )
    assert [(one.provider_id, one.content) for one in found] == [
        ("SM1", Text("SM1")),
        ("SM3", Image(Media("", "image/png"), "both")),
        ("SM3/1", Image(Media("", "image/jpeg"))),
    ]
    assert found[0].at == NOON - timedelta(minutes=2)
    assert found[1].file == f"image/png {MESSAGES.removesuffix('.json')}/SM3/Media/ME1"


@pytest.mark.parametrize("elsewhere", ["https://evil.example.com/Messages.json?Page=2", "//evil.example.com/2"])
async def test_a_list_that_goes_on_elsewhere_ends(elsewhere: str) -> None:
    (only,) = await recalled({"Messages.json": {"messages": [row("SM1")], "next_page_uri": elsewhere}})
    assert only.provider_id == "SM1"


@pytest.mark.parametrize("page", [{}, {"messages": [{"direction": "inbound", "from": "whatsapp:+4477"}]}])
async def test_a_list_that_cannot_be_read_is_no_answer(page: dict[str, Any]) -> None:
    with pytest.raises(MaybeSent):
        await recalled({"Messages.json": page})
