"""Takes the README's pictures of a running wafleet.

    make demo                                        # in another terminal; prints the address and the sign-in
    .venv/bin/python docs/screenshots.py http://127.0.0.1:8080 --email admin@wafleet.local --password ...

The password may come from WAFLEET_ADMIN_PASSWORD instead. Writes docs/images/*.png.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES: Final = Path(__file__).parent / "images"
LARGEST: Final = 250_000  # bytes; a README is read on phones too


def _as_it_is(page: Page) -> None:
    """Show the page as it opens."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture: what is shown, how large, in which theme, and what a person did before."""

    path: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    scale: float = 1
    steps: Callable[[Page], None] = _as_it_is


def _filled_in(page: Page) -> None:
    page.click(".tools [data-add]")
    page.click(".way:has-text('Twilio')")
    page.click("summary:has-text('Fill in')")
    page.fill("#quick-text", json.dumps(SENDER))
    page.focus("#desk [name=role]")


def _set_up(page: Page) -> None:
    _menu_of(page, "+966551110021", "Webhook and test")
    page.wait_for_selector(".verdict.tone-good")


def _moving(page: Page) -> None:
    _menu_of(page, "+971501110011", "Move to another transport")
    page.click(".way:has-text('Meta Cloud')")
    page.wait_for_selector(".meaning")


def _menu_of(page: Page, phone: str, entry: str) -> None:
    page.fill("#search", phone)
    page.click(".account [data-menu]")
    page.click(f"#account-menu >> text={entry}")
    page.wait_for_selector("#desk .sheet")


SENDER: Final[Mapping[str, str]] = {
    "name": "Bait Al Mandi Jeddah",
    "whatsappNumber": "+966 55 111 0024",
    "senderSid": "XE1c46e2f2b7a04c8c8a3f2d0f5b6e7a90",
    "accountSid": "AC5ef8732a3c49700934481addd5ce1659",
    "authToken": "only-an-example-of-a-token-000000",
}
"""What somebody has of a sender, made up."""
PICTURES: Final[Mapping[str, Picture]] = {
    "sign-in": Picture(path="/sign-in", width=1280, height=800, scheme="light"),
    "overview-light": Picture(path="/console?view=cards", width=1440, height=900, scheme="light"),
    "overview-dark": Picture(path="/console?view=cards", width=1440, height=900, scheme="dark"),
    "overview-phone": Picture(path="/console?view=cards", width=390, height=844, scheme="light", scale=2),
    "add-a-number": Picture(path="/console", width=1280, height=860, scheme="light", steps=_filled_in),
    "set-up-a-number": Picture(path="/console", width=1280, height=860, scheme="light", steps=_set_up),
    "move-a-number": Picture(path="/console", width=1280, height=860, scheme="dark", steps=_moving),
}


def main() -> int:
    args = _arguments()
    if not args.password:
        return _fail("Give --password, or set WAFLEET_ADMIN_PASSWORD")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=args.chromium, args=flags)
        for name, picture in PICTURES.items():
            size = _take(browser, args, name, picture)
            if size > LARGEST:
                return _fail(f"{name}.png has {size} bytes: keep it under {LARGEST}")
        browser.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("url", nargs="?", default=os.environ.get("WAFLEET_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--email", default=os.environ.get("WAFLEET_ADMIN_EMAIL", "admin@wafleet.local"))
    parser.add_argument("--password", default=os.environ.get("WAFLEET_ADMIN_PASSWORD", ""))
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    return parser.parse_args()


def _take(browser: Browser, args: argparse.Namespace, name: str, picture: Picture) -> int:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        device_scale_factor=picture.scale,
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(args.url + "/sign-in")
    if picture.path != "/sign-in":
        _sign_in(page, args)
        page.goto(args.url + picture.path)
        page.wait_for_selector('#line[data-line="live"]')
        page.wait_for_selector(".account")
        picture.steps(page)
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file)
    context.close()
    return file.stat().st_size


def _sign_in(page: Page, args: argparse.Namespace) -> None:
    page.fill("#email", args.email)
    page.fill("#password", args.password)
    page.click("#go")
    page.wait_for_url("**/console**")


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
