"""Tells in the event log which codes of providers no table knows: what they mean has to be learned."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from wafleet.domain.clean import clean
from wafleet.domain.events import Kind
from wafleet.engine import bus
from wafleet.engine.db import Db
from wafleet.engine.loops import Loop
from wafleet.transports import unknown
from wafleet.transports.unknown import Unknown

LOOK: Final = timedelta(seconds=5)


class UnknownCodes:
    """Tells of them.

    told  called after the commit
    """

    def __init__(self, db: Db, *, told: Callable[[], None], codes: Unknown = unknown.CODES) -> None:
        self._db, self._told, self._codes = db, told, codes

    def loops(self) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (Loop(name="providers.unknown", turn=self.tell, every=LOOK),)

    async def tell(self) -> None:
        """Tell what was met since the last time. What cannot be stored now is told later."""
        met = list(self._codes.waiting)
        if not met:
            return
        async with self._db.fleet_tx() as tx:
            told = [{name: clean(said) for name, said in one._asdict().items()} for one in met]
            await bus.append(tx, [bus.Event(kind=Kind.PROVIDER_UNKNOWN_CODE, data=data) for data in told])
        del self._codes.waiting[: len(met)]
        self._told()
