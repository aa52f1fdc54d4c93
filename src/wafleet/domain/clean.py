"""What a customer's phone may send and PostgreSQL cannot hold."""

import re
from typing import Any, Final, cast

import msgspec

REPLACED: Final = "\ufffd"  # so that a reader sees that something stood there
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace NUL characters and lone surrogates by U+FFFD: PostgreSQL refuses the first, UTF-8 the second."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub(REPLACED, text)


def json_of(value: object) -> str:
    """Write a value as JSON that PostgreSQL takes; its texts are cleaned as `clean` does."""
    try:
        written = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_cleaned(msgspec.to_builtins(value))).decode()
    if "\\u0000" in written:
        return msgspec.json.encode(_cleaned(msgspec.to_builtins(value))).decode()
    return written


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in cast("list[Any]", value)]
    return value
