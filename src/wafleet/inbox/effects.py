"""What later messages did to earlier ones: reactions put on them, new words for them, that they were taken back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from wafleet.domain.message import Direction
from wafleet.engine.db import Tx
from wafleet.engine.web import Stamp
from wafleet.inbox import store
from wafleet.inbox.model import Edited, Message, Put


@dataclass(frozen=True, slots=True)
class Act:
    """A reaction, an edit or a deletion that reached the other side."""

    about: UUID
    direction: Direction
    content: dict[str, Any]
    at: Stamp


async def shown(tx: Tx, found: Sequence[Message]) -> list[Message]:
    """Return messages with what became of them."""
    if not found:
        return []
    acts: dict[UUID, list[Act]] = {}
    for about, direction, content, at in await store.acts_on(tx, [one.id for one in found]):
        acts.setdefault(about, []).append(Act(about, Direction(direction), content, at))
    return [after(one, acts[one.id]) if one.id in acts else one for one in found]


def after(message: Message, acts: Iterable[Act]) -> Message:
    """Fold what was done to a message into it, in the order in which it was done.

    Each side has one reaction: its newest, none when that is empty. Only its author can change or take back a message.
    """
    reactions: dict[Direction, Put] = {}
    edited: Edited | None = message.edited
    deleted_at: Stamp | None = message.deleted_at
    for act in acts:
        own = act.direction == message.direction
        match act.content.get("type"):
            case "reaction":
                reactions.pop(act.direction, None)
                if emoji := act.content.get("emoji"):
                    reactions[act.direction] = Put(emoji=emoji, direction=act.direction, at=act.at)
            case "edit" if own:
                edited = Edited(text=act.content.get("text", ""), at=act.at)
            case "deletion" if own:
                deleted_at = deleted_at or act.at
            case _:
                pass
    return message.model_copy(
        update={"reactions": list(reactions.values()), "edited": edited, "deleted_at": deleted_at}
    )
