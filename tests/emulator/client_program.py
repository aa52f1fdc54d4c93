"""The real library in a process of its own, driven by lines of JSON: what the tests of the emulator talk to.

Standard library only, so that it starts quickly. Bytes travel as {"b64": ...}. In: {"n", "do", "args"}. Out: answers
{"n", "value" | "error"}, and what happens: {"event", "data"}, {"qr"}, {"log"}, {"ended"}.
"""

import base64
import ctypes
import json
import os
import sys
import threading

BYTES = ("SendMessage", "PairPhone", "IsOnWhatsApp", "GetMe", "Upload", "DownloadAny", "GetUserDevices", "BuildRevoke")
NUMBERS = ("IsConnected", "IsLoggedIn")
NAME = b"client"


class Block(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Proxy(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_char_p),
        ("no_websocket", ctypes.c_bool),
        ("only_login", ctypes.c_bool),
        ("no_media", ctypes.c_bool),
    )


ON_STRING = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
ON_EVENT = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
ON_LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)

OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the library prints
LOCK = threading.Lock()


def say(**what: object) -> None:
    with LOCK:
        OUT.write(json.dumps(what) + "\n")
        OUT.flush()


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


class Program:
    def __init__(self, library: str, logs: bool) -> None:
        self.library = ctypes.CDLL(library)
        self.logs = logs
        self.library.Neonize.restype = ctypes.c_void_p
        self.library.FreeBytesStruct.restype = None
        self.on_qr, self.on_status = ON_STRING(self._qr), ON_STRING(self._status)
        self.on_event = ON_EVENT(self._event)
        self.on_log = ON_LOG(self._log)
        self.wanted = bytes(code for code in range(46) if code not in (14, 15, 28, 29))

    def _qr(self, _: int, text: int) -> None:
        say(qr=ctypes.string_at(text).decode())

    def _status(self, _: int, status: int) -> None:
        say(status=status)

    def _event(self, _: bytes, at: int, size: int, code: int) -> None:
        say(event=code, data=b64(ctypes.string_at(at, size)))

    def _log(self, at: int, size: int) -> None:
        if self.logs and size:
            say(log=b64(ctypes.string_at(at, size)))

    def start(self, database: str, proxy: str) -> None:
        threading.Thread(target=self._run, args=(database, proxy), daemon=True).start()

    def _run(self, database: str, proxy: str) -> None:
        props = b"\x0a\x04test"
        settings = Proxy(proxy.encode(), False, False, False) if proxy else None
        level = b"DEBUG" if self.logs else b"ERROR"
        error = self.library.Neonize(
            *(database.encode(), NAME, b"", 0, 0, level),
            *(self.on_qr, self.on_status, self.on_event, self.on_log),
            *(self.wanted, len(self.wanted), props, len(props), b"", 0),
            ctypes.byref(settings) if settings else None,
        )
        say(ended=ctypes.string_at(error).decode() if error else "")

    def call(self, name: str, *args: object) -> object:
        function = getattr(self.library, name)
        if name in BYTES:
            function.restype = ctypes.POINTER(Block)
        elif name in NUMBERS:
            function.restype = ctypes.c_bool
        else:
            function.restype = ctypes.c_void_p
        found = function(NAME, *map(given, args))
        if name in NUMBERS:
            return found
        if name in BYTES:
            block = found.contents
            data = ctypes.string_at(block.start, block.size) if block.start else b""
            self.library.FreeBytesStruct(found)
            return b64(data)
        return ctypes.string_at(found).decode() if found else ""


def given(value: object) -> object:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def serve(program: Program, asked: dict[str, object]) -> None:
    try:
        args = asked["args"]
        assert isinstance(args, list)
        if asked["do"] == "start":
            value: object = program.start(*args)
        else:
            value = program.call(str(asked["do"]), *args)
        say(n=asked["n"], value=value)
    except Exception as e:
        say(n=asked["n"], error=repr(e))


def main() -> None:
    program = Program(sys.argv[1], sys.argv[2] == "logs")
    say(ready=os.getpid())
    for line in sys.stdin:
        threading.Thread(target=serve, args=(program, json.loads(line)), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
