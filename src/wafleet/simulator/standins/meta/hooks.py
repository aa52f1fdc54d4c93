"""Meta's calls of webhooks: batches of changes, signed over the very bytes, tried again until they are taken.

Sources: developers.facebook.com/docs/graph-api/webhooks/getting-started (verification, signature, batches of up to
1,000 changes, tries for a long time), .../whatsapp/webhooks/reference.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec

from wafleet.simulator.standins.hooks import Hook, Webhooks
from wafleet.simulator.standins.meta.model import Number

log = logging.getLogger(__name__)

Json = dict[str, Any]
Ended = Callable[[bool], None]

_BATCH: Final = 100
_MOST: Final = 20_000  # changes that may wait for one number
_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *(60.0,) * 10_000)  # about a week
_VERIFY_S: Final = (0.5, 10.0)


class _Change(msgspec.Struct):
    field: str
    value: Json
    ended: Ended | None


class Changes:
    """Tell the webhooks of one business account what changes, each number's in order."""

    def __init__(self, hooks: Webhooks, *, waba_id: str, app_secret: str, url: Callable[[Number], str]) -> None:
        self._hooks, self._waba_id, self._secret, self._url = hooks, waba_id, app_secret, url
        self._waiting: dict[str, list[_Change]] = {}
        self._under_way: set[str] = set()

    def tell(self, number: Number, field: str, value: Json, ended: Ended | None = None) -> None:
        """Have one change told; what changes while a call is under way comes with the next one."""
        if not self._url(number):
            return
        waiting = self._waiting.setdefault(number.id, [])
        if len(waiting) >= _MOST:
            log.warning("too many changes wait; one was dropped", extra={"number": number.phone})
            return
        waiting.append(_Change(field, value, ended))
        if number.id not in self._under_way:
            self._post(number)

    def _post(self, number: Number) -> None:
        waiting = self._waiting.pop(number.id, [])
        batch, rest = waiting[:_BATCH], waiting[_BATCH:]
        if rest:
            self._waiting[number.id] = rest
        if not batch:
            return
        self._under_way.add(number.id)

        def ended(accepted: bool) -> None:
            self._under_way.discard(number.id)
            for change in batch:
                if change.ended:
                    change.ended(accepted)
            self._post(number)

        body = written(self._waba_id, [(c.field, c.value) for c in batch])
        posted = self._hooks.post(
            Hook(
                url=self._url(number),
                body=body,
                headers={"Content-Type": "application/json", "X-Hub-Signature-256": signature(self._secret, body)},
                key=number.id,
                pauses=_PAUSES_S,
                again=lambda _: True,
                ended=ended,
            )
        )
        if not posted:
            self._under_way.discard(number.id)


def written(waba_id: str, changes: list[tuple[str, Json]]) -> bytes:
    """Write changes as Meta does: everything but ASCII is escaped, and every slash."""
    entry = {"id": waba_id, "changes": [{"value": value, "field": field} for field, value in changes]}
    plain = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":"))
    return plain.replace("/", "\\/").encode()


def signature(secret: str, body: bytes) -> str:
    """Sign a call over its bytes as they are."""
    return "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()


async def verified(http: httpx.AsyncClient, url: str, token: str) -> bool:
    """Ask a webhook for the challenge; True when it gave the right answer."""
    challenge = str(secrets.randbelow(10**10))
    asked = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    try:
        answer = await http.get(url, params=asked)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.status_code == 200 and answer.text == challenge


async def verified_in_the_end(http: httpx.AsyncClient, url: str, token: str) -> None:
    """Ask again and again, until the webhook gives the right answer."""
    pause = _VERIFY_S[0]
    while not await verified(http, url, token):
        log.warning("the webhook does not answer the challenge yet", extra={"url": url})
        await asyncio.sleep(pause)
        pause = min(pause * 2, _VERIFY_S[1])
