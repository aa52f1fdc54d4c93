"""How pages look: sizes, themes, contrast, writing direction."""

from pathlib import Path

import pytest
from playwright.async_api import expect
from tests.browser.conftest import Console
from tests.browser.test_overview import named, sideways
from tests.console.fakes import card

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "A name that somebody made as long as the rules let it be, without a thought for narrow screens at all, yes"

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


async def test_no_width_scrolls_sideways(console: Console) -> None:
    long_role = "a role of quite some length, fifty characters long"
    console.desk.put(card(LONG, role=long_role, waiting=123456, sent=9876543))
    for path in ("/console?view=cards", "/console?view=table"):
        page = await console.open(path)
        await expect(page.locator(".account")).to_have_count(13)
        for width in (360, 390, 768, 900, 1024, 1280, 1440, 2560):
            await page.set_viewport_size({"width": width, "height": 800})
            for way in ("ltr", "rtl"):
                await page.evaluate("way => { document.documentElement.dir = way }", way)
                assert await sideways(page) <= 0, f"{path} at {width}, {way}"
    page = await console.open("/sign-in", size=(360, 800), who=None)
    assert await sideways(page) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read(console: Console, scheme: str) -> None:
    for path in ("/console?view=cards", "/console?view=table&state=offline"):
        page = await console.open(path, scheme=scheme)  # pyright: ignore[reportArgumentType]
        await expect(page.locator("#line")).to_have_attribute("data-line", "live")
        assert await page.evaluate(CONTRAST) == []
    page = await console.open("/sign-in", scheme=scheme, who=None)  # pyright: ignore[reportArgumentType]
    assert await page.evaluate(CONTRAST) == []


async def test_the_chosen_theme_is_kept_and_the_system_followed_until_then(console: Console) -> None:
    def ground() -> str:
        return "getComputedStyle(document.documentElement).backgroundColor"

    page = await console.open(scheme="dark")
    dark = await page.evaluate(ground())
    await page.click("#theme-button")
    light = await page.evaluate(ground())
    assert light != dark
    await page.reload()
    assert await page.evaluate(ground()) == light
    await page.keyboard.press("d")
    assert await page.evaluate(ground()) == dark


async def test_right_to_left_mirrors_the_page_but_not_the_numbers(console: Console) -> None:
    page = await console.open()
    await page.evaluate("document.documentElement.dir = 'rtl'")
    filters, main = await page.locator("#facets").bounding_box(), await page.locator("#main").bounding_box()
    assert filters
    assert main
    assert filters["x"] > main["x"]
    number = named(page, "Catering").locator(".phone bdi")
    assert await number.evaluate("node => getComputedStyle(node).direction") == "ltr"


async def test_filters_fit_a_phone_as_a_sheet(console: Console) -> None:
    page = await console.open(size=(360, 740))
    await expect(page.locator("#facets")).to_be_hidden()
    await page.click(".only-narrow")
    await page.click('[data-facet="state"][data-value="online"]')
    await page.click("[popovertargetaction=hide]")
    await expect(page.locator("#facets")).to_be_hidden()
    await expect(page.locator(".account")).to_have_count(6)


async def test_motion_is_spared_for_those_who_ask(console: Console) -> None:
    page = await console.open()
    await page.emulate_media(reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter(n => getComputedStyle(n).animationName !== 'none').length"
    assert await page.evaluate(moving) == 0
