"""What receipts add up to."""

from collections.abc import Iterable
from functools import reduce

from wafleet.domain.message import MOVES, Sending


def after_receipts(now: Sending, receipts: Iterable[Sending]) -> Sending:
    """Apply receipts one after another; one that `MOVES` does not allow teaches nothing."""
    return reduce(lambda state, receipt: receipt if receipt in MOVES[state] else state, receipts, now)
