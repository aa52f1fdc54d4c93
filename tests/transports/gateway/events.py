"""Events as gateways post them: the same message as three engines behind them write it."""

import hashlib
import hmac
import json
from typing import Any, Final

from wafleet.transports.calls import Call

KEY: Final = "my-secret-key"
KEYS: Final = json.dumps({"apiKey": "k", "hmacKey": KEY}).encode()
SETTINGS: Final = {"gateway": {"session": "shop", "url": "http://gateway.test"}}
WHO: Final = "971550000001@c.us"


def event(kind: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event as it is posted."""
    basic = {"id": "evt_01", "timestamp": 1741249702485, "session": "shop", "engine": "GOWS", "environment": {}}
    return basic | {"event": kind, "payload": payload} | more


def call(body: dict[str, Any] | bytes, **headers: str) -> Call:
    """A call with a right signature, unless another is given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = {"x-webhook-hmac": signature(raw), "x-webhook-hmac-algorithm": "sha512"}
    return Call("POST", "https://wafleet.test/hooks/gateway/1", signed | headers, raw)


def signature(body: bytes, key: str = KEY) -> str:
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def message(**more: Any) -> dict[str, Any]:
    """A customer's message, with what it says in `more`."""
    basic = {
        "id": f"false_{WHO}_3A11",
        "timestamp": 1741249700,
        "from": WHO,
        "fromMe": False,
        "to": "966500000001@c.us",
    }
    return basic | {"body": "", "hasMedia": False, "ack": 1, "replyTo": None} | more


WEBJS: Final = message(body="hi", _data={"notifyName": "Layla", "type": "chat", "id": {"_serialized": "x"}})
NOWEB: Final = message(
    body="hi",
    _data={"key": {"remoteJid": "971550000001@s.whatsapp.net", "id": "3A11"}, "pushName": "Layla"},
)
GOWS: Final = message(
    body="hi",
    **{"from": "123456789@lid", "id": "false_123456789@lid_3A11"},
    _data={"Info": {"PushName": "Layla", "SenderAlt": "971550000001:12@s.whatsapp.net"}, "Message": {}},
)
