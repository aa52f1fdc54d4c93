"""Calls of a gateway's webhooks: what each looks like, how it is signed, and when it is tried again.

Source: https://waha.devlike.pro/docs/how-to/events/
"""

import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from wafleet.simulator.standins.gateway.model import Session, chat
from wafleet.simulator.standins.hooks import Hook

_DEFAULT: Final[Mapping[str, Any]] = {"policy": "constant", "delaySeconds": 2, "attempts": 15}
_LIMIT_S: Final = 30.0


def signature(key: str, body: bytes) -> str:
    """Sign a call: HMAC-SHA512 of its body, in hex."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def calls(
    session: Session,
    event: str,
    payload: Mapping[str, Any],
    *,
    everywhere: Sequence[Mapping[str, Any]],
    ended: Callable[[bool], None] | None = None,
) -> list[Hook]:
    """Make the calls that tell of an event: of the session's own webhooks, and those of the whole gateway."""
    own = cast("list[Mapping[str, Any]]", session.config.get("webhooks") or [])
    told = [one for one in (*own, *everywhere) if _wants(one, event)]
    body = json.dumps(_envelope(session, event, payload), ensure_ascii=False, separators=(",", ":")).encode()
    who = str(payload.get("from") or payload.get("to") or "")
    return [_call(one, body, f"{session.name} {who}", ended) for one in told]


def _wants(webhook: Mapping[str, Any], event: str) -> bool:
    events: object = webhook.get("events") or []
    return isinstance(events, list) and bool({event, "*"} & set(cast("list[str]", events)))


def _envelope(session: Session, event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{secrets.token_hex(13)}",
        "timestamp": time.time_ns() // 1_000_000,
        "event": event,
        "session": session.name,
        "metadata": session.config.get("metadata") or {},
        "me": {"id": chat(session.phone), "pushName": session.phone} if session.phone else None,
        "payload": payload,
        "engine": "GOWS",
        "environment": {"version": "2025.9.1", "engine": "GOWS", "tier": "PLUS"},
    }


def _call(webhook: Mapping[str, Any], body: bytes, key: str, ended: Callable[[bool], None] | None) -> Hook:
    headers = {
        "Content-Type": "application/json",
        "X-Webhook-Request-Id": secrets.token_hex(13),
        "X-Webhook-Timestamp": str(time.time_ns() // 1_000_000),
    }
    for one in cast("list[Mapping[str, str]]", webhook.get("customHeaders") or []):
        headers[one["name"]] = one["value"]
    hmac_: Mapping[str, str] = webhook.get("hmac") or {}
    if secret := hmac_.get("key"):
        headers |= {"X-Webhook-Hmac": signature(secret, body), "X-Webhook-Hmac-Algorithm": "sha512"}
    pauses = _pauses(webhook.get("retries") or _DEFAULT)
    url = str(webhook["url"])
    return Hook(
        url=url,
        body=body,
        headers=headers,
        key=f"{url} {key}",
        pauses=pauses,
        again=_again,
        limit_s=_LIMIT_S,
        ended=ended,
    )


def _again(status: int) -> bool:
    return not 200 <= status < 300


def _pauses(rules: Mapping[str, Any]) -> list[float]:
    delay, attempts = float(rules.get("delaySeconds", 2)), int(rules.get("attempts", 15))
    match rules.get("policy"):
        case "linear":
            return [delay * (n + 1) for n in range(attempts)]
        case "exponential":
            return [delay * 2**n * random.uniform(0.8, 1.2) for n in range(attempts)]
        case _:
            return [delay] * attempts
