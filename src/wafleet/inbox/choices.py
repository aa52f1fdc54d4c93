"""Answers to questions: what a customer touched, or wrote because they had nothing to touch, becomes their choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from wafleet.domain.choosing import chosen
from wafleet.domain.clean import clean, json_of
from wafleet.domain.message import Choice, Content, Offering, Option, Text, summary, words
from wafleet.engine.db import Tx
from wafleet.inbox import store
from wafleet.inbox.store import NOTHING, Arrival
from wafleet.outbox import Talk

ANSWERED_WITHIN: Final = timedelta(hours=24)  # after that a number is just a number
_content: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question offered."""

    options: Sequence[Option]
    over: bool  # something else was said since, which a bare number may answer as well


Questions = Mapping[UUID, Asked]


async def understood(
    tx: Tx, contents: Sequence[Content], arrivals: Sequence[Arrival], talks: Sequence[Talk]
) -> list[Arrival]:
    """Return the messages with answers in place of words that name one; whatever is no answer stays as it is."""
    wanted = {
        id
        for content, talk in zip(contents, talks, strict=True)
        if isinstance(content, Text | Choice)
        for id in talk.questions
    }
    if not wanted:
        return list(arrivals)
    known: dict[UUID, Asked] = {
        id: Asked(asked.options, over)
        for id, content, over in await store.questions(tx, sorted(wanted), within=ANSWERED_WITHIN)
        if isinstance(asked := _content.decode(content), Offering)
    }
    return [
        _understood(content, arrival, talk, known)
        for content, arrival, talk in zip(contents, arrivals, talks, strict=True)
    ]


def _understood(content: Content, arrival: Arrival, talk: Talk, known: Questions) -> Arrival:
    if not isinstance(content, Text | Choice):
        return arrival
    asked = [id for id in talk.questions if id in known]
    answer = answered(content, asked, known, about=arrival.about)
    if answer is None:
        return arrival
    return replace(
        arrival,
        content=json_of(answer),
        words=clean(words(answer)),
        shown=clean(summary(answer))[: store.PREVIEW],
        about=UUID(answer.reply_to),
    )


def answered(content: Text | Choice, asked: Sequence[UUID], known: Questions, *, about: UUID) -> Choice | None:
    """Return the choice that a message makes among what was asked, newest first; None: it makes none.

    One that names its question is for that question alone. Words are for the newest question, a bare number only until
    it is over; what was touched is for the newest that has it.
    """
    if about != NOTHING:
        asked = [about] if about in known else []
    if isinstance(content, Text):
        if not asked:
            return None
        newest = known[asked[0]]
        option = chosen(newest.options, content.text, numbers=about != NOTHING or not newest.over)
        return None if option is None else Choice(option.id, option.title, str(asked[0]), content.text)
    for id in asked:
        for option in known[id].options:
            if option.id == content.option:
                return Choice(option.id, content.title or option.title, str(id), content.said)
    return None
