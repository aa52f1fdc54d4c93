"""A number is added, set up and moved by a person in a real browser, at a whole wafleet."""

import json
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from pydantic import SecretStr
from tests.browser.conftest import PATIENCE_MS, Console
from tests.browser.test_looks import CONTRAST
from tests.browser.test_overview import named
from tests.tenants.houses import ADMIN

from wafleet.app import App, open_app
from wafleet.cli.serving import _answering
from wafleet.config import Settings
from wafleet.simulator.world import World
from wafleet.transports.simulated import Simulated
from wafleet.transports.twilio import Twilio
from wafleet.transports.twilio.hooks import signature_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC, EMAIL, PASSWORD = "https://fleet.example.com", "root@example.com", "three plain words"
TOKEN = "auth-token-that-nobody-may-see"
SENDER = {
    "name": "Grill",
    "restaurantName": "Zaytoun Grill",
    "whatsappNumber": "whatsapp:+1 415 523 8886",
    "senderSid": "XE" + "0" * 32,
    "wabaId": "102290129340398",
    "accountSid": "AC" + "1" * 32,
    "authToken": TOKEN,
    "status": "active",
    "supportContact": "+14155550100",
    "colour": "red",
}
ENV = f"""
# from the old server
export TWILIO_ACCOUNT_SID="{SENDER["accountSid"]}"
TWILIO_AUTH_TOKEN={TOKEN}
Sender SID: {SENDER["senderSid"]}
"""


@dataclass
class Whole:
    """A wafleet with a simulated network and a Twilio that takes everything, and its administrator's page."""

    app: App
    url: str
    page: Page
    sent: list[str] = field(default_factory=list[str])  # what left the browser

    async def called(self, account: str) -> None:
        """Let Twilio bring a customer's message."""
        path = f"/hooks/twilio/{account.partition('#')[0]}"  # what stands behind # is for Twilio itself
        form = {"MessageSid": "SM1", "From": "whatsapp:+447700900001", "To": "whatsapp:+14155238886", "Body": "hi"}
        headers = {"X-Twilio-Signature": signature_of(PUBLIC + path, list(form.items()), TOKEN)}
        async with httpx.AsyncClient() as http:
            assert (await http.post(self.url + path, data=form, headers=headers)).status_code == 200


def _twilio(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"sid": SENDER["senderSid"], "status": "ONLINE", "properties": {}})


@pytest_asyncio.fixture(loop_scope="session")
async def whole(dsn: str, tmp_path: Path, chromium: Browser) -> AsyncIterator[Whole]:
    settings = Settings(
        data_dir=tmp_path,
        database_url=dsn,
        public_url=PUBLIC,
        admin_email=EMAIL,
        admin_password=SecretStr(PASSWORD),
    )
    twilio = Twilio(public_url=PUBLIC, http=httpx.AsyncClient(transport=httpx.MockTransport(_twilio)))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with (
            twilio,
            Simulated.within(World(seed=1)) as simulated,
            open_app(settings, transports={"simulator": simulated, "twilio": twilio}) as app,
            _answering(app, listener) as url,
        ):
            await app.slices.tenants.create(ADMIN, "Office")
            context = await chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
            context.set_default_timeout(PATIENCE_MS)
            page = await context.new_page()
            found = Whole(app, url, page)
            page.on("request", lambda asked: found.sent.append(asked.post_data or ""))
            await _sign_in(page, url)
            yield found
            await context.close()


async def _sign_in(page: Page, url: str) -> None:
    await page.goto(f"{url}/sign-in")
    await page.fill("#email", EMAIL)
    await page.fill("#password", PASSWORD)
    await page.click("#go")
    await expect(page.locator("#line")).to_have_attribute("data-line", "live")


