"""An event's one true spelling: RFC 8785 canonical JSON, the bytes that are hashed into the tree.

orjson with sorted keys equals RFC 8785 exactly where there are no floats, no integers beyond 2**53 and only ASCII
keys; anything else is refused here, so that the fast path is always the right one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from countermark.errors import EventInvalid
from countermark.model import Event

MAX_ENTRY_BYTES: Final = 65_535
"""The longest entry that a tlog-tiles entry bundle can carry (16-bit length)."""
MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 7493 §2.2)."""
_PLAIN = frozenset({str, bool, type(None)})


def event_document(event: Event) -> dict[str, Any]:
    """The event as plain data, without the fields that are null."""
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)


def canonical_bytes(document: object) -> bytes:
    """Canonical JSON of plain data.

    Raises:
        EventInvalid: floats, large integers, keys that are not ASCII, lone surrogates, or too long.
    """
    _refuse_ambiguous(document, "event")
    try:
        body = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        raise EventInvalid(
            "The event holds text that is not valid Unicode.", remedy="Remove lone surrogates from its fields."
        ) from None
    if len(body) > MAX_ENTRY_BYTES:
        raise EventInvalid(f"The event takes {len(body):,} bytes.")
    return body


def is_canonical(document: object, body: bytes) -> bool:
    """Whether ``body``, of which ``document`` was read, is spelled as :func:`canonical_bytes` would, and not too long.

    A key that occurs twice, blanks, line breaks and other spellings of a number or a text are not, nor what an event
    never holds: fractions, nulls, large integers.
    """
    if len(body) > MAX_ENTRY_BYTES or orjson.dumps(document, option=orjson.OPT_SORT_KEYS) != body:
        return False
    return isinstance(document, dict) and (body.isascii() or _keys_are_ascii(document)) and _plain(document.values())


def _plain(values: Iterable[object]) -> bool:
    """Whether values are such as events hold. Looked at a million at a time: the commonest kind comes first."""
    for value in values:
        kind = type(value)
        if kind is str or kind is bool:
            continue
        if kind is int:
            plain = -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER  # type: ignore[operator]
        elif kind is dict:
            plain = _plain(value.values())  # type: ignore[attr-defined]
        else:
            plain = kind is list and _plain(value)  # type: ignore[arg-type]
        if not plain:
            return False
    return True


def _keys_are_ascii(value: object) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and _keys_are_ascii(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_keys_are_ascii, value))


def _refuse_ambiguous(value: object, where: str) -> None:
    """Raise where ``value`` has no single spelling. The message names the field, never its content."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is int:
        if abs(value) > MAX_SAFE_INTEGER:  # type: ignore[arg-type]
            raise EventInvalid(f"The integer at {where} is beyond 2**53.", remedy="Write large integers as strings.")
    elif kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or not key.isascii():
                raise EventInvalid(f"A key at {where} is not ASCII text.", remedy="Use ASCII keys.")
            if type(item) not in _PLAIN:
                _refuse_ambiguous(item, f"{where}.{key}")
    elif kind is list:
        for position, item in enumerate(value):  # type: ignore[arg-type]
            _refuse_ambiguous(item, f"{where}[{position}]")
    else:
        raise EventInvalid(
            f"The value at {where} is a {kind.__name__}, which has no single spelling in JSON.",
            remedy="Write fractions as parts per million and other values as strings.",
        )
