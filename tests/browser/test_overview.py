"""The Overview as a person meets it, in a real browser."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Console
from tests.console.fakes import PASSWORD, card, thousand

from wafleet.domain.account import State

pytestmark = pytest.mark.asyncio(loop_scope="session")


def named(page: Page, name: str) -> Any:
    return page.locator(".account").filter(has=page.locator(".name", has_text=name))


async def sideways(page: Page) -> int:
    """How far a page can be scrolled sideways, in pixels."""
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


async def test_a_person_signs_in_sees_the_fleet_and_signs_out(console: Console) -> None:
    page = await console.open("/console?state=offline", who=None)
    await page.fill("#email", "ada@example.com")
    await page.fill("#password", "wrong")
    await page.click("#go")
    await expect(page.locator("#trouble")).to_contain_text("do not belong together")
    assert await page.input_value("#email") == "ada@example.com"
    console.complaints.clear()  # the browser reports the 401 itself

    await page.fill("#password", PASSWORD)
    await page.click("#go")
    await expect(page.locator(".account")).to_have_count(1)
    await expect(page.locator("#line")).to_have_attribute("data-line", "live")
    await page.click(".person")
    await page.click("text=Sign out")
    await expect(page).to_have_url(re.compile("/sign-in$"))


async def test_a_change_appears_by_itself_and_is_told(console: Console) -> None:
    page = await console.open()
    account = next(one for one in console.desk.fleet.values() if one.name == "Branch manager")
    await expect(named(page, "Branch manager")).to_have_attribute("data-state", "online")
    await page.evaluate("window.untouched = true")
    console.desk.change(account.id, waiting=4321)
    console.desk.move(account.id, State.OFFLINE, "network")

    await expect(named(page, "Branch manager").locator(".label")).to_have_text("Offline")
    await expect(named(page, "Branch manager").locator(".waiting dd")).to_have_text("4,321")
    await expect(named(page, "Branch manager").locator(".sentence")).to_have_text("The connection to WhatsApp broke.")
    await expect(page.locator("#headline")).to_have_text("4 of 12 numbers need attention")
    await expect(page.locator(".notice")).to_contain_text("Branch manager")
    assert await page.evaluate("window.untouched")

    console.desk.move(account.id, State.ONLINE, "")
    await expect(page.locator(".notice").last).to_contain_text("is back online")
    console.desk.put(card("Brand new"))
    await expect(named(page, "Brand new")).to_be_visible()
    del console.desk.fleet[account.id]
    await expect(named(page, "Branch manager")).to_have_count(0)


async def test_many_that_fall_at_once_are_one_notice(console: Console) -> None:
    page = await console.open()
    await expect(page.locator("#line")).to_have_attribute("data-line", "live")
    for one in [one for one in console.desk.fleet.values() if one.state == State.ONLINE]:
        console.desk.move(one.id, State.OFFLINE, "outdated")
    await expect(page.locator(".notice")).to_have_text("6 numbers went offline")


async def test_the_worst_come_first_and_stay_first_as_states_change(console: Console) -> None:
    page = await console.open()
    labels = page.locator(".account .label")
    assert (await labels.all_inner_texts())[:3] == ["Logged out", "Offline", "Degraded"]
    catering = next(one for one in console.desk.fleet.values() if one.name == "Catering")
    console.desk.move(catering.id, State.BLOCKED, "banned_for_good")
    await expect(page.locator(".account").first.locator(".name")).to_have_text("Catering")


async def test_search_and_filters_narrow_the_fleet_and_travel_in_the_address(console: Console) -> None:
    page = await console.open()
    await page.keyboard.press("/")
    await page.keyboard.type("٤١٢ ٢٨٦٥")  # part of a number, in Arabic digits
    await expect(page.locator(".account")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".account")).to_have_count(12)

    await page.click('[data-facet="tenant"][data-value="Zaytoun Grill"]')
    await page.click('[data-facet="state"][data-value="online"]')
    await expect(page.locator(".account")).to_have_count(2)
    await page.fill("#search", "cater")
    await expect(page.locator("#found")).to_have_text("1 of 12")

    shared = await console.open(page.url.removeprefix(console.url))
    await expect(shared.locator(".account .name")).to_have_text(["Catering"])
    assert await shared.input_value("#search") == "cater"
    await shared.fill("#search", "nobody")
    await expect(shared.locator("#no-match")).to_be_visible()
    await shared.click("#clear")
    await expect(shared.locator(".account")).to_have_count(12)


async def test_names_are_text_whatever_they_hold(console: Console) -> None:
    nasty = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
    console.desk.put(card(nasty, role=nasty[:40], tenant="<b>bold</b>"))
    page = await console.open("/console?q=owned")
    await expect(page.locator(".account .name")).to_have_text(nasty)
    assert await page.locator(".account script, .account img, .account b").count() == 0
    assert "owned" not in await page.title()


async def test_a_phone_is_linked_through_the_dialog(console: Console) -> None:
    page = await console.open()
    account = next(one for one in console.desk.fleet.values() if one.name == "Pool 04")
    await named(page, "Pool 04").locator("[data-act]").click()
    dialog = page.locator("#link-dialog")
    await expect(dialog.locator(".link-qr svg")).to_be_visible()
    await expect(dialog.locator(".link-code code")).to_have_text("K7PM-2Q9D")
    await expect(dialog.locator(".link-seconds")).to_contain_text("A new code in")
    box = await dialog.locator(".link-qr svg").bounding_box()
    assert box
    assert min(box["width"], box["height"]) > 180

    console.desk.end_link(account.id, "linked", "", State.ONLINE)
    await expect(dialog.locator(".link")).to_have_attribute("data-stage", "linked")
    await dialog.locator("[data-close]").click()
    await expect(dialog).to_be_hidden()
    await expect(named(page, "Pool 04")).to_have_attribute("data-state", "online")


async def test_linking_can_be_cancelled_and_started_again(console: Console) -> None:
    page = await console.open()
    await named(page, "Pool 02").locator("[data-act]").click()
    dialog = page.locator("#link-dialog")
    await dialog.locator("text=Cancel linking").click()
    await expect(dialog.locator(".link")).to_have_attribute("data-stage", "cancelled")
    await dialog.locator("text=Link again").click()
    await expect(dialog.locator(".link-qr svg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_an_account_is_disabled_only_after_a_question(console: Console) -> None:
    page = await console.open()
    await named(page, "Catering").locator("[data-menu]").click()
    await page.click("#account-menu >> text=Disable")
    await page.click("#confirm >> text=Keep it")
    assert console.desk.asked == []
    await named(page, "Catering").locator("[data-menu]").click()
    await page.click("#account-menu >> text=Disable")
    await page.click("#confirm-yes")
    await expect(page.locator(".notice")).to_contain_text("Disabled")
    await expect(named(page, "Catering").locator(".label")).to_have_text("Disabled")


async def test_who_may_only_look_is_offered_no_action(console: Console) -> None:
    page = await console.open(who="grill@example.com")
    await expect(page.locator(".place")).to_have_text("Zaytoun Grill")
    await expect(page.locator(".account")).to_have_count(3)
    assert await page.locator("[data-act]:visible").count() == 0
    await page.locator("[data-menu]").first.click()
    await expect(page.locator("#account-menu button")).to_have_text(["Copy number", "Copy id"])


async def test_everything_works_from_the_keyboard(console: Console) -> None:
    page = await console.open()
    await page.keyboard.press("t")
    await expect(page.locator("#accounts")).to_have_class(re.compile("as-table"))
    await page.keyboard.press("a")
    await expect(page.locator(".account")).to_have_count(3)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator(".account").nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#account-menu button").first).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()


async def test_a_lost_line_is_shown_and_taken_up_again(console: Console) -> None:
    page = await console.open()
    line = page.locator("#line")
    await expect(line).to_have_attribute("data-line", "live")
    console.desk.broken = True
    await expect(line).to_have_attribute("data-line", "stale")
    console.desk.broken = False
    await expect(line).to_have_attribute("data-line", "live")
    await page.context.set_offline(True)
    await expect(line).to_have_attribute("data-line", "offline")
    await page.context.set_offline(False)
    console.desk.put(card("Came meanwhile"))
    await expect(line).to_have_attribute("data-line", "live")
    await expect(named(page, "Came meanwhile")).to_be_visible()
    console.complaints.clear()  # the browser reports that it was offline


async def test_an_empty_fleet_says_what_to_do(console: Console) -> None:
    console.desk.fleet.clear()
    page = await console.open()
    await expect(page.locator("#no-accounts code")).to_have_count(3)
    console.desk.put(card("The first"))
    await expect(named(page, "The first")).to_be_visible()
    await expect(page.locator("#no-accounts")).to_be_hidden()


async def test_among_a_thousand_accounts_one_change_moves_one(console: Console) -> None:
    console.desk.fleet = {one.id: one for one in thousand()}
    page = await console.open("/console?view=cards&sort=waiting")
    await expect(page.locator(".account")).to_have_count(1000)
    await page.fill("#search", "Pool 0999")
    await expect(page.locator("#found")).to_have_text(re.compile(r"^\d of 1,000$"))
    await expect(named(page, "Pool 0999")).to_be_visible()
    await page.fill("#search", "")
    await expect(page.locator("#found")).to_have_text("1,000 numbers")
    await page.evaluate(
        """() => {
            window.moved = new Set();
            const note = ({ addedNodes }) => addedNodes.forEach((node) => moved.add(node.id));
            const watch = new MutationObserver((records) => records.forEach(note));
            watch.observe(document.getElementById("accounts"), { childList: true });
        }"""
    )
    last = next(one for one in console.desk.fleet.values() if one.name == "Pool 0999")
    console.desk.change(last.id, waiting=1_000_000)
    await expect(page.locator(".account").first.locator(".name")).to_have_text("Pool 0999")
    assert await page.evaluate("[...moved]") == [f"account-{last.id}"]
