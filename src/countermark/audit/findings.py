"""What a verification of the whole log says, and the explanation of how stored entries differ from expected ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class LogFindingKind(StrEnum):
    """What is wrong."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    TREE = "tree"
    CHECKPOINT = "checkpoint"
    ROLLBACK = "rollback"
    REWRITTEN = "rewritten"
    UNSIGNED = "unsigned"
    UNWITNESSED = "unwitnessed"
    INVALID = "invalid"
    INDEX = "index"
    PROTECTED = "protected"
    STORE = "store"


@dataclass(frozen=True)
class LogFinding:
    """One thing that is wrong, in a plain sentence; ``index`` to ``last`` are the entries it is about, where known."""

    kind: LogFindingKind
    message: str
    index: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class VerifyReport:
    """The outcome of a full verification.

    ``size`` and ``root`` (32 bytes) are those of the entries as they stand. ``compared`` names what they were compared
    with; what is not named there was not looked at, such as a checkpoint kept elsewhere. ``not_compared`` says what
    should have been and could not be, a sentence each.
    """

    origin: str
    verifier_key: str
    size: int
    root: bytes
    compared: tuple[str, ...]
    findings: tuple[LogFinding, ...]
    not_compared: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


_SENTENCES = {
    LogFindingKind.EDITED: ("Entry {} was changed after it was recorded.", "Entries {} to {} were changed."),
    LogFindingKind.MISSING: ("Entry {} was removed.", "Entries {} to {} were removed."),
    LogFindingKind.INSERTED: (
        "The entry stored as {} was never recorded: it was put in later.",
        "The entries stored as {} to {} were never recorded: they were put in later.",
    ),
    LogFindingKind.TRUNCATED: (
        "The log was cut: its last entry, {}, is gone.",
        "The log was cut: its last entries, {} to {}, are gone.",
    ),
}


def located(kind: LogFindingKind, first: int, last: int) -> LogFinding:
    """A finding about one entry or an unbroken run of them."""
    one, many = _SENTENCES[kind]
    return LogFinding(kind, one.format(first) if first == last else many.format(first, last), first, last)


def span(first: int, last: int) -> str:
    """``entry 5`` or ``entries 5 to 9``."""
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def twins(one: int, other: int) -> str:
    """That two entries bear the same event id."""
    first, second = sorted((one, other))
    return (
        f"Entries {first} and {second} bear the same event id, which the log never allows: only somebody who has its"
        f" key recorded entry {second}."
    )


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted numbers as unbroken runs, ``(first, last)`` each."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def explain(stored: Sequence[tuple[int, bytes]], expected: Sequence[bytes]) -> list[LogFinding]:
    """Name the entries in which a log differs from its recorded leaf hashes, and how.

    Args:
        stored: ``(number, leaf hash)`` of the entries as they stand, in stored order.
        expected: the leaf hashes as recorded, by index. Every entry has a nonce, so hashes do not repeat.

    The longest run of entries that kept their order is taken as unmoved; the rest is what changed.
    """
    place = {leaf: index for index, leaf in enumerate(expected)}
    positions = [(at, place[leaf]) for at, (_, leaf) in enumerate(stored) if leaf in place]
    unmoved = _longest_increasing(positions)
    present = {index for _, index in positions}
    edited, missing, inserted = [], [], []
    anchors = [(-1, -1), *unmoved, (len(stored), len(expected))]
    for (at, index), (next_at, next_index) in pairwise(anchors):
        unknown = [stored[i][0] for i in range(at + 1, next_at) if stored[i][1] not in place]
        gone = [i for i in range(index + 1, next_index) if i not in present]
        pairs = min(len(unknown), len(gone))
        edited += gone[:pairs]
        missing += gone[pairs:]
        inserted += unknown[pairs:]
    findings = [located(LogFindingKind.EDITED, *run) for run in runs(edited)]
    findings += [_missing(first, last, len(expected)) for first, last in runs(missing)]
    findings += [located(LogFindingKind.INSERTED, *run) for run in runs(inserted)]
    findings += _moved(stored, positions, unmoved)
    if not findings:
        findings += _renumbered(stored, unmoved)
    return sorted(findings, key=lambda finding: finding.index or 0)


def _missing(first: int, last: int, size: int) -> LogFinding:
    kind = LogFindingKind.TRUNCATED if last == size - 1 else LogFindingKind.MISSING
    return located(kind, first, last)


def _moved(
    stored: Sequence[tuple[int, bytes]], positions: Sequence[tuple[int, int]], unmoved: Sequence[tuple[int, int]]
) -> list[LogFinding]:
    kept = set(unmoved)
    return [
        LogFinding(
            LogFindingKind.REORDERED,
            f"Entry {index} was moved: it is stored as {stored[at][0]}.",
            index,
            index,
        )
        for at, index in positions
        if (at, index) not in kept
    ]


def _renumbered(stored: Sequence[tuple[int, bytes]], unmoved: Sequence[tuple[int, int]]) -> list[LogFinding]:
    wrong = [(stored[at][0], index) for at, index in unmoved if stored[at][0] != index]
    return [
        LogFinding(LogFindingKind.REORDERED, f"Entry {index} is stored under the number {number}.", index, index)
        for number, index in wrong[:1]
    ]


def _longest_increasing(positions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence whose second members increase (patience sorting, O(n log n))."""
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for number, (_, index) in enumerate(positions):
        pile = bisect_left(tops, index)
        previous.append(ends[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(index)
            ends.append(number)
        else:
            tops[pile], ends[pile] = index, number
    chain = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(positions[number])
        number = previous[number]
    return chain[::-1]
