"""Passes: what stands in a link instead of a sign-in. Only this installation can make one, and only it can read it.

pass = base64 of (tenant, 16 bytes · file, 32 bytes · good until, 8 bytes), encrypted and authenticated
"""

import base64
import binascii
import struct
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from wafleet.engine.secrets import Secrets, Unreadable

_PASS: Final = struct.Struct(">16s32sQ")
_ABOUT: Final = b"media link"


class Pass(NamedTuple):
    tenant: UUID
    id: str
    until: datetime


def pass_for(secrets: Secrets, tenant: UUID, id: str, until: datetime) -> str:
    """Write a pass for one file, good until then."""
    plain = _PASS.pack(tenant.bytes, bytes.fromhex(id), int(until.timestamp()))
    return base64.urlsafe_b64encode(secrets.encrypt(plain, about=_ABOUT)).rstrip(b"=").decode()


def read_pass(secrets: Secrets, written: str) -> Pass | None:
    """Read a pass, expired or not; None where it was not made here, or was changed."""
    try:
        sealed = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        tenant, id, until = _PASS.unpack(secrets.decrypt(sealed, about=_ABOUT))
    except (binascii.Error, ValueError, Unreadable, struct.error):
        return None
    return Pass(UUID(bytes=tenant), id.hex(), datetime.fromtimestamp(until, UTC))
