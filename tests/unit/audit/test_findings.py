"""The explanation of differences: each change named as what it is, alone and together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.audit.findings import LogFindingKind, explain, runs
from countermark.audit.tree import leaf_hash

LEAVES = [leaf_hash(b"%d" % i) for i in range(20)]
STRANGER = leaf_hash(b"never recorded")


def numbered(leaves: list[bytes]) -> list[tuple[int, bytes]]:
    return list(enumerate(leaves))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (numbered(LEAVES), []),
        (numbered([*LEAVES[:5], STRANGER, *LEAVES[6:]]), [("edited", 5, 5)]),
        (numbered(LEAVES[:5] + LEAVES[6:]), [("missing", 5, 5)]),
        ([row for row in enumerate(LEAVES) if row[0] not in (5, 6, 9)], [("missing", 5, 6), ("missing", 9, 9)]),
        (numbered([*LEAVES[:5], STRANGER, *LEAVES[5:]]), [("inserted", 5, 5)]),
        (numbered([*LEAVES, STRANGER]), [("inserted", 20, 20)]),
        (numbered([STRANGER, *LEAVES[1:]]), [("edited", 0, 0)]),
        (numbered(LEAVES[:18]), [("truncated", 18, 19)]),
        ([], [("truncated", 0, 19)]),
        (numbered([*LEAVES[:3], LEAVES[12], *LEAVES[3:12], *LEAVES[13:]]), [("reordered", 12, 12)]),
        ([(i + (i > 7), leaf) for i, leaf in enumerate(LEAVES)], [("reordered", 8, 8)]),
    ],
)
def test_names_the_change(stored: list[tuple[int, bytes]], expected: list[tuple[str, int, int]]) -> None:
    assert [(f.kind.value, f.index, f.last) for f in explain(stored, LEAVES)] == expected


def test_two_entries_exchanged_are_one_that_moved() -> None:
    swapped = [*LEAVES[:5], LEAVES[6], LEAVES[5], *LEAVES[7:]]
    (finding,) = explain(numbered(swapped), LEAVES)
    assert finding.kind is LogFindingKind.REORDERED
    assert finding.index in (5, 6)


@given(st.lists(st.sampled_from([*LEAVES, STRANGER]), max_size=30, unique=True))
@settings(max_examples=200, deadline=None)
def test_anything_but_the_recorded_sequence_has_findings(leaves: list[bytes]) -> None:
    assert bool(explain(numbered(leaves), LEAVES)) == (leaves != LEAVES)


def test_runs_joins_neighbours() -> None:
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
