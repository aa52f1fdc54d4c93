"""Background jobs: coarse work that outlives a restart, shared by all nodes. A thin face over procrastinate.

A job runs at least once: when its node dies or stalls, another runs it again, so what it does must bear repetition.
Arguments are stored and may be logged: hand over ids, never words or secrets. No job per message: each enqueueing
notifies within its transaction, which makes such commits wait for each other.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import procrastinate
import structlog
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from prometheus_client import Counter
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from wafleet.engine.db import Db, Tx

log = structlog.get_logger(__name__)
Work = TypeVar("Work", bound=Callable[..., Awaitable[object]])

MOST_DEATHS: Final = 10  # a job that takes its node down with it is given up after this many runs
LEAVE_S: Final = 3.0  # what runs may finish within this when a node stops; then it is put back
LONGEST_BACKOFF_S: Final = 30.0
PURGE_EVERY: Final = timedelta(hours=1)

jobs_failed = Counter("wafleet_jobs_failed_total", "Runs of background jobs that failed", ["job"])
jobs_revived = Counter("wafleet_jobs_revived_total", "Jobs taken from nodes that died")


@dataclass(frozen=True, slots=True)
class _Registered:
    key: str | None
    once: bool


class _Retries(BaseRetryStrategy):
    def __init__(self, most: int) -> None:
        self._most = most

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):  # this node stops: the next one does it
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts >= self._most:
            return None
        wait_s = min(2**job.attempts, 3600) * random.uniform(0.5, 1)
        return RetryDecision(retry_in={"seconds": max(1, round(wait_s))})


class Jobs:
    """Register jobs, enqueue them, run them.

    heartbeat_s, stale_s  a worker says this often that it lives; after `stale_s` of silence others take its jobs
    poll_s                how often it looks for jobs without being told
    keep                  how long jobs that ended are kept for people to look at
    """

    def __init__(
        self,
        db: Db,
        *,
        concurrency: int = 4,
        heartbeat_s: float = 5.0,
        stale_s: float = 15.0,
        poll_s: float = 5.0,
        keep: timedelta = timedelta(days=7),
    ) -> None:
        self._db, self._concurrency = db, concurrency
        self._heartbeat_s, self._stale_s, self._poll_s, self._keep = heartbeat_s, stale_s, poll_s, keep
        self._registered: dict[str, _Registered] = {}
        connector = procrastinate.PsycopgConnector(conninfo=_own_schema(db.dsn), min_size=1, max_size=concurrency + 2)
        self._app = procrastinate.App(connector=connector)

    def job(
        self, name: str, *, every: str | None = None, retries: int = 5, key: str | None = None, once: bool = False
    ) -> Callable[[Work], Work]:
        """Register a coroutine function as a job.

        every    cron expression in UTC; such a job takes no arguments, fires once per time on one node, and never
                 overlaps itself
        retries  further runs after a failure, with growing pauses
        key      jobs with the same key never run at once; may name arguments: "sync {account}"
        once     a job whose key already waits is not enqueued again
        """

        def register(work: Work) -> Work:
            self._registered[name] = _Registered(key or (name if every else None), once or every is not None)
            task = self._app.task(name=name, retry=_Retries(retries), pass_context=True)(self._run_of(name, work))
            if every is not None:
                self._app.periodic(cron=every, periodic_id=name, lock=name, queueing_lock=name)(task)
            return work

        return register

    async def enqueue(self, tx: Tx, name: str, /, *, not_before: datetime | None = None, **args: object) -> int | None:
        """Add a job that exists if `tx` commits and return its number; None when it waits already (see `once`)."""
        registered = self._registered[name]
        key = registered.key.format(**args) if registered.key else None
        try:
            async with tx.conn.transaction():  # a key that waits already must not cost the caller its transaction
                return await tx.value(
                    """
                    select (procrastinate.procrastinate_defer_jobs_v1(array[row(
                        'default', %(name)s, 0, %(key)s, %(waiting_key)s, %(args)s, %(not_before)s
                    )::procrastinate.procrastinate_job_to_defer_v1]))[1]
                    """,
                    name=name,
                    key=key,
                    waiting_key=key if registered.once else None,
                    args=Jsonb(args),
                    not_before=not_before,
                )
        except UniqueViolation as error:
            if error.diag.constraint_name and "queueing_lock" in error.diag.constraint_name:
                return None
            raise

    async def run(self, stopping: asyncio.Event) -> None:
        """Work on jobs until `stopping`; while the database is away, wait for it."""
        failures = 0
        while not stopping.is_set():
            try:
                async with self._app.open_async():
                    await self._work(stopping)
            except Exception as error:
                failures += 1
                if failures == 1:
                    log.warning("jobs_away", error=str(error))
            else:
                failures = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(0.25 * 2**failures, LONGEST_BACKOFF_S)):
                    await stopping.wait()

    async def revive(self) -> int:
        """Put back the jobs of workers that fell silent and return how many."""
        async with self._db.fleet_tx() as tx:
            rows = await tx.tuples(
                """
                with silent as (
                    select id from procrastinate.procrastinate_workers
                     where last_heartbeat < now() - %(stale)s for update skip locked
                ), orphaned as (
                    select j.id from procrastinate.procrastinate_jobs j
                     where j.status = 'doing' and (j.worker_id is null or j.worker_id in (select id from silent))
                       for update skip locked
                ), put_back as (
                    update procrastinate.procrastinate_jobs j
                       set status = case when j.attempts < %(most)s then 'todo' else 'failed'
                                    end::procrastinate.procrastinate_job_status,
                           attempts = j.attempts + 1, worker_id = null, scheduled_at = now(), queueing_lock = null
                      from orphaned where j.id = orphaned.id
                    returning j.id, j.task_name, j.status
                )
                select id, task_name, status::text from put_back
                """,
                stale=timedelta(seconds=self._stale_s),
                most=MOST_DEATHS,
            )
            await tx.run(
                """
                delete from procrastinate.procrastinate_workers w
                 where last_heartbeat < now() - %(stale)s
                   and not exists (select from procrastinate.procrastinate_jobs j
                                    where j.worker_id = w.id and j.status = 'doing')
                """,
                stale=timedelta(seconds=self._stale_s),
            )
        for number, name, state in rows:
            jobs_revived.inc()
            log.warning("job_revived" if state == "todo" else "job_given_up", job=name, number=number)
        return len(rows)

    def _run_of(self, name: str, work: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[None]]:
        """The library's own line would repeat the arguments; `timestamp` is what it adds to jobs that come round."""

        async def run(context: JobContext, timestamp: int | None = None, **args: Any) -> None:
            if self._registered[name].once:
                await self._no_longer_waits(context.job.id)
            try:
                await work(**args)
            except Exception as error:
                jobs_failed.labels(name).inc()
                log.exception("job_failed", job=name, number=context.job.id, error=str(error))
                raise

        return run

    async def _no_longer_waits(self, number: int | None) -> None:
        """Only one job of a key may wait: without this, one that must be run again could not join one that waits."""
        async with self._db.fleet_tx() as tx:
            await tx.run(
                "update procrastinate.procrastinate_jobs set queueing_lock = null where id = %(number)s", number=number
            )

    async def _work(self, stopping: asyncio.Event) -> None:
        worker = asyncio.create_task(
            self._app.run_worker_async(
                name="wafleet",
                concurrency=self._concurrency,
                fetch_job_polling_interval=self._poll_s,
                update_heartbeat_interval=self._heartbeat_s,
                stalled_worker_timeout=self._stale_s,
                shutdown_graceful_timeout=LEAVE_S,
                install_signal_handlers=False,
            ),
            name="jobs worker",
        )
        parts = [worker, *(asyncio.create_task(one) for one in (self._tend(), _until(stopping)))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            ends = await asyncio.gather(*parts, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        purge_at = loop.time()
        while True:
            await self.revive()
            if loop.time() >= purge_at:
                purge_at = loop.time() + PURGE_EVERY.total_seconds()
                hours = max(1, round(self._keep.total_seconds() / 3600))
                await self._app.job_manager.delete_old_jobs(
                    nb_hours=hours, include_failed=True, include_cancelled=True, include_aborted=True
                )
            await asyncio.sleep(self._heartbeat_s)


async def _until(stopping: asyncio.Event) -> None:
    await stopping.wait()


def _own_schema(dsn: str) -> str:
    """The library names its tables without a schema."""
    options = f"{conninfo_to_dict(dsn).get('options') or ''} -c search_path=procrastinate".strip()
    return make_conninfo(dsn, options=options, application_name="wafleet jobs")