async def looks(page: Page) -> list[Any]:
    """What cannot be read, and how far the dialog can be scrolled sideways at any width, either way round."""
    found: list[Any] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
        found += await page.evaluate(CONTRAST)
    for width in (360, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        for way in ("rtl", "ltr"):
            await page.evaluate("way => { document.documentElement.dir = way }", way)
            over = await page.evaluate("(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(desk)")
            found += [f"{over} at {width} {way}"] if over else []
    return found


async def test_a_sender_is_pasted_added_and_seen_to_work(whole: Whole) -> None:
    page, desk = whole.page, whole.page.locator("#desk")
    await page.click("#no-accounts [data-add]")
    await desk.locator(".way", has_text="Twilio").click()
    await desk.locator("summary", has_text="Fill in").click()
    await desk.locator("#quick-text").fill(json.dumps({**SENDER, "senderSid": "XE1"}))
    await expect(desk.locator("#quick-said")).to_have_text("Filled in 8 fields. Not used: colour.")
    assert await desk.locator("[name=authToken]").input_value() == TOKEN
    assert not any(TOKEN in sent for sent in whole.sent)  # it stays in the browser until the form goes out
    assert await looks(page) == []

    await desk.locator("[name=phone]").fill("")
    await desk.locator("[type=submit]").click()
    await expect(desk.locator("#problem-phone")).to_have_text("This is needed.")
    await desk.locator("[name=phone]").fill(SENDER["whatsappNumber"])
    await desk.locator("[type=submit]").click()
    await expect(desk.locator("#problem-senderSid")).to_have_text("It begins with XE and has 34 characters.")
    await expect(desk.locator("[name=senderSid]")).to_be_focused()
    assert await desk.locator("[name=authToken]").input_value() == TOKEN  # what was typed is still there

    await desk.locator("[name=senderSid]").fill(SENDER["senderSid"])
    await desk.locator("[type=submit]").click()
    address = desk.locator("#hook-address")
    await expect(address).to_have_text(re.compile(f"^{PUBLIC}/hooks/twilio/[-0-9a-f]+#rc=5&rp=ct,rt,5xx$"))
    assert TOKEN not in await page.content()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await desk.locator("[data-copy]").click()
    assert await page.evaluate("navigator.clipboard.readText()") == await address.inner_text()

    await expect(desk.locator(".checks li").nth(1)).to_have_attribute("data-stage", "done")
    await whole.called((await address.inner_text()).rsplit("/", 1)[1])
    await desk.locator("[data-test]").click()
    await expect(desk.locator(".verdict")).to_have_text("All is well: the number works.")
    await desk.locator(".dialog-buttons [data-close]").click()
    await expect(named(page, "Grill")).to_have_attribute("data-state", "online")


async def test_a_number_is_moved_after_a_question_and_keeps_its_place(whole: Whole) -> None:
    page, desk = whole.page, whole.page.locator("#desk")
    await page.keyboard.press("n")
    await desk.locator(".way", has_text="Simulator").click()
    await desk.locator("[name=name]").fill("Front desk")
    await page.keyboard.press("Escape")
    await page.click("#confirm >> text=Keep it")  # what was filled in is not lost by a key
    await desk.locator("[name=phone]").fill("+14155238886")
    await desk.locator("[type=submit]").click()
    await expect(page.locator("#link-dialog .link-qr svg")).to_be_visible()
    await page.keyboard.press("Escape")

    await named(page, "Front desk").locator("[data-menu]").click()
    await page.click("#account-menu >> text=Move to another transport")
    await desk.locator(".way", has_text="Twilio").click()
    await expect(desk.locator(".meaning")).to_contain_text("Conversations and messages stay with the number.")
    await desk.locator("summary", has_text="Fill in").click()
    await desk.locator("#quick-text").fill(ENV)
    await expect(desk.locator("#quick-said")).to_have_text("Filled in 3 fields.")
    await desk.locator("[type=submit]").click()
    await page.click("#confirm >> text=Keep it")
    assert not any(TOKEN in sent for sent in whole.sent)
    await desk.locator("[type=submit]").click()
    await page.click("#confirm-yes")
    await expect(desk.locator("#desk-title")).to_have_text("Moved to Twilio")
    await expect(desk.locator("#hook-address")).to_contain_text("/hooks/twilio/")
    assert await looks(page) == []
    await desk.locator(".dialog-buttons [data-close]").click()
    await expect(named(page, "Front desk").locator(".transport")).to_have_text("Twilio")
    await expect(named(page, "Front desk")).to_have_attribute("data-state", "online")


async def test_what_people_have_at_hand_is_read_in_any_usual_shape(console: Console) -> None:
    page = await console.open()
    base = await page.locator("script[src*='overview.js']").get_attribute("src")
    read = "([from, text]) => import(from).then((quick) => quick.pairs(text))"

    async def pairs(text: str) -> dict[str, str]:
        return dict(await page.evaluate(read, [str(base).replace("overview", "quickfill"), text]))

    assert await pairs('[{"a": 1, "twilio": {"b": "x"}, "c": null}, {"a": 2}]') == {"a": "1", "b": "x", "c": ""}
    assert await pairs("export A=\"x=y\"\r\n  B: 'z',\n# C=1\nAccount SID\tAC1\n\nnothing") == {
        "A": "x=y",
        "B": "z",
        "Account SID": "AC1",
    }
    assert await pairs('"phone": "whatsapp:+1",') == {"phone": "whatsapp:+1"}
    assert await pairs("[]") == {}
