"""Passwords inside an account's settings: shown as *** wherever settings are shown, and stored encrypted beside them.

A setting that holds one is written in full once. What was read may be written back as it is: `***` keeps the password
that is stored, as long as everything else of its address stays the same.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlsplit

import msgspec

from wafleet.domain.ids import AccountId

HIDDEN: Final = "***"
SCHEMES: Final[Mapping[str, int]] = {"http": 80, "https": 443, "socks5": 1080}  # with the port where none is written

_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Sealer(Protocol):
    """Encrypts what must not be read from the database."""

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes: ...

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes: ...


def check_proxy(text: str) -> None:
    """Raise ValueError, without repeating a password, when this is no address of a proxy."""
    remedy = "write it like http://user:password@proxy.example.com:8080 (http, https or socks5)"
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"a proxy's address holds no spaces: {remedy}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"this is no address of a proxy: {remedy}") from None
    if parts.scheme not in SCHEMES or not parts.hostname or port == 0:
        raise ValueError(f"this is no address of a proxy: {remedy}")
    if "%" in parts.hostname or _LONE_PERCENT.search(parts.username or ""):
        raise ValueError(f"in a proxy's user name % is written %25, and a host has none: {remedy}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"a proxy's address ends with its port: {remedy}")


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return settings as they may be shown, and the proxy's password that was taken out; "" when it had none."""
    proxy = _proxy(settings)
    if not proxy or not (password := urlsplit(proxy).password):
        return dict(settings), ""
    return _with_proxy(settings, _replaced(proxy, HIDDEN)), password


def needed(settings: Mapping[str, Any]) -> bool:
    """Tell whether a password belongs into these settings as they are stored."""
    proxy = _proxy(settings)
    return bool(proxy) and urlsplit(proxy).password == HIDDEN


def joined(settings: Mapping[str, Any], password: str) -> dict[str, Any]:
    """Return settings with the password in its place again."""
    return _with_proxy(settings, _replaced(_proxy(settings), password)) if needed(settings) else dict(settings)


def same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether both name the same proxy, whatever the password."""
    return _proxy(split(one)[0]) == _proxy(split(other)[0])


def sealed(sealer: Sealer, password: str, *, account: AccountId) -> bytes:
    """Encrypt a proxy's password for one account only."""
    return sealer.encrypt(msgspec.json.encode({"proxy": password}), about=account.bytes)


def opened(sealer: Sealer, stored: bytes, *, account: AccountId) -> str:
    """Return the proxy's password. Raises SecretError."""
    return msgspec.json.decode(sealer.decrypt(stored, about=account.bytes), type=dict[str, str]).get("proxy", "")


def _proxy(settings: Mapping[str, Any]) -> str:
    device = settings.get("device")
    return str(cast("dict[str, Any]", device).get("proxy") or "") if isinstance(device, dict) else ""


def _with_proxy(settings: Mapping[str, Any], proxy: str) -> dict[str, Any]:
    return {**settings, "device": {**settings["device"], "proxy": proxy}}


def _replaced(proxy: str, password: str) -> str:
    """Put another password into the address; `***` stays readable.

    What is escaped already stays so. A % that escapes nothing is one that somebody typed: whoever reads the address
    later would refuse it, and repeat it with the password while doing so.
    """
    parts = urlsplit(proxy)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    typed = _LONE_PERCENT.sub("%25", password)
    written = password if password == HIDDEN else quote(typed, safe="%!$&'()*+,;=~-._")
    return parts._replace(netloc=f"{name}:{written}@{host}").geturl()
