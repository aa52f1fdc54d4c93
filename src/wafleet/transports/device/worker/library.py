"""The library's program, called as C functions. Source of the signatures: the library's own binding, version 0.5.2."""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from .line import DISK
from .reading import fields

_Result = TypeVar("_Result")

# Arguments after the client's id: b bytes with their length, s bytes alone, i a number. Result: m a message's bytes,
# t text (an error, or empty), o a truth.
FUNCTIONS: Final = {
    "DownloadAny": "b m",
    "GetPNFromLID": "b m",
    "IsConnected": " o",
    "IsLoggedIn": " o",
    "IsOnWhatsApp": "b m",
    "Logout": " t",
    "MarkRead": "sibbs t",
    "PairPhone": "b m",
    "SendChatPresence": "bii t",
    "SendMessage": "bb m",
    "SendPresence": "s t",
    "Stop": " t",
    "Upload": "bi m",
}
# All but history, customers' presence, groups, newsletters and calls. Source: the library's table of events.
_EVENTS: Final = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 24, 26, 27, 44, 45])


class _Bytes(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class _Proxy(ctypes.Structure):
    _fields_ = [
        ("address", ctypes.c_char_p),
        ("not_websocket", ctypes.c_bool),
        ("only_login", ctypes.c_bool),
        ("not_media", ctypes.c_bool),
    ]


_OnText = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_OnEvent = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
_OnLog = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
_RESULTS: Final = {"m": ctypes.POINTER(_Bytes), "t": ctypes.c_void_p, "o": ctypes.c_bool}


class Hears(Protocol):
    """Called by the library on threads of its own; what it says waits while a call lasts."""

    def qr(self, text: bytes) -> None: ...

    def event(self, code: int, data: bytes) -> None: ...

    def log(self, source: str, words: str) -> None: ...


class Library:
    """The library's program. Loaded once per process; several clients may share it."""

    def __init__(self, program: str) -> None:
        self._program = ctypes.CDLL(program)
        for name, signature in FUNCTIONS.items():
            getattr(self._program, name).restype = _RESULTS[signature[-1]]
        self._program.FreeBytesStruct.argtypes = [ctypes.POINTER(_Bytes)]
        self._program.FreeString.argtypes = [ctypes.c_void_p]
        self._program.Neonize.restype = ctypes.c_void_p
        self._program.GetVersion.restype = ctypes.c_char_p
        self._held: list[object] = []  # what the library calls back must never be collected

    def version(self) -> bytes:
        return self._program.GetVersion()

    def run(self, client: bytes, store: bytes, props: bytes, jid: bytes, proxy: bytes, hears: Hears) -> bytes:
        """Run a client until it is stopped; return what went wrong, if anything. Blocks this thread."""
        callbacks = _callbacks(hears)
        through = ctypes.byref(_Proxy(proxy, False, False, False)) if proxy else None
        self._held += [callbacks, through]
        # the log level decides what is logged; everything here rests on what is logged at DEBUG
        return self._text(
            self._program.Neonize(
                *(store, client, jid, ctypes.c_int(len(jid)), ctypes.c_int(0), b"DEBUG"),
                *(*callbacks, _EVENTS, ctypes.c_int(len(_EVENTS)), props, ctypes.c_int(len(props))),
                *(b"", ctypes.c_int(0), through),
            )
        )

    def call(self, client: bytes, name: str, arguments: Sequence[bytes]) -> bytes:
        """Call a function of a client. Raises LookupError or ValueError where it cannot be called like this."""
        signature, _, result = FUNCTIONS[name].partition(" ")
        if len(signature) != len(arguments):
            raise ValueError(f"{name} takes {len(signature)} arguments")
        values: list[object] = []
        for kind, argument in zip(signature, arguments, strict=True):
            values += [ctypes.c_int(int(argument))] if kind == "i" else [ctypes.c_char_p(argument)]
            values += [ctypes.c_int(len(argument))] if kind == "b" else []
        answer = getattr(self._program, name)(client, *values)
        return {"m": self._message, "t": self._text, "o": _truth}[result](answer)

    def _message(self, answer: Any) -> bytes:
        if not answer:
            return b""
        try:
            return ctypes.string_at(answer.contents.at, answer.contents.size) if answer.contents.at else b""
        finally:
            self._program.FreeBytesStruct(answer)

    def _text(self, answer: int | None) -> bytes:
        if not answer:
            return b""
        try:
            return ctypes.string_at(answer)
        finally:
            self._program.FreeString(answer)


def _truth(answer: bool) -> bytes:
    return b"\x01" if answer else b"\x00"


def _callbacks(hears: Hears) -> tuple[object, ...]:
    """Wrap what the library calls: it gives pointers that are its own, and copies are taken at once."""

    def on_qr(_: int, text: int) -> None:
        hears.qr(ctypes.string_at(text))

    def on_status(*_: int) -> None:
        """The same is heard as an event."""

    def on_event(_: bytes, at: int, size: int, code: int) -> None:
        hears.event(code, ctypes.string_at(at, size) if size else b"")

    def on_log(at: int, size: int) -> None:
        entry = fields(ctypes.string_at(at, size))
        hears.log(entry.get(3, b"").decode(), entry.get(1, b"").decode("utf-8", "replace"))

    return _OnText(sure(on_qr)), _OnText(on_status), _OnEvent(sure(on_event)), _OnLog(sure(on_log))


def sure(call: Callable[..., _Result]) -> Callable[..., _Result]:
    """End the process when a callback or a thread fails.

    Python and ctypes would go on: what must wait would be let go, and an account would stay online without a thread
    that sends.
    """

    def surely(*arguments: object) -> _Result:
        try:
            return call(*arguments)
        except BaseException as error:
            sys.stderr.write(f"\nfatal error: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            sys.stderr.flush()
            os._exit(DISK if isinstance(error, OSError) else 70)

    return surely
