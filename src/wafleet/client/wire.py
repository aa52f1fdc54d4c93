"""Requests and answers: paths filled in, answers read as types, problems raised, safe repeats repeated."""

import re
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import quote

import httpx
import msgspec

from wafleet.client.errors import ApiError, no_answer, problem_of

T = TypeVar("T")

PREFIX: Final = "/api/v1"
TRIES: Final = 3
PAUSES_S: Final = (0.2, 1.0)  # before the second and the third try
PATIENCE_S: Final = 5.0  # what a server may ask to wait before it is told as a problem
BUSY: Final = frozenset({429, 502, 503, 504})
REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})
_NAMED: Final = re.compile(r"\{(\w+)\}")


class Wire:
    """One connection to a wafleet; close it, or use it as a context.

    tenant       narrows every request to one tenant, by id or name; for tokens that reach the whole fleet
    transport    in place of the network: for tests
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        tenant: str | None = None,
        timeout_s: float = 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            params={"tenant": tenant} if tenant else {},
            timeout=timeout_s,
            transport=transport,
            verify=_authorities(self.url),
            trust_env=not _is_local(self.url),  # a proxy has no business between programs of one machine
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, kind: type[T], operation: str, /, *, body: object = None, key: str | None = None, **given: Any) -> T:
        """Do one operation and read its answer as `kind`.

        operation   "POST /messages/{message}/cancel"
        key         makes a POST safe to repeat: wafleet takes the same key as the same request
        given       what the path names goes into the path, the rest that is not None into the query
        """
        reply = self._send(operation, body=body, key=key, given=given)
        try:
            return msgspec.json.decode(reply.content, type=kind)
        except msgspec.MsgspecError as error:
            sentence = f"The answer to {operation} is not understood ({error}): use the client of the same version"
            raise ApiError(sentence, status=reply.status_code, code="bad_answer") from error

    def _tell(self, operation: str, /, *, body: object = None, **given: Any) -> None:
        """Do one operation that has no answer."""
        self._send(operation, body=body, key=None, given=given)

    def _fetch(self, operation: str, /, **given: Any) -> bytes:
        """Do one operation whose answer is no JSON."""
        return self._send(operation, body=None, key=None, given=given).content

    def _give(self, kind: type[T], operation: str, /, *, content: bytes, mime: str, **given: Any) -> T:
        """Do one operation whose body is a file, and read its answer as `kind`; a file given twice is one file."""
        method, path = operation.split(" ", 1)
        query = {name: _written(value) for name, value in given.items() if value is not None}
        request = self._http.build_request(
            method, PREFIX + path, params=query, content=content, headers={"Content-Type": mime}
        )
        return msgspec.json.decode(self._try(request, repeatable=True).content, type=kind)

    def _send(self, operation: str, *, body: object, key: str | None, given: Mapping[str, Any]) -> httpx.Response:
        method, path = operation.split(" ", 1)
        names = set(_NAMED.findall(path))
        filled = _NAMED.sub(lambda found: quote(str(given[found[1]]), safe=""), path)
        request = self._http.build_request(
            method,
            PREFIX + filled,
            params={name: _written(value) for name, value in given.items() if name not in names and value is not None},
            content=None if body is None else msgspec.json.encode(body),
            headers={
                **({"Content-Type": "application/json"} if body is not None else {}),
                **({"Idempotency-Key": key} if key is not None else {}),
            },
        )
        return self._try(request, repeatable=method in REPEATABLE or key is not None)

    def _try(self, request: httpx.Request, *, repeatable: bool) -> httpx.Response:
        """Send a request, again where that can do no harm: what a crash cut off may have been done."""
        for again in (*PAUSES_S, None):
            wait, failure = again, None
            try:
                reply = self._http.send(request)
                if reply.is_success:
                    return reply
                failure = problem_of(reply)
                if reply.status_code not in BUSY or not (repeatable or reply.status_code == 429):
                    raise failure
                wait = again and max(again, failure.retry_after_s or 0)
            except httpx.ConnectError as error:
                raise no_answer(self.url, error) from error
            except httpx.TransportError as error:
                failure = no_answer(self.url, error)
                if not repeatable:
                    raise failure from error
            if wait is None or wait > PATIENCE_S:
                raise failure
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")


def _written(value: object) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [str(one) for one in cast("Sequence[object]", value)]
    return str(value)


def _is_local(url: str) -> bool:
    return httpx.URL(url).host in {"localhost", "127.0.0.1", "::1"}


def _authorities(url: str) -> ssl.SSLContext | bool:
    """Whom to trust. Reading the list takes longer than most requests, and plain HTTP has no use for it."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
