"""How a gateway names people and messages, and how wafleet does.

A person is `4915112345678@c.us`, or `123456789@lid` where WhatsApp hides the phone: here `+4915112345678` and
`lid:123456789`, as for linked devices. A message is `false_4915112345678@c.us_3EB0C7...`: whether the account wrote it,
the chat, and WhatsApp's own name. Only the last part is kept: it is the same in every event, whichever way the chat is
written, and the same for a linked device, so that a number may move between the two.
Source: https://waha.devlike.pro/docs/how-to/receive-messages/
"""

from typing import Any, Final, cast

_PHONES: Final = frozenset({"c.us", "s.whatsapp.net"})
_HIDDEN: Final = "lid"
_SIDES: Final = frozenset({"true", "false"})


def chat(identity: str) -> str:
    """Return the gateway's name of a person. Raises ValueError for what names nobody."""
    hidden = identity.startswith("lid:")
    user = identity.removeprefix("lid:" if hidden else "+")
    if not (user.isascii() and user.isdecimal()):
        raise ValueError(f"{identity!r} names nobody on WhatsApp")
    return f"{user}@{_HIDDEN if hidden else 'c.us'}"


def identity(chat: object) -> str:
    """Return who a chat is with; empty for groups, channels, and what is no name at all."""
    if not isinstance(chat, str):
        return ""
    user, _, server = chat.partition("@")
    user = user.partition(":")[0]  # behind it: which of the person's devices
    if not (user.isascii() and user.isdecimal()):
        return ""
    if server in _PHONES:
        return f"+{user}"
    return f"lid:{user}" if server == _HIDDEN else ""


def bare(id: object) -> str:
    """Return WhatsApp's own name of a message, however an engine wrote it. Empty: it is none."""
    if isinstance(id, dict):
        named = cast("dict[str, Any]", id)
        return bare(named.get("_serialized") or named.get("id"))
    if not isinstance(id, str):
        return ""
    side, _, rest = id.partition("_")
    return rest.split("_")[1] if side in _SIDES and "_" in rest else id


def whole(id: str, chat: str, *, ours: bool) -> str:
    """Return the gateway's name of a message of a chat."""
    return f"{'true' if ours else 'false'}_{chat}_{id}"
