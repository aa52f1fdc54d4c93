"""The emulator's tests need the client library; without it they are left out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wafleet.clientlib import Unusable, find

try:
    find()
except Unusable:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.emulator.rig import emulating

    from wafleet.emulator.server import Emulator

    @pytest.fixture
    async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
        """An emulator that listens, on a quick world of its own."""
        async with emulating(tmp_path / "emulator") as emulator:
            yield emulator
