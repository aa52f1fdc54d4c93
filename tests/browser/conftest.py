"""A real chromium in front of a real server, over a fleet in memory."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect
from tests.console.fakes import FakeDesk, FakeDoor, app_of, busy_fleet

from wafleet.console import Live
from wafleet.engine.clock import SystemClock

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BAD = ("error", "warning")
AS_ROOT = ["--no-sandbox"] if os.geteuid() == 0 else []
PATIENCE_MS = 20_000  # a slow machine takes its time; what is there at once costs nothing
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"))


@dataclass
class Console:
    """A running console, and what its pages complained about."""

    url: str
    desk: FakeDesk
    browser: Browser
    complaints: list[str] = field(default_factory=list[str])

    async def open(
        self,
        path: str = "/console",
        *,
        size: tuple[int, int] = (1440, 900),
        scheme: Literal["light", "dark"] = "light",
        who: str | None = "ada@example.com",
    ) -> Page:
        viewport = {"width": size[0], "height": size[1]}
        context = await self.browser.new_context(viewport=viewport, color_scheme=scheme, locale="en-GB")  # pyright: ignore[reportArgumentType]
        context.set_default_timeout(PATIENCE_MS)
        if who:
            await context.add_cookies([{"name": "wafleet", "value": who, "url": self.url}])
        page = await context.new_page()
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
        )
        await page.goto(self.url + path)
        return page


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; each gets contexts of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=AS_ROOT)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(chromium: Browser) -> AsyncIterator[Console]:
    """A console whose pages must have complained about nothing when the test ends."""
    desk, stopping = FakeDesk(), asyncio.Event()
    desk.put(*busy_fleet())
    live = Live(desk.cards, clock=SystemClock(), stopping=stopping, every_s=0.15)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app_of(desk, FakeDoor(), live), log_config=None, ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        opened = Console(f"http://127.0.0.1:{listening.getsockname()[1]}", desk, chromium)
        yield opened
        complaints = list(opened.complaints)  # pages that are still open may say that the server went
        stopping.set()
        server.should_exit = True
        async with asyncio.timeout(5):
            await serving
    for context in chromium.contexts:
        await context.close()
    assert complaints == []
