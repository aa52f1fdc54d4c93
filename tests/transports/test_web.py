"""How providers are reached: directly, or through the proxies that the environment names."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from wafleet.transports import web
from wafleet.transports.base import NotSent
from wafleet.transports.remedies import Told, http_errors

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class Proxy:
    """A proxy that passes nothing on: it answers by itself, and opens no tunnel."""

    url: str = ""
    asked: list[str] = field(default_factory=list[str])

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.partition("\r\n")[0])
        status = "502 No Way" if head.startswith("CONNECT") else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    made = Proxy()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


async def test_what_goes_to_a_provider_goes_through_the_proxy_of_the_environment(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
    async with web.client() as http:
        assert (await http.get("http://api.provider.example/v1")).json() == {}
    assert proxy.asked == ["GET http://api.provider.example/v1 HTTP/1.1"]


async def test_a_proxy_that_opens_no_tunnel_has_sent_nothing(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with web.client() as http:
        with pytest.raises(NotSent) as error, http_errors("meta", table={}, read=lambda reply: Told("")):
            await http.post("https://graph.example/messages")
    assert error.value.reason == "network"
    assert proxy.asked == ["CONNECT graph.example:443 HTTP/1.1"]


@pytest.mark.parametrize(
    ("without", "direct", "through"),
    [
        ("", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/"], ["http://example.com/"]),
        (".corp.example, 10.0.0.7", ["http://waha.corp.example/", "http://10.0.0.7/"], ["http://10.0.0.8/"]),
        ("example.com", ["http://example.com/", "http://api.example.com/"], ["http://example.org/"]),
        ("*", ["http://example.com/"], []),
    ],
)
async def test_this_machine_and_whom_the_environment_exempts_are_reached_directly(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, without: str, direct: list[str], through: list[str]
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", without)
    async with web.client() as http:
        ways = {url: http._transport_for_url(httpx.URL(url)) for url in direct + through}  # pyright: ignore[reportPrivateUsage]
        assert [url for url, way in ways.items() if way is not http._transport] == through  # pyright: ignore[reportPrivateUsage]


async def test_a_proxy_of_another_kind_is_left_out_and_said(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@127.0.0.1:1080")
    async with web.client():
        assert "left out" in caplog.text
        assert "secret" not in caplog.text
