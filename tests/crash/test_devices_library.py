"""A client library that is missing, too old, or built for another system stops only the accounts that need it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.crash.conftest import Stage
from tests.crash.devices import create, state_of
from tests.crash.programs import until
from tests.crash.traffic import fleet_of

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

MISSING = """
import importlib.metadata as m
real = m.distribution
def distribution(name):
    if name == "neonize":
        raise m.PackageNotFoundError(name)
    return real(name)
m.distribution = distribution
"""
TOO_OLD = """
import importlib.metadata as m
real = m.distribution
class Old:
    version = "0.3.0"
    def __init__(self, found): self.locate_file = found.locate_file
m.distribution = lambda name: Old(real(name)) if name == "neonize" else real(name)
"""
OTHER_LIBC = """
import platform
platform.libc_ver = lambda *_, **__: ("", "")
"""
SAYS = {
    "missing": (MISSING, "which is not installed"),
    "too old": (TOO_OLD, "neonize 0.3.0 is installed"),
    "other libc": (OTHER_LIBC, "glibc 2.34"),
}


@pytest.fixture(params=SAYS)
def kind(request: pytest.FixtureRequest, folder: Path) -> str:
    """A Python whose environment is like this, wherever PYTHONPATH names the folder."""
    place = folder / "python"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SAYS[request.param][0])
    return request.param


async def test_a_library_that_cannot_be_used_is_one_sentence_and_the_rest_of_the_fleet_runs(
    stage: Stage, folder: Path, dsn: str, kind: str
) -> None:
    program = stage.program(DATABASE_URL=dsn)
    program.env = {**program.env, "PYTHONPATH": str(folder / "python")}
    await program.start()
    await fleet_of(program, 1)
    ((_, id),) = (await create(program, 1, first=2)).items()
    async with program.api() as api:
        reply = await api.post(f"/api/v1/accounts/{id}/link")
        assert reply.status_code in {202, 409, 422, 502}, reply.text

    async def reason() -> str:
        return (await state_of(program, id))[1]

    await until(reason, lambda seen: seen == "library_missing")
    told = await program.get(f"/accounts/{id}")
    assert SAYS[kind][1] in str(told)
    assert await program.online() == 1
    assert "Traceback" not in program.said()


def test_the_emulator_says_it_in_one_sentence_too(folder: Path, kind: str) -> None:
    command = [sys.executable, "-m", "wafleet.emulator", "--folder", str(folder / "network")]
    env = {**os.environ, "PYTHONPATH": str(folder / "python")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert SAYS[kind][1] in done.stderr
    assert done.stderr.count("\n") == 1
