"""Whether the data keys and ciphertexts that are there, and those that are not, agree with what the log says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

from countermark.audit.findings import LogFinding, LogFindingKind
from countermark.audit.hold import Ledger

_WITH_COMMITMENTS: Final = b'"protected":[{'
_COMMITMENT: Final = re.compile(rb'"field":"(\w+)","key_id":"([0-9a-f]{32})"')


def own_fields(document: dict[str, Any]) -> tuple[str, ...]:
    """The protected fields under the event's own data key."""
    event_id = document.get("event_id")
    return tuple(c["field"] for c in document.get("protected") or () if c.get("key_id") == event_id)


def parse_protected(entry: bytes) -> dict[str, Any] | None:
    """The document of an entry that has protected fields of its own; ``None`` for every other."""
    if _WITH_COMMITMENTS not in entry:
        return None
    try:
        document = orjson.loads(entry)
        return document if own_fields(document) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # changed by hand: whoever compares leaf hashes names it


def _own_fields_fast(entry: bytes) -> tuple[str, tuple[str, ...]]:
    """Event id and protected fields as :func:`own_fields` has them, without parsing canonical JSON as a whole."""
    start = entry.find(_WITH_COMMITMENTS)
    if start < 0:
        return "", ()
    found = _COMMITMENT.findall(entry, start, entry.find(b"]", start))
    own = [(name, key_id) for name, key_id in found if b'"event_id":"%b"' % key_id in entry]
    return (own[0][1].decode(), tuple(name.decode() for name, _ in own)) if own else ("", ())


def check_protected(
    entries: Iterable[tuple[int, bytes]], keys: set[str], ciphertexts: set[tuple[str, str]]
) -> list[LogFinding]:
    """Compare the entries' commitments and erasures with what is stored.

    Args:
        entries: the whole log, in order.
        keys: the key ids of the data keys that are there.
        ciphertexts: ``(event_id, field)`` of the ciphertexts that are there.
    """
    ledger, expected = Ledger(), dict[str, tuple[int, tuple[str, ...]]]()
    for index, entry in entries:
        try:
            ledger.read(index, entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # changed by hand: as above
        event_id, fields = _own_fields_fast(entry)
        if fields:
            expected[event_id] = (index, fields)
    findings = [
        finding
        for event_id, (index, fields) in expected.items()
        for finding in _judge(
            index, event_id, fields, erased_by=ledger.erased.get(event_id), keys=keys, ciphertexts=ciphertexts
        )
    ]
    strays = len((keys | {event_id for event_id, _ in ciphertexts}) - expected.keys())
    if strays:
        message = f"The store holds data keys or ciphertexts of {strays} events that committed to none."
        findings.append(LogFinding(LogFindingKind.PROTECTED, message))
    return findings


def _judge(
    index: int,
    event_id: str,
    fields: tuple[str, ...],
    *,
    erased_by: int | None,
    keys: set[str],
    ciphertexts: set[tuple[str, str]],
) -> list[LogFinding]:
    there = [name for name in fields if (event_id, name) in ciphertexts]
    if erased_by is not None:
        if event_id not in keys and not there:
            return []
        message = (
            f"Entry {index} was erased by entry {erased_by}, but its data key or ciphertext is there: a crash left it"
            " or somebody brought it back. Opening the log for writing deletes it."
        )
        return [LogFinding(LogFindingKind.PROTECTED, message, index, index)]
    missing = ["data key"] if event_id not in keys else []
    missing += [f"ciphertext of '{name}'" for name in fields if name not in there]
    if not missing:
        return []
    message = f"Entry {index} lacks its {' and '.join(missing)}, and no erasure is recorded."
    return [LogFinding(LogFindingKind.PROTECTED, message, index, index)]
