"""What an engineer can see: logs on the console and in files, and the engine's metrics.

Slices add their own metrics beside their code. Nothing a customer wrote and no secret ever reaches a log.
"""

import logging
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from structlog.typing import EventDict, Processor, WrappedLogger

loop_failures = Counter("wafleet_loop_failures_total", "Turns of background duties that failed", ["loop"])
batch_items = Histogram(
    "wafleet_batch_items", "Items per committed batch", ["batch"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
batch_seconds = Histogram(
    "wafleet_batch_seconds",
    "Time to commit one batch",
    ["batch"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
events_handled = Counter("wafleet_events_handled_total", "Events a consumer has handled", ["consumer"])
events_buried = Counter("wafleet_events_buried_total", "Events put aside because their consumer failed", ["consumer"])
consumer_lag = Gauge("wafleet_consumer_lag_seconds", "Age of the newest event a consumer has handled", ["consumer"])
leases_held = Gauge("wafleet_leases_held", "Leases this node holds", ["kind"])
log_lines_lost = Counter("wafleet_log_lines_lost_total", "Log lines that could not be written: is the disk full?")

FILE_BYTES: Final = 10_000_000
FILES: Final = 5
HIDDEN: Final = "[hidden]"

_SECRET: Final = frozenset(
    {"text", "words", "content", "contents", "body", "payload", "caption", "plaintext", "password", "passwd", "token"}
    | {"secret", "secrets", "credential", "credentials", "authorization", "cookie", "master_key", "private_key"}
    | {"api_key", "pairing", "qr"}
)
# PostgreSQL repeats the row, pydantic the input, when they complain about it.
_ROW: Final = re.compile(r"\n[ |]*(?:DETAIL|CONTEXT):.*?(?=\n[ |]*(?:\+-|The above|During handling)|\Z)", re.DOTALL)
_INPUT: Final = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
_CHATTY: Final = ("uvicorn", "psycopg", "httpx", "httpcore", "asyncio", "urllib3")


def start_logs(
    folder: Path | None, *, level: str = "info", console: Literal["auto", "json", "off"] = "auto", name: str = "wafleet"
) -> None:
    """Log to the console for people and, as one JSON object per line, to rotated files for programs.

    folder   None: no files; else `name`.log in it, created when missing, 5 files of 10 MB
    console  auto: readable, coloured on a terminal only; json: as in the files, for containers; off: none
    """
    handlers: list[logging.Handler] = []
    if console != "off":
        handlers.append(_console(as_json=console == "json"))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(_file(folder / f"{name}.log"))
    _install(handlers, logging.getLevelNamesMapping()[level.upper()])


def about(**facts: object) -> AbstractContextManager[None]:
    """Add facts such as `request_id` and `account` to every line logged inside the block, by whatever is called."""
    return structlog.contextvars.bound_contextvars(**facts)


def hide_secrets(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Replace whatever could be a customer's words or a secret; the event's name and its plain facts stay."""
    return {key: _hidden(None if key == "event" else key, value) for key, value in line.items()}


def _hidden(key: object, value: object) -> object:
    if isinstance(key, str) and _is_secret(key):
        return HIDDEN
    if isinstance(value, str):
        return _INPUT.sub("input_value=[hidden], input_type=", _ROW.sub("", value))
    if isinstance(value, Mapping):
        return {inner: _hidden(inner, one) for inner, one in cast(Mapping[object, object], value).items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_hidden(None, one) for one in cast(Sequence[object], value)]
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray) else value


def _is_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return name in _SECRET or name.rpartition("_")[2] in _SECRET


def _install(handlers: Sequence[logging.Handler], level: int) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        if getattr(old, "of_wafleet", False):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        handler.of_wafleet = True  # pyright: ignore[reportAttributeAccessIssue]
        root.addHandler(handler)
    root.setLevel(level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it repeats arguments; engine/jobs.py says the same
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]


def _formatter(last: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )


def _json() -> Processor:
    return structlog.processors.JSONRenderer(serializer=_encoded)


def _encoded(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()


def _console(*, as_json: bool) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    tty = sys.stderr.isatty()
    handler.setFormatter(_formatter(_json() if as_json else structlog.dev.ConsoleRenderer(colors=tty)))
    return handler


def _file(path: Path) -> logging.Handler:
    handler = _Patient(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", delay=True)
    handler.setFormatter(_formatter(_json()))
    return handler


class _Patient(RotatingFileHandler):
    """A full disk must not stop the fleet, nor fill the console with one complaint per line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        log_lines_lost.inc()


class _Pools(Collector):
    """Asks each pool for its figures when somebody reads the metrics, never before."""

    def __init__(self) -> None:
        self.watched: dict[str, Callable[[], Mapping[str, int]]] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "wafleet_pool", "Database connections, and who waits for one", labels=("pool", "what")
        )
        for name, stats in list(self.watched.items()):
            for what, value in _pool_figures(stats()):
                family.add_metric((name, what), value)
        yield family

    def describe(self) -> Iterable[Any]:
        return ()


def _pool_figures(stats: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    for what in ("pool_size", "pool_available", "requests_waiting", "requests_errors", "connections_lost"):
        yield what.removeprefix("pool_"), float(stats.get(what, 0))


_pools: Final = _Pools()
REGISTRY.register(_pools)


@contextmanager
def watched_pool(name: str, stats: Callable[[], Mapping[str, int]]) -> Generator[None]:
    """Show a pool's figures among the metrics as long as the block lasts; `stats` is the pool's get_stats."""
    _pools.watched[name] = stats
    try:
        yield
    finally:
        _pools.watched.pop(name, None)
