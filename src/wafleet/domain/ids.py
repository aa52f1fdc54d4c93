"""Names of things: time-ordered UUIDs (version 7), one type per kind so that they cannot be mixed up."""

import os
import threading
import time
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
AccountId = NewType("AccountId", UUID)
ConversationId = NewType("ConversationId", UUID)
MessageId = NewType("MessageId", UUID)
UserId = NewType("UserId", UUID)
TokenId = NewType("TokenId", UUID)

_lock = threading.Lock()
_last = 0  # milliseconds << 12 | counter: grows even when the wall clock is set back


def new_id() -> UUID:
    """Make an id that sorts after every id this process made before.

    Source: RFC 9562, section 5.7 (UUID version 7), method 1 of section 6.2 (a 12-bit counter).
    """
    global _last
    with _lock:
        _last = max(_last + 1, (time.time_ns() // 1_000_000) << 12)
        stamp = _last
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    low = 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=high << 64 | low)
