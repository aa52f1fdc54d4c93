"""WhatsApp is away: everything waits, with a reason a person can read, and goes out in order once it is back."""

import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import until
from tests.crash.traffic import Writers, customers_write, fleet_of, prove

pytestmark = [pytest.mark.crash, pytest.mark.timeout(150)]


async def test_a_network_killed_under_load_delays_everything_and_costs_nothing(stage: Stage, dsn: str) -> None:
    program, control = stage.program(DATABASE_URL=dsn), await stage.control()
    await program.start()
    accounts = await fleet_of(program, 8)
    writers = Writers([program], list(accounts.values()), 1_500)
    writing = stage.meanwhile(writers.run())
    await control.start_load(300, total=600, customers=5)
    await writers.reached(500)
    await customers_write(control)
    stage.network.kill()
    await until(program.online, lambda online: online == 0)
    await writing

    waiting = await program.get(f"/messages/{writers.acknowledged['0-62']}")
    assert waiting["state"] == "queued"
    assert "The connection to WhatsApp broke" in str(waiting["why"])
    await stage.network.start()
    control = await stage.control()
    await until(program.online, lambda online: online == 8, limit_s=20)
    await customers_write(control, rate=300, total=400)
    await prove(program, control, dsn, set(writers.acknowledged.values()), written=1_000)
