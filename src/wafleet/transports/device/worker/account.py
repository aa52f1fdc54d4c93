"""One client of the library: its calls, what it says, and the two rules that nothing may break.

- A message of ours is in the journal before it leaves.
- A message of a customer is not acknowledged to WhatsApp before our side has stored it.

Both rest on the library's log: it is written in the thread that sends, before the frame goes out, and the library
waits until it is written.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from .gate import Gate
from .library import FUNCTIONS, Library, sure
from .line import LIMIT, Kind
from .reading import MESSAGE, UNDECRYPTABLE, fields, message_id, stanza
from .store import Journal, Spool

GAP_S: Final = 0.05  # between two sends; closer ones race inside the library and lose messages (measured)
_UNSTORED: Final = 64  # events; with more, the library is kept from reading its socket
_AT_ONCE: Final = 8  # calls, beside the sends
_LARGEST: Final = LIMIT - 1024  # bytes of an answer
_CONNECTED: Final = 3  # event code
_NOTICED: Final = ("<failure", "<stream:error", "<ib")

Tell = Callable[..., None]  # kind, fields ...


class _Call:
    """One call of our side that is under way."""

    __slots__ = ("arguments", "cancelled", "name", "named", "number", "ref", "thread")

    def __init__(self, number: int, ref: str, name: str, arguments: list[bytes]) -> None:
        self.number, self.ref, self.name, self.arguments = number, ref, name, arguments
        self.thread, self.named, self.cancelled = 0, "", False


class Account:
    """One client of the library.

    door  held while a client starts: the library writes to a table then that every call reads
    """

    def __init__(
        self, number: int, folder: Path, proxy: bytes, *, library: Library, door: threading.Lock, tell: Tell
    ) -> None:
        self._client, self._folder, self._proxy = str(number).encode(), folder, proxy
        self._library, self._door, self._tell = library, door, tell
        self._journal, self._spool = Journal(folder), Spool(folder)
        self._gate = Gate(self._swallowed, self._full)
        self._gate.begin(self._spool.ids(MESSAGE))
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._sending: _Call | None = None
        self._sends: SimpleQueue[_Call] = SimpleQueue()
        self._passed, self._ready, self._returned = threading.Event(), threading.Event(), threading.Event()
        self._connected = False
        self.heard_at = 0.0

    # What our side asks for

    def connect(self, props: bytes, jid: bytes) -> None:
        _start(self._run, props, jid)
        _start(self._send_all)

    def call(self, number: int, ref: str, name: str, arguments: list[bytes]) -> None:
        """Begin a call; its answer is told."""
        call = _Call(number, ref, name, arguments)
        if name not in FUNCTIONS or not self._ready.is_set() or len(self._calls) >= _AT_ONCE:
            self._tell(Kind.UNABLE, number, f"{name} cannot be called now")
            return
        self._calls[number] = call
        if name == "SendMessage":
            self._sends.put(call)
        else:
            _start(self._do, call)

    def cancel(self, number: int) -> None:
        """Keep a message from leaving. One that has its name by now is left alone: our side was told the name."""
        with self._lock:
            call = self._calls.get(number)
            if call is None or call.named:
                return
            call.cancelled = True
        self._tell(Kind.CANCELLED, number)

    def stored(self, ids: list[str]) -> None:
        self._spool.drop(ids)
        for id in ids:
            self._gate.stored(id)

    def stop(self) -> None:
        """Disconnect; return when the library's main call has ended. Before a phone is linked it never does."""
        if self._ready.is_set():
            self._library.call(self._client, "Stop", [])
            self._returned.wait()
            self._gate.open()

    # The library's threads

    def qr(self, text: bytes) -> None:
        self._ready.set()
        self._tell(Kind.QR, text)

    def event(self, code: int, data: bytes) -> None:
        if code == _CONNECTED:
            self._ready.set()
            self._connected = True
        if code not in {MESSAGE, UNDECRYPTABLE}:
            self._gate.counted()
            self._tell(Kind.EVENT, code, 0, data)
            return
        self._tell(Kind.EVENT, code, self._spool.add(code, data), data)
        self._gate.handed_over(message_id(data), whole=code == MESSAGE)
        if self._connected:
            self._spool.wait_for_room(_UNSTORED)

    def _full(self) -> bool:
        """Tell whether no more is taken now. Until connected, all is: nobody stores before the session is open."""
        return self._connected and self._spool.full(_UNSTORED)

    def log(self, source: str, words: str) -> None:
        self._passed.set()
        if source.endswith("/Recv"):
            self._received(words)
        elif source.endswith("/Send"):
            self._leaving(words)

    def _received(self, xml: str) -> None:
        self.heard_at = time.monotonic()
        if xml.startswith("<message"):
            head = stanza(xml).attributes
            self._gate.came(head.get("id", ""), head.get("from", ""))
        elif xml.startswith(_NOTICED) or (xml.startswith("<notification") and "passkey" in xml[:500]):
            self._tell(Kind.NOTICED, xml)

    def _leaving(self, xml: str) -> None:
        """Run before a frame goes out, in the thread that sends it."""
        tag, head = stanza(xml)
        if tag == "message":
            self._name(head.get("id", ""))
        elif tag == "receipt" and head.get("type") == "retry":
            return  # it asks for the message once more, and says nothing of its having arrived
        elif tag == "receipt" or (tag == "ack" and head.get("class") == "message"):
            self._gate.hold(head.get("id", ""))

    def _name(self, id: str) -> None:
        call = self._sending
        if call is None or call.named or not call.ref or call.thread != threading.get_ident():
            return  # the library's own: keys for our other devices, answers to whoever could not decrypt
        with self._lock:
            if call.cancelled:  # our side counts on its never having left
                sys.stderr.write("fatal error: a cancelled message was about to leave\n")
                os._exit(71)
            call.named = id
        self._journal.leaves(call.ref, id)
        self._tell(Kind.NAMED, call.number, call.ref, id)

    def _swallowed(self, id: str, sender: str) -> None:
        self._tell(Kind.SWALLOWED, id, sender)

    # Our own threads

    def _run(self, props: bytes, jid: bytes) -> None:
        store = str(self._folder / "session.db").encode()
        with self._door:
            _start(self._main_call, store, props, jid)
            self._passed.wait(5)
        # whoever waits at the door waited for the client to be in the library's table: it logs only after that

    def _main_call(self, store: bytes, props: bytes, jid: bytes) -> None:
        error = self._library.run(self._client, store, props, jid, self._proxy, self)
        self._passed.set()
        self._tell(Kind.RETURNED, error)
        self._returned.set()  # last: the process may end at once

    def _send_all(self) -> None:
        while True:
            call = self._sends.get()
            with self._lock:
                if call.cancelled:
                    self._calls.pop(call.number, None)
                    continue
                call.thread, self._sending = threading.get_ident(), call
            self._do(call)
            self._sending = None
            time.sleep(GAP_S)

    def _do(self, call: _Call) -> None:
        with self._door:
            pass  # nobody is starting
        try:
            answer = self._library.call(self._client, call.name, call.arguments)
        except (LookupError, ValueError) as e:
            self._tell(Kind.UNABLE, call.number, str(e))
        else:
            self._note(call, answer)
            self._answered(call, answer)
        finally:
            self._calls.pop(call.number, None)

    def _answered(self, call: _Call, answer: bytes) -> None:
        if len(answer) > _LARGEST:  # a file may be larger than its sender says
            self._tell(Kind.UNABLE, call.number, f"the answer is too large: {len(answer)} bytes")
        else:
            self._tell(Kind.ANSWER, call.number, answer)

    def _note(self, call: _Call, answer: bytes) -> None:
        if call.named and (error := fields(answer).get(1)):
            self._journal.failed(call.ref, error.decode("utf-8", "replace"))
        elif call.named:
            self._journal.taken(call.ref, call.named)


def _start(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=sure(work), args=arguments, daemon=True).start()
