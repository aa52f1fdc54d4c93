"""Keep one PostgreSQL server alive for as long as any program uses its folder, and stop it after the last has left.

Run as a script by `postgres.py`, never imported at run time: it outlives the program that started it, so it carries
the standard library's smallest part and nothing else, and a Ctrl-C or `kill -9` meant for that program misses it.

Locks tell the truth, because the kernel drops them with the process, however that ends:

    users.lock    shared by every program that uses the folder; the keeper takes it alone to learn that nobody is left,
                  and holds it while it stops the server, so that a newcomer waits instead of meeting a dying server
    keeper.lock   held by the keeper, handed over by the program that started it: one keeper per folder
    server.lock   inherited by the server and all its backends: it is free when the last of them is gone, orphans of a
                  killed server included; a keeper that finds it held adopts the server it did not start
"""

import fcntl
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

TICK_S: Final = 0.1  # how late the keeper may notice that a program left, or that a server it did not start died
ORPHANS_QUIT_S: Final = 1.0  # backends of a killed server leave by themselves unless they are deep in a computation
ORPHANS_KILL_S: Final = 2.0
FAST_STOP_S: Final = 60.0  # a fast shutdown writes a checkpoint; on a slow disk that takes a while
LIVED_S: Final = 10.0  # a server that ran this long did not fail at its start
LONGEST_PAUSE_S: Final = 5.0
LOG_BYTES: Final = 10 * 1024 * 1024
PROC: Final = Path("/proc")
LEFT: Final = "left"  # written by a program that leaves in peace: nobody is coming back, so do not wait
OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Keeper:
    """One folder's server and the watch over it. `uid` and `gid` are the server's; -1 means those of the keeper."""

    def __init__(self, home: Path, *, uid: int, gid: int, idle_s: float, keeper_lock: int, command: list[str]) -> None:
        self._home, self._data, self._log = home, home / "data", home / "log" / "postgres.log"
        self._uid, self._gid, self._idle_s, self._command = uid, gid, idle_s, command
        self._keeper_lock = keeper_lock
        self._users_lock = open_in(home, "users.lock")
        self._child = 0
        self._born, self._pause, self._dead_since = 0.0, 0.0, 0.0
        self._last_used = time.monotonic()
        self._told_to_stop = False
        self._wake, self._woken = os.pipe()

    def run(self) -> None:
        """Watch until nobody uses the folder any more, it was deleted, or the machine shuts down; then stop."""
        self._listen_to_signals()
        while not (self._told_to_stop or self._folder_is_gone() or self._nobody_is_left()):
            self._see_to_the_server()
            self._nap(TICK_S)
        self._stop()

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.signal(signal.SIGHUP, lambda _signal, _frame: None)  # ignoring it would be inherited by the server
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, self._on_terminate)

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True

    def _nap(self, seconds: float) -> None:
        """Sleep, but wake at once when the server dies or a signal asks to stop."""
        select.select([self._wake], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._wake, 64)

    def _folder_is_gone(self) -> bool:
        try:
            found = (self._home / "keeper.lock").stat()
        except OSError:
            return True
        mine = os.fstat(self._keeper_lock)
        return (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino)

    def _nobody_is_left(self) -> bool:
        """True once nobody has used the folder for long enough; from then on the users' lock stays with the keeper."""
        left_in_peace = self._home / LEFT
        if not take(self._users_lock):
            self._last_used = time.monotonic()
            left_in_peace.unlink(missing_ok=True)
            return False
        if left_in_peace.exists() or time.monotonic() - self._last_used >= self._idle_s:
            left_in_peace.unlink(missing_ok=True)
            return True
        fcntl.flock(self._users_lock, fcntl.LOCK_UN)
        return False

    def _see_to_the_server(self) -> None:
        self._bound_the_log()
        self._reap()
        lock = open_in(self._home, "server.lock")
        try:
            if not take(lock):
                self._clear_orphans()
            elif time.monotonic() - self._born >= self._pause:
                self._start(lock)
        finally:
            os.close(lock)

    def _start(self, lock: int) -> None:
        now = time.monotonic()
        lived = now - self._born
        self._pause = 0.0 if lived > LIVED_S else min(LONGEST_PAUSE_S, 2 * self._pause + 0.1)
        self._dead_since = 0.0
        self._remove_stale_pid_file()
        self._born = now
        self._child = os.fork()
        if not self._child:
            self._become_the_server(lock)

    def _become_the_server(self, lock: int) -> None:
        try:
            signal.set_wakeup_fd(-1)
            os.set_inheritable(lock, True)
            if self._uid >= 0:
                os.setgroups([])
                os.setgid(self._gid)
                os.setuid(self._uid)
            os.execv(self._command[0], self._command)  # noqa: S606
        except OSError as e:
            os.write(2, f"FATAL:  cannot run {self._command[0]}: {e.strerror}\n".encode())
        finally:
            os._exit(127)

    def _remove_stale_pid_file(self) -> None:
        """PostgreSQL refuses to start when the number in the file belongs to any live process of its user.

        After a restart of the machine or container it often does. Nobody of ours is running (the lock says so); a
        server started by hand on this folder would be recognised by its working directory.
        """
        pid = self._pid_on_file()
        if pid and PROC.exists() and not works_in(pid, self._data):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_on_file(self) -> int:
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return 0

    def _reap(self) -> None:
        if self._child and os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = 0

    def _server_pid(self) -> int:
        """The live server's process, ours or adopted; 0 when it is dead and only its orphans are left."""
        if self._child:
            return self._child
        pid = self._pid_on_file()
        return pid if pid and works_in(pid, self._data) else 0

    def _clear_orphans(self) -> None:
        """A killed server's backends must be gone before the next may start on the same data."""
        if self._server_pid():
            self._dead_since = 0.0
            return
        now = time.monotonic()
        self._dead_since = self._dead_since or now
        if now - self._dead_since > ORPHANS_KILL_S:
            send(workers_in(self._data), signal.SIGKILL)
        elif now - self._dead_since > ORPHANS_QUIT_S:
            send(workers_in(self._data), signal.SIGQUIT)

    def _bound_the_log(self) -> None:
        with suppress(OSError):
            if self._log.stat().st_size > LOG_BYTES:
                with open(open_in(self._home, "log/postgres.log.1", os.O_TRUNC), "wb") as older:
                    older.write(self._log.read_bytes()[-LOG_BYTES:])
                os.truncate(self._log, 0)  # the server keeps appending through the file it has open

    def _stop(self) -> None:
        """Stop the server with a checkpoint; by force only when it does not end, or when its data was deleted."""
        gone = self._folder_is_gone()
        for how, seconds in ((signal.SIGQUIT, 2.0),) if gone else ((signal.SIGINT, FAST_STOP_S), (signal.SIGQUIT, 5.0)):
            pid = self._server_pid()
            send([pid] if pid else [], how)
            if self._all_gone_within(seconds):
                return
        send([*workers_in(self._data), *([self._child] if self._child else [])], signal.SIGKILL)
        self._all_gone_within(5.0)

    def _all_gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._all_gone():
            if time.monotonic() > deadline:
                return False
            self._clear_orphans()
            self._nap(0.02)
        return True

    def _all_gone(self) -> bool:
        self._reap()
        if self._child:
            return False
        if self._folder_is_gone():
            return not workers_in(self._data)
        lock = open_in(self._home, "server.lock")
        try:
            return take(lock)
        finally:
            os.close(lock)


