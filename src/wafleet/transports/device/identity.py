"""How customers are named: by E.164 where WhatsApp shows the phone, else by the id it gives them instead.

WhatsApp writes a person as `4915112345678@s.whatsapp.net` or, hiding the phone, as `123456789@lid`. The first becomes
`+4915112345678`, the second `lid:123456789`.
"""

from typing import Final

from wafleet.clientlib.protos import told

PHONES: Final = "s.whatsapp.net"
HIDDEN: Final = "lid"
_HIDDEN_AS: Final = "lid:"


def jid(identity: str) -> told.JID:
    """Return WhatsApp's name of a person. Raises ValueError for an identity that is neither form."""
    if identity.startswith(_HIDDEN_AS):
        user, server = identity.removeprefix(_HIDDEN_AS), HIDDEN
    else:
        user, server = identity.removeprefix("+"), PHONES
    if not (user.isascii() and user.isdecimal()):
        raise ValueError(f"{identity!r} names nobody on WhatsApp")
    return told.JID(User=user, Server=server, RawAgent=0, Device=0, Integrator=0, IsEmpty=False)


def written(person: told.JID) -> str:
    """Write a name of WhatsApp as its messages do, without the device."""
    return f"{person.User}@{person.Server}"


def identity(*names: told.JID) -> str:
    """Return who these names are, by phone where one of them has it; empty where none names a person."""
    people = [name for name in names if name.User and name.Server in {PHONES, HIDDEN}]
    for name in people:
        if name.Server == PHONES:
            return f"+{name.User}"
    return f"{_HIDDEN_AS}{people[0].User}" if people else ""


def read(text: str) -> told.JID:
    """Read a name as stanzas write it, such as `123:4@lid`."""
    user, _, server = text.partition("@")
    name, _, device = user.partition(":")
    number = int(device) if device.isdecimal() else 0
    return told.JID(User=name.partition(".")[0], Server=server, Device=number, RawAgent=0, Integrator=0, IsEmpty=False)
