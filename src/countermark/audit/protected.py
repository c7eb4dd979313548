"""Whether the data keys and ciphertexts that are there, and those that are not, agree with what the log says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from sys import intern
from typing import Any, Final

import orjson

from countermark.audit.findings import LogFinding, LogFindingKind
from countermark.audit.hold import Ledger, erased_by, is_custody
from countermark.audit.privacy import LEAST_BYTES, WRAPPED_BYTES, SealedField, Vault
from countermark.errors import AuditStoreDamaged, KeyUnavailable

_WITH_COMMITMENTS: Final = b'"protected":[{'
_COMMITMENT: Final = re.compile(rb'"commitment":"hmac-sha256:([0-9a-f]{64})","field":"(\w+)","key_id":"([0-9a-f]{32})"')


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


@dataclass(frozen=True, slots=True)
class Committed:
    """What one entry says of protected fields under its own data key: their names, and a commitment (32 bytes) each."""

    index: int
    fields: tuple[str, ...]
    commitments: bytes


def _commitments_fast(index: int, entry: bytes) -> tuple[str, Committed] | None:
    """Event id and commitments of :func:`own_fields`, without parsing canonical JSON as a whole."""
    start = entry.find(_WITH_COMMITMENTS)
    if start < 0:
        return None
    found = _COMMITMENT.findall(entry, start, entry.find(b"]", start))
    own = [(digest, name, key_id) for digest, name, key_id in found if b'"event_id":"%b"' % key_id in entry]
    if not own:
        return None
    names = tuple(intern(name.decode()) for _, name, _ in own)  # the same few texts a million times
    return own[0][2].decode(), Committed(index, names, bytes.fromhex(b"".join(digest for digest, *_ in own).decode()))


@dataclass
class Claims:
    """What a run of entries says of protected fields.

    ``committed``: by event id. ``erased``: the erasing entry's index by event id. ``custody``: index and bytes of the
    entries that place or release holds, or erase.
    """

    committed: dict[str, Committed] = field(default_factory=dict)
    erased: dict[str, int] = field(default_factory=dict)
    custody: list[tuple[int, bytes]] = field(default_factory=list)

    def read(self, index: int, entry: bytes) -> None:
        """Take one entry into account; entries must come in the log's order."""
        try:
            if is_custody(entry):
                self.custody.append((index, entry))
            for event_id in erased_by(entry):
                self.erased.setdefault(event_id, index)
            found = _commitments_fast(index, entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # changed by hand: as above
        if found:
            self.committed.setdefault(*found)  # a later entry of the same id is no event of this log

    def extend(self, later: Claims) -> None:
        """Take the entries that follow into account."""
        for event_id, said in later.committed.items():
            self.committed.setdefault(event_id, said)
        for event_id, index in later.erased.items():
            self.erased.setdefault(event_id, index)
        self.custody += later.custody


def check_protected(claims: Claims, keys: set[str], ciphertexts: set[tuple[str, str]]) -> list[LogFinding]:
    """Compare the entries' commitments and erasures with what is stored.

    Args:
        claims: those of the whole log.
        keys: the key ids of the data keys that are there.
        ciphertexts: ``(event_id, field)`` of the ciphertexts that are there.
    """
    findings = [
        finding
        for event_id, said in claims.committed.items()
        for finding in _judge(
            said.index, event_id, said.fields, erasing=claims.erased.get(event_id), keys=keys, ciphertexts=ciphertexts
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


def check_holds(claims: Claims, body_of: Callable[[int], bytes | None]) -> list[LogFinding]:
    """Erasures of what a hold kept at that time: the log never makes one, but whoever may append can.

    A hold of an earlier version that nobody can judge is left out. It keeps what it may mean from being erased today;
    what was erased then, when it kept nothing, accuses nobody.

    Args:
        claims: those of the whole log.
        body_of: the bytes of an entry.
    """
    ledger, findings = Ledger(), list[LogFinding]()
    for index, entry in claims.custody:
        try:
            now = orjson.loads(entry)["time"]
            for event_id in erased_by(entry):
                said = claims.committed.get(event_id)
                document = orjson.loads(body_of(said.index) or b"{}") if said else {}
                findings += [
                    LogFinding(
                        LogFindingKind.PROTECTED,
                        f"Entry {index} erased entry {said.index}, which the hold of entry {hold.index} kept.",
                        index,
                        index,
                    )
                    for hold in ledger.active(now)
                    if said and hold.is_plain and hold.covers(document)
                ]
            ledger.read(index, entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # changed by hand: whoever compares leaf hashes names it
    return findings


def check_opened(claims: Claims, vault: Vault | None, stored: Iterable[SealedField]) -> list[LogFinding]:
    """Open every ciphertext and compare it with its commitment; without a vault, look only at the lengths.

    Args:
        claims: those of the whole log.
        vault: the master keys at hand.
        stored: the ciphertexts, those of an event together.
    """
    findings: list[LogFinding] = []
    for event_id, fields in groupby(stored, key=lambda one: one.key.key_id):
        said = claims.committed.get(event_id)
        if said and event_id not in claims.erased:
            findings += [
                LogFinding(LogFindingKind.PROTECTED, f"Entry {said.index}: {message}", said.index, said.index)
                for message in _unopened(event_id, said, vault, list(fields))
            ]
    return findings


def _unopened(event_id: str, said: Committed, vault: Vault | None, stored: Sequence[SealedField]) -> Iterator[str]:
    """What is wrong with the data key and ciphertexts of one event."""
    key = stored[0].key
    if len(key.wrapped) != WRAPPED_BYTES or any(len(one.ciphertext) < LEAST_BYTES for one in stored):
        yield f"the stored data key or a ciphertext of event {event_id} was altered: it has another length."
        return
    if vault is None:
        return
    try:
        data_key = vault.unwrap(key)
    except (AuditStoreDamaged, KeyUnavailable) as error:
        yield _continued(error.message)
        return
    for one in stored:
        if one.field in said.fields:
            place = 32 * said.fields.index(one.field)
            commitment = "hmac-sha256:" + said.commitments[place : place + 32].hex()
            try:
                vault.open(event_id, data_key, one.field, commitment, one.ciphertext)
            except AuditStoreDamaged as error:
                yield _continued(error.message)


def _continued(message: str) -> str:
    """A sentence as it goes on after a colon."""
    return message[:1].lower() + message[1:]