def open_in(home: Path, name: str, how: int = 0) -> int:
    """Open a file of ours, made when missing; it belongs to the folder's owner, also when root made it."""
    handle = os.open(home / name, OPEN | how, 0o600)
    if os.geteuid() == 0:
        owner = home.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
    return handle


def take(lock: int) -> bool:
    """Take a lock alone, without waiting; False when somebody else holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def works_in(pid: int, data: Path) -> bool:
    """Say whether a process belongs to the server on `data`: all of them work inside that folder, and nothing else."""
    with suppress(OSError):
        return os.readlink(PROC / str(pid) / "cwd") in (str(data), f"{data} (deleted)")  # noqa: PTH115
    return False


def workers_in(data: Path) -> list[int]:
    """Find every process of the server on `data`, orphans included; none where the system has no /proc."""
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()] if PROC.exists() else []
    return [pid for pid in pids if works_in(pid, data)]


def send(pids: list[int], how: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, how)


def main(home: str, socket_folder: str, uid: str, gid: str, idle_s: str, keeper_lock: str, *command: str) -> None:
    """Leave the program that called and keep the server. That program's child ends here, at once."""
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    os.set_inheritable(int(keeper_lock), False)
    log = open_in(Path(home), "log/postgres.log", os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    Keeper(
        Path(home), uid=int(uid), gid=int(gid), idle_s=float(idle_s), keeper_lock=int(keeper_lock), command=[*command]
    ).run()
    if Path(socket_folder).parent != Path(home):
        with suppress(OSError):
            Path(socket_folder).rmdir()  # it is in /tmp because the home's path is too long for a socket


if __name__ == "__main__":
    main(*sys.argv[1:])
