"""Meta's webhooks: proving that Meta sent one, and reading all that one says. Pure.

One post carries many changes, of several numbers and of the whole business account. Each item names what it is about:
Meta's id of the number, or "+15550783881" where only the phone is told, or "waba:102290129340398" for all numbers of
a business account.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
"""

import hashlib
import hmac
import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec

from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.transports.base import RefusedAccount
from wafleet.transports.calls import Call, Forged, News, Of, Sign, Unreadable
from wafleet.transports.meta import signs
from wafleet.transports.meta.errors import ERRORS, PROVIDER, error_of
from wafleet.transports.meta.identity import identity
from wafleet.transports.meta.reading import Json, message, moment
from wafleet.transports.meta.settings import Keys
from wafleet.transports.remedies import detail, remedy
from wafleet.transports.web import obj, objs

log = logging.getLogger(__name__)
SIGNATURE: Final = "x-hub-signature-256"
_LONGEST_CHALLENGE: Final = 256
_NO_MESSAGES: Final = frozenset({"request_welcome"})  # somebody opened the chat, and said nothing
_READ: Final = frozenset(  # of a status: all that is read, and what repeats whom the message went to
    {
        *("id", "status", "timestamp", "biz_opaque_callback_data", "errors"),
        *("recipient_id", "recipient_user_id", "recipient_type"),
    }
)
_STATES: Final = {
    "sent": Sending.SENT,
    "delivered": Sending.DELIVERED,
    "read": Sending.READ,
    "played": Sending.READ,  # a voice message was listened to
    "failed": Sending.FAILED,
}


def check(call: Call, keys: Keys) -> None:
    """Return when Meta certainly sent this. Raises Forged.

    The signature is over the bytes as they came: Meta writes "/" and everything beyond ASCII as escapes, so that what
    is read and written again has another one.
    """
    if call.method == "GET":
        _check_challenge(call, keys)
        return
    name, _, given = call.headers.get(SIGNATURE, "").strip().partition("=")
    if not keys.app_secret:
        raise Forged("This account has no app secret, so that nothing can be proved: enter it, as Meta shows it")
    made = hmac.digest(keys.app_secret.encode(), call.body, hashlib.sha256).hex()
    if name != "sha256" or not hmac.compare_digest(made.encode(), given.lower().encode()):
        raise Forged("The signature is not Meta's for this account: compare the app secret")


def _check_challenge(call: Call, keys: Keys) -> None:
    asked = _query(call)
    given = asked.get("hub.verify_token", "")
    matches = hmac.compare_digest(given.encode(), keys.verify_token.encode())
    if asked.get("hub.mode") != "subscribe" or not keys.verify_token or not matches:
        raise Forged("The verify token is not this account's: enter the same at Meta and here")


def _query(call: Call) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(call.url).query, keep_blank_values=True))


def read(call: Call) -> News:
    """Read what a checked call says, in its order. What is of no use here is counted. Raises Unreadable."""
    if call.method == "GET":
        return News(answer=_query(call).get("hub.challenge", "")[:_LONGEST_CHALLENGE].encode())
    said: list[Of] = []
    left: Counter[str] = Counter()
    try:
        for entry in objs(_document(call.body)["entry"]):
            for change in objs(entry.get("changes") or []):
                said.extend(_change(change, str(entry.get("id") or ""), left))
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"This is not what Meta's documents describe: {error!r:.200}") from error
    return News(said, left=dict(left))


def _document(body: bytes) -> Json:
    """Read JSON; half of a character that the strict reader refuses must not hold a whole batch up."""
    try:
        return obj(msgspec.json.decode(body))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except msgspec.DecodeError:
        return obj(json.loads(body))


