"""Which of a sender's messages at Twilio are the ones whose answer never came.

Twilio keeps no id of ours, so a message is known by its recipient, its words, and when it was taken.
Source of the list: https://www.twilio.com/docs/messaging/api/message-resource#retrieve-a-list-of-messages
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from wafleet.domain.ids import MessageId
from wafleet.domain.message import Sending
from wafleet.transports import web
from wafleet.transports.base import Doubt, Found
from wafleet.transports.remedies import Told, detail
from wafleet.transports.twilio.errors import PROVIDER, failure
from wafleet.transports.twilio.hooks import STATES
from wafleet.transports.twilio.reading import phone
from wafleet.transports.twilio.writing import body, files

SLACK: Final = timedelta(seconds=2)  # Twilio tells times in whole seconds, and its clock is not ours
DOUBTED: Final = timedelta(minutes=2)  # so far two clocks, or two spellings of one message, may lie apart


@dataclass(frozen=True, slots=True)
class Listed:
    """One message as Twilio lists it."""

    sid: str
    to: str
    body: str
    files: int
    state: Sending
    at: datetime
    told: Told = field(default=Told(""))  # why it failed


def listed(resource: Mapping[str, Any]) -> Listed | None:
    """Read one message of the list; None for one that came in. Raises LookupError, TypeError or ValueError."""
    if str(resource.get("direction", "")).startswith("inbound"):
        return None
    return Listed(
        sid=str(resource["sid"]),
        to=phone(str(resource["to"])),
        body=_plain(str(resource.get("body") or "")),
        files=int(resource.get("num_media") or 0),
        state=STATES.get(str(resource.get("status")), Sending.SENT),
        at=created(resource),
        told=Told(str(resource.get("error_code") or ""), str(resource.get("error_message") or "")),
    )


def created(resource: Mapping[str, Any]) -> datetime:
    """Read when Twilio took a message. Raises LookupError, TypeError or ValueError."""
    when = parsedate_to_datetime(web.text(resource["date_created"]))
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def matched(
    doubts: Iterable[Doubt], found: Iterable[Listed], *, named: Mapping[str, MessageId]
) -> dict[MessageId, Found]:
    """Name the message of the list that each doubt is, where there is one.

    named  which of ours the messages of these sids are known to be

    Two doubts of the same words to the same person get two messages, the older one the older.
    """
    free = sorted(found, key=lambda one: one.at)
    names: dict[MessageId, Found] = {}
    for doubt in sorted(doubts, key=lambda one: (not one.provider_id, since(one))):
        for one in free:
            if one.sid in doubt.others or named.get(one.sid, doubt.id) != doubt.id:
                continue
            if one.sid == doubt.provider_id or _same(doubt, one):
                names[doubt.id] = _found(one)
                free.remove(one)
                break
    return names


def open_to_doubt(doubt: Doubt, found: Iterable[Listed], *, taken: Container[str]) -> bool:
    """Tell whether a message may be the doubtful one after all, though it does not look like it.

    found  the list of its recipient
    taken  sids of messages that are known to be others

    Words come back changed where Twilio or a template touches them, and clocks differ. Who is told that a message never
    went out sends it again, so anything nobody knows to be another message keeps that from being said.
    """
    others = doubt.others
    return any(one.sid not in taken and one.sid not in others and one.at >= earliest(doubt) for one in found)


def tellable(doubt: Doubt) -> bool:
    """Tell whether enough is known of a message to find it."""
    return bool(doubt.to) and doubt.content is not None and doubt.since is not None


def since(doubt: Doubt) -> datetime:
    """Return when a message may have been taken at the earliest."""
    return (doubt.since or datetime.max.replace(tzinfo=UTC)) - SLACK


def earliest(doubt: Doubt) -> datetime:
    """Return how far back a list must be read before a message is called absent."""
    return since(doubt) + SLACK - DOUBTED


def _found(one: Listed) -> Found:
    if one.state is not Sending.FAILED:
        return Found(one.sid, one.state)
    return Found(one.sid, one.state, failure(one.told), detail(PROVIDER, one.told))


def _same(doubt: Doubt, one: Listed) -> bool:
    if doubt.provider_id or doubt.content is None or one.to != doubt.to or one.at < since(doubt):
        return False
    said, carried = body(doubt.content), files(doubt.content)
    return carried in {None, one.files} and (said is None or _plain(said) == one.body)


def _plain(text: str) -> str:
    """Words as they can be compared: line ends and what surrounds a text do not always survive the way."""
    return text.replace("\r\n", "\n").strip()
