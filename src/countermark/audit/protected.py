"""Whether the data keys and ciphertexts that are there, and those that are not, agree with what the log says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from countermark.audit.findings import LogFinding, LogFindingKind
from countermark.audit.hold import erased_by

_WITH_COMMITMENTS: Final = b'"protected":[{'
_COMMITMENT: Final = re.compile(rb'"field":"(\w+)","key_id":"([0-9a-f]{32})"')


def own_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
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


@dataclass
class Claims:
    """What a run of entries says of protected fields.

    ``committed``: index and fields by event id. ``erased``: the erasing entry's index by event id.
    """

    committed: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    erased: dict[str, int] = field(default_factory=dict)

    def read(self, index: int, entry: bytes) -> None:
        """Take one entry into account; entries must come in the log's order."""
        try:
            for event_id in erased_by(entry):
                self.erased.setdefault(event_id, index)
            event_id, fields = _own_fields_fast(entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # changed by hand: as above
        if fields:
            self.committed[event_id] = (index, fields)

    def extend(self, later: Claims) -> None:
        """Take the entries that follow into account."""
        self.committed |= later.committed
        self.erased = later.erased | self.erased


def check_protected(claims: Claims, keys: set[str], ciphertexts: set[tuple[str, str]]) -> list[LogFinding]:
    """Compare the entries' commitments and erasures with what is stored.

    Args:
        claims: those of the whole log.
        keys: the key ids of the data keys that are there.
        ciphertexts: ``(event_id, field)`` of the ciphertexts that are there.
    """
    findings = [
        finding
        for event_id, (index, fields) in claims.committed.items()
        for finding in _judge(
            index, event_id, fields, erasing=claims.erased.get(event_id), keys=keys, ciphertexts=ciphertexts
        )
    ]
    strays = len((keys | {event_id for event_id, _ in ciphertexts}) - claims.committed.keys())
    if strays:
        message = f"The store holds data keys or ciphertexts of {strays} events that committed to none."
        findings.append(LogFinding(LogFindingKind.PROTECTED, message))
    return findings


def _judge(
    index: int,
    event_id: str,
    fields: tuple[str, ...],
    *,
    erasing: int | None,
    keys: set[str],
    ciphertexts: set[tuple[str, str]],
) -> list[LogFinding]:
    there = [name for name in fields if (event_id, name) in ciphertexts]
    if erasing is not None:
        if event_id not in keys and not there:
            return []
        message = (
            f"Entry {index} was erased by entry {erasing}, but its data key or ciphertext is there: a crash left it"
            " or somebody brought it back. Opening the log for writing deletes it."
        )
        return [LogFinding(LogFindingKind.PROTECTED, message, index, index)]
    missing = ["data key"] if event_id not in keys else []
    missing += [f"ciphertext of '{name}'" for name in fields if name not in there]
    if not missing:
        return []
    message = f"Entry {index} lacks its {' and '.join(missing)}, and no erasure is recorded."
    return [LogFinding(LogFindingKind.PROTECTED, message, index, index)]