def _change(change: Json, business: str, left: Counter[str]) -> Iterator[Of]:
    field, value = str(change.get("field") or ""), change.get("value")
    if not isinstance(value, dict):
        left[field or "unnamed"] += 1
        return
    if field == "messages":
        yield from _messages(cast("Json", value), left)
    elif found := signs.read(field, cast("Json", value), business):
        yield from found
    else:  # echoes of what the business wrote on its own phone, history, calls, groups and whatever comes next
        left[field or "unnamed"] += 1


def _messages(value: Json, left: Counter[str]) -> Iterator[Of]:
    number = _number(value)
    contacts = [cast("Json", one) for one in _list(value.get("contacts")) if isinstance(one, dict)]
    for said in _list(value.get("messages")):
        yield from _message(said, contacts, number, left)
    trouble: dict[str, Sign] = {}
    for status in _list(value.get("statuses")):
        yield from _status(status, number, left, trouble)
    for sign in trouble.values():
        yield Of(sign, number)
    left.update("errors" for _ in _list(value.get("errors")))


def _message(said: object, contacts: list[Json], number: str, left: Counter[str]) -> Iterator[Of]:
    try:
        one = obj(said)
        if one.get("group_id") or one.get("type") in _NO_MESSAGES:
            left["group message" if one.get("group_id") else str(one["type"])] += 1
            return
        yield Of(message(one, contacts), number)
        if moved := _moved(one):
            yield Of(moved, number)
    except (LookupError, TypeError, ValueError) as error:
        left["unreadable message"] += 1
        log.warning("meta_message_unreadable: %r", error)


def _moved(said: Json) -> Sign | None:
    """Read that a customer is somebody else from now on: a new phone, or a new id. None: another kind of notice."""
    part = said.get("system")
    if said.get("type") != "system" or not isinstance(part, dict):
        return None
    told = cast("Json", part)
    now = identity(told.get("wa_id"), told.get("new_wa_id"), told.get("user_id"))
    before = identity(told.get("customer"), said.get("from"), said.get("from_user_id"))
    kind = str(told.get("type") or "")
    if "identity" in kind:
        return Sign("identity", before, detail=kind)
    return Sign("identity", now, detail=before) if now and now != before else None


def _status(said: object, number: str, left: Counter[str], trouble: dict[str, Sign]) -> Iterator[Of]:
    try:
        one = obj(said)
        state = _STATES.get(str(one.get("status")))
        if state is None:
            left[f"status {one.get('status')}"] += 1
            return
        yield Of(_receipt(one, state, trouble), number)
    except (LookupError, TypeError, ValueError) as error:
        left["unreadable status"] += 1
        log.warning("meta_status_unreadable: %r", error)


def _receipt(said: Json, state: Sending, trouble: dict[str, Sign]) -> Receipt:
    reason, words = _failure(said, trouble) if state is Sending.FAILED else ("", "")
    return Receipt(
        state=state,
        at=moment(said.get("timestamp")),
        provider_id=str(said["id"]),
        message=_ours(said.get("biz_opaque_callback_data")),
        reason=reason,
        detail=words,
        raw={name: value for name, value in said.items() if name not in _READ} or None,
    )


def _failure(said: Json, trouble: dict[str, Sign]) -> tuple[str, str]:
    """Name why a message failed, by the code alone; and whether it is the number that cannot send."""
    errors = _list(said.get("errors"))
    told = error_of(obj(errors[0]) if errors else {"code": "", "title": "Meta gave no reason"})
    found, words = remedy(PROVIDER, told, ERRORS), detail(PROVIDER, told)
    if issubclass(found.error, RefusedAccount):
        trouble[found.reason] = Sign("status", told.code, found.reason, words)
    return found.reason, words


def _ours(data: object) -> MessageId | None:
    """Read our id of a message back; what another program gave along is not ours."""
    try:
        return MessageId(UUID(str(data))) if data else None
    except ValueError:
        return None


def _number(value: Json) -> str:
    metadata = value.get("metadata")
    return str(cast("Json", metadata).get("phone_number_id") or "") if isinstance(metadata, dict) else ""


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
