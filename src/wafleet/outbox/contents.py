"""What may be sent: each kind's rules, the file it carries, and the earlier message it is about."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from wafleet import media
from wafleet.domain.choosing import numbered
from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.message import (
    Buttons,
    Choices,
    ContactCard,
    Content,
    Deletion,
    Direction,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Offering,
    OnMessage,
    Priority,
    Reaction,
    Sending,
    Template,
    Text,
    Video,
    WithMedia,
    about,
    naming,
    words,
)
from wafleet.engine.db import Tx
from wafleet.outbox import questions, store
from wafleet.outbox.model import Claim
from wafleet.outbox.store import Earlier, Route
from wafleet.transports.base import Capabilities

LONGEST: Final = 4096  # characters of a text. Source: WhatsApp's own limit, as Twilio and Meta document it
LONGEST_CAPTION: Final = 1024  # Source: Meta, WhatsApp Cloud API, media messages
MB: Final = 1024 * 1024
LONGEST_EMOJI: Final = 32  # families and flags of several code points included
_EDITED: Final = frozenset({"text", "image", "video", "document"})  # what has words
_NEVER_WENT: Final = frozenset({Sending.FAILED, Sending.CANCELLED})


@dataclass(frozen=True, slots=True)
class Whole:
    """A message with everything known that sending it needs."""

    content: Content
    priority: Priority
    due_at: datetime | None


def check(content: Content) -> None:
    """Raise Invalid, naming the field, for what no network takes."""
    match content:
        case Text() | Edit() if not content.text.strip():
            raise Invalid("text", "The text is empty: write something")
        case Image() | Video() | Document() if len(content.caption) > LONGEST_CAPTION:
            raise Invalid("content.caption", f"WhatsApp takes at most {LONGEST_CAPTION} characters below a file")
        case Location() if not (-90 <= content.latitude <= 90 and -180 <= content.longitude <= 180):
            raise Invalid("content.latitude", "Latitude is -90 to 90 degrees, longitude -180 to 180")
        case ContactCard() if not (content.name.strip() and content.phone.strip()):
            raise Invalid("content.name", "A contact needs a name and a phone")
        case Reaction() if len(content.emoji) > LONGEST_EMOJI:
            raise Invalid("content.emoji", "A reaction is one emoji; an empty one takes it away")
        case Buttons() | Choices() | Template():
            questions.check(content)
        case _:
            pass
    if (length := len(words(content))) > LONGEST:
        raise Invalid("text", f"The text has {length} characters; WhatsApp takes at most {LONGEST}")


def fits(content: Content, contents: Collection[str]) -> bool:
    """Tell whether a transport that sends these kinds can send a content, if need be in another form."""
    return content.__struct_config__.tag in contents or (isinstance(content, Offering) and "text" in contents)


def fitted(content: Content, contents: Collection[str]) -> Content:
    """Return a content in the form in which a transport that sends these kinds can send it."""
    if isinstance(content, Offering) and content.__struct_config__.tag not in contents:
        return numbered(content)
    return content


def require_short(content: Content, capabilities: Capabilities, route: Route) -> None:
    """Raise Invalid, naming the field, for more words than an account's transport takes."""
    longest, goes_out = capabilities.longest_text, fitted(content, capabilities.contents)
    (field, _), (_, text) = _written(content), _written(goes_out)
    if longest is None or len(text) <= longest:
        return
    what = "The text" if goes_out is content else "With its answers below it, the text"
    limit = f"{route.name} takes at most {longest}: its transport is {route.transport}"
    raise Invalid(field, f"{what} has {len(text)} characters; {limit}", code="too_long")


def _written(content: Content) -> tuple[str, str]:
    """Return where a content's text stands, and the text."""
    match content:
        case Text() | Edit():
            return "text", content.text
        case Buttons() | Choices():
            return "content.text", content.text
        case Image() | Video() | Document():
            return "content.caption", content.caption
        case _:
            return "", ""


def fitted_claim(claim: Claim, contents: Collection[str]) -> Claim:
    """Return a claim with its content in that form."""
    content = fitted(claim.content, contents)
    return claim if content is claim.content else replace(claim, content=content)


def is_plain(content: Content) -> bool:
    """Tell whether a message stands alone: it carries no file and is about no other."""
    return type(content) is Text and not content.reply_to


def named(content: Content) -> MessageId | None:
    """Return the id of the message that this content names. Raises Invalid when it is no id."""
    if not (text := about(content)):
        return None
    try:
        return MessageId(UUID(text))
    except ValueError:
        raise Invalid(_field(content), "Name a message by its id, as lists of messages show it") from None


async def complete(tx: Tx, route: Route, given: Whole, *, to: str, largest: int | None = None) -> Whole:
    """Look up the file and the message that a content names. Raises Invalid naming the field.

    What is about a message that still waits is put behind it: the network must have that one first.

    largest  bytes of a file that the account's transport takes; None: any
    """
    content, priority, due_at = given.content, given.priority, given.due_at
    if isinstance(content, WithMedia) or (isinstance(content, Template) and content.media is not None):
        content = await _with_file(tx, route, content, largest)
    if isinstance(content, OnMessage) and not content.message:
        raise Invalid("content.message", "Say which message: give its id")
    if (id := named(content)) is not None:
        earlier = await store.earlier(tx, message=id, account=AccountId(route.id), to=to)
        _check_earlier(content, earlier)
        if earlier is not None and earlier.state == Sending.QUEUED:
            priority = Priority(max(priority, earlier.priority or 0))
            due_at = max(filter(None, (due_at, earlier.due_at)), default=None)
        content = naming(content, str(id))  # in its one spelling
    return Whole(content, priority, due_at)


async def _with_file(tx: Tx, route: Route, content: WithMedia | Template, largest: int | None) -> Content:
    given = content.media or Media("")
    file = await media.find(tx, given.id, tenant=route.tenant_id)
    if file is None:
        raise Invalid("content.media", "There is no such file: upload it first, and give the id of the answer")
    known = file.media()
    if wrong := media.fits(_carried_as(content, known), file):
        raise Invalid("content.media", wrong)
    if largest is not None and file.size > largest:
        limit = f"the {largest // MB} MB that {route.name} takes: its transport is {route.transport}"
        raise Invalid("content.media", f"It is larger than {limit}", code="too_large")
    shown = msgspec.structs.replace(known, name=given.name or known.name)
    return msgspec.structs.replace(content, media=shown)


def _carried_as(content: WithMedia | Template, file: Media) -> str:
    """Return as which kind a file goes; above a template it is shown as what it is."""
    if not isinstance(content, Template):
        return str(content.__struct_config__.tag)
    kind = file.mime.partition("/")[0]
    return kind if kind in {"image", "video"} else "document"


def _check_earlier(content: Content, earlier: Earlier | None) -> None:
    if earlier is None:
        raise Invalid(_field(content), "There is no such message in this conversation", code="about_not_found")
    if earlier.kind in ("reaction", "edit", "deletion"):
        raise Invalid(_field(content), f"That is a {earlier.kind}: name the message it was about")
    if earlier.state in _NEVER_WENT:
        raise Invalid(_field(content), f"That message never went out: it is {earlier.state}")
    if isinstance(content, Edit | Deletion) and earlier.direction != Direction.OUT:
        raise Invalid(_field(content), "Only messages of this account can be changed or taken back")
    if isinstance(content, Edit) and earlier.kind not in _EDITED:
        raise Invalid(_field(content), f"A {earlier.kind} has no words to change")


def _field(content: Content) -> str:
    return "content.message" if isinstance(content, OnMessage) else "content.reply_to"
