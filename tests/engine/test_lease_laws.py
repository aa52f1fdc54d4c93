"""The laws of leases under any history of nodes that take, renew, stall, die and come back, on a real database."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from wafleet.engine import leases
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.leases import Lease, Node

T = TypeVar("T")
NODES = ("a", "b", "c")
NAMES = ("x", "y", "z")
TTL = timedelta(seconds=6)


class LeaseLaws(RuleBasedStateMachine):
    """What each node believes, held against the database."""

    runner: asyncio.Runner
    dsn: str

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.opened = Db.open(self.dsn, connections=2)
        self.db = self.do(self.opened.__aenter__())
        self.clock = ManualClock()
        self.nodes = {name: Node(self.db, self.clock, name=name, version="1", ttl=TTL) for name in NODES}
        self.believes: dict[str, dict[str, Lease]] = {name: {} for name in NODES}
        self.epochs: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.do(self._begin())

    async def _begin(self) -> None:
        async with self.db.fleet_tx() as tx:
            await tx.run("delete from leases")
        for node in self.nodes.values():
            await node.join()

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.do(self.opened.__aexit__(None, None, None))

    @rule(node=st.sampled_from(NODES), names=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    def take(self, node: str, names: list[str]) -> None:
        wanted = [name for name in names if name not in self.believes[node]]
        for lease in self.do(self._take(node, wanted)):
            assert lease.epoch > self.epochs[lease.name], "an epoch must grow when a lease changes hands"
            self.epochs[lease.name] = lease.epoch
            self.believes[node][lease.name] = lease

    async def _take(self, node: str, names: list[str]) -> list[Lease]:
        async with self.db.fleet_tx() as tx:
            return await leases.take(tx, names=names, holder=node, ttl=TTL)

    @rule(node=st.sampled_from(NODES))
    def renew(self, node: str) -> None:
        kept = self.do(self.nodes[node].renew())
        assert kept <= set(self.believes[node]), "a node is never given what it did not take"
        self.believes[node] = {name: lease for name, lease in self.believes[node].items() if name in kept}

    @rule(node=st.sampled_from(NODES))
    def stall(self, node: str) -> None:
        """Everything the node holds runs out in the database; the node itself does not know yet."""
        self.do(self._run_out(node))

    async def _run_out(self, node: str) -> None:
        async with self.db.fleet_tx() as tx:
            await tx.run("update leases set expires_at = now() - interval '1 s' where holder = %(node)s", node=node)

    @rule(node=st.sampled_from(NODES))
    def die_and_come_back(self, node: str) -> None:
        self.believes[node] = {}
        self.do(self.nodes[node].join())

    @rule(node=st.sampled_from(NODES), name=st.sampled_from(NAMES))
    def release(self, node: str, name: str) -> None:
        lease = self.believes[node].pop(name, None)
        if lease is not None:
            self.do(self._release(node, lease))

    async def _release(self, node: str, lease: Lease) -> None:
        async with self.db.fleet_tx() as tx:
            await leases.release(tx, leases=[lease], holder=node)

    @invariant()
    def the_highest_epoch_is_believed_by_one_node_at_most(self) -> None:
        for name in NAMES if hasattr(self, "nodes") else ():
            holders = [
                node for node, held in self.believes.items() if name in held and held[name].epoch == self.epochs[name]
            ]
            assert len(holders) <= 1

    @invariant()
    def the_database_knows_the_holder_of_the_highest_epoch(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for name, holder, epoch in self.do(self._stored()):
            assert epoch == self.epochs[name]
            believers = [node for node, held in self.believes.items() if name in held and held[name].epoch == epoch]
            assert believers in ([], [holder])

    async def _stored(self) -> list[tuple[str, str | None, int]]:
        async with self.db.fleet_tx() as tx:
            return [(row[0], row[1], row[2]) for row in await tx.tuples("select name, holder, epoch from leases")]


def test_the_laws_of_leases_hold_under_any_history(dsn: str) -> None:
    with asyncio.Runner() as runner:
        LeaseLaws.runner, LeaseLaws.dsn = runner, dsn
        run_state_machine_as_test(
            LeaseLaws,
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
