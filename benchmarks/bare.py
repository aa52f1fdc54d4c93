"""The least that could do the work, to compare with: `python -m benchmarks.bare echo DSN` and `... sessions FOLDER`.

echo      an HTTP server that commits one row per POST and answers, or answers GET with what was POSTed to /keep
sessions  a client that holds the sessions given on stdin and asks each every 30 s, as keep-alive does
"""

import asyncio
import gc
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg
import uvicorn
import uvloop

from benchmarks.place import Hearing, Seeded, connect, memory_mb

EVERY_S = 30


class Echo:
    """The bare server."""

    def __init__(self, conn: "psycopg.AsyncConnection[Any]") -> None:
        self._conn, self._kept, self._lock = conn, b"", asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (part := await receive()).get("more_body"):
            body += part["body"]
        body += part.get("body", b"")
        if scope["path"] == "/keep":
            self._kept = body
        elif scope["method"] == "POST":
            async with self._lock:
                await self._conn.execute("insert into bare (body) values (%s)", (body.decode(),))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": self._kept if scope["method"] == "GET" else b"{}"})


async def echo(dsn: str) -> None:
    """Serve until terminated; the first line on stdout is the port."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("create table if not exists bare (id bigint generated always as identity, body text)")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1024)
            print(listener.getsockname()[1], flush=True)
            config = uvicorn.Config(Echo(conn), log_level="warning", access_log=False, lifespan="off")
            await uvicorn.Server(config).serve(sockets=[listener])


async def sessions(folder: Path) -> None:
    """Hold sessions until terminated; the first line on stdout says how much memory they took, in MB."""
    given = [Seeded(*one) for one in json.loads(sys.stdin.readline())]
    seeded = [Seeded(one.id, one.phone, bytes.fromhex(str(one.credentials))) for one in given]
    gc.collect()
    before = memory_mb(psutil.Process(os.getpid()))
    transport, opened = await connect(folder, seeded, Hearing)
    gc.collect()
    print(memory_mb(psutil.Process(os.getpid())) - before, flush=True)
    while opened:
        for session in opened:
            await asyncio.gather(session.ping(), asyncio.sleep(EVERY_S / len(opened)))
    await transport.close()


if __name__ == "__main__":
    uvloop.run(echo(sys.argv[2]) if sys.argv[1] == "echo" else sessions(Path(sys.argv[2])))
