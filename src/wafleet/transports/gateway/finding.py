"""Finding a message whose send returned no answer among those a gateway lists for its chat.

Source: https://waha.devlike.pro/docs/how-to/chats/ (get messages)
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from wafleet.domain.ids import MessageId
from wafleet.domain.message import Content, Sending, Text, media, words
from wafleet.transports.base import Doubt, Found
from wafleet.transports.gateway import reading
from wafleet.transports.gateway.names import bare

_NEWEST: Final = 100
REFUSED: Final = ("refused", "gateway ERROR")  # a gateway says no more of a message that failed
_SLACK_S: Final = 2  # gateways give whole seconds
_STATES: Final = {
    -1: Sending.FAILED,
    0: Sending.SENT,
    1: Sending.SENT,
    2: Sending.DELIVERED,
    3: Sending.READ,
    4: Sending.READ,
}


def query(doubts: Sequence[Doubt]) -> str:
    """Return what to ask of a chat: the account's own messages since the oldest doubt."""
    asked: dict[str, object] = {"limit": _NEWEST, "downloadMedia": "false", "filter.fromMe": "true"}
    times = [one.since for one in doubts if one.since is not None]
    if len(times) == len(doubts):
        asked["filter.timestamp.gte"] = int(min(times).timestamp()) - _SLACK_S
    return urlencode(asked)


def match(
    doubts: Sequence[Doubt], listed: Sequence[dict[str, Any]], taken: set[str]
) -> Mapping[MessageId, Found | None]:
    """Pair doubts with listed messages, oldest first, each once.

    taken  names of messages that are others; what is found joins them
    """
    found: dict[MessageId, Found | None] = {}
    ours = sorted((one for one in listed if one.get("fromMe")), key=lambda one: float(one.get("timestamp") or 0))
    for doubt in sorted(doubts, key=lambda one: one.since.timestamp() if one.since else 0.0):
        for one in ours:
            name, state = bare(one.get("id")), _STATES.get(one.get("ack") or 0)
            if name and state and name not in taken and _is(doubt, one):
                taken.add(name)
                found[doubt.id] = Found(name, state, *(REFUSED if state is Sending.FAILED else ("", "")))
                break
    return found


def _is(doubt: Doubt, listed: Mapping[str, Any]) -> bool:
    if doubt.since is not None and float(listed.get("timestamp") or 0) < int(doubt.since.timestamp()) - _SLACK_S:
        return False
    return doubt.content is not None and _alike(doubt.content, reading.content(listed))


def _alike(sent: Content, listed: Content) -> bool:
    """Words decide. A file without words cannot be told from another of its kind, so it is no proof."""
    said = getattr(sent, "caption", "") if media(sent) is not None else words(sent)
    if isinstance(sent, Text) or not said:
        return bool(said) and sent.__class__ is listed.__class__ and said == words(listed)
    return sent.__class__ is listed.__class__ and said in words(listed)
