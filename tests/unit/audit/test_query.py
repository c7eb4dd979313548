"""Looking things up: the bitmaps, the SQL condition and the plain test of an entry agree, whatever is asked."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, index_row
from countermark.audit.stores.sqlite_postings import (
    BLOCK,
    FILTERS,
    POSTING_TABLE,
    add_postings,
    differing,
    postings_of,
    search_postings,
    stored_postings,
)
from countermark.errors import UsageError

ENTRIES = 2 * BLOCK + 700
WORDS = ["violence", "graphic", "Größe", "under_score", "100%", "the"]


def document(number: int, dice: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {
        "event_id": f"{number:032x}",
        # Mostly in order, as clocks of several writers are.
        "time": f"2026-{1 + number // 1000:02d}-{1 + dice.randrange(28):02d}T00:00:00.000Z",
        "type": dice.choice(["generation.released", "generation.refused"]),
        "tenant": dice.choice(["a", "b", "tenant=a", "ä"]),
        "attempt": "1",
    }
    if dice.random() < 0.8:
        made |= {"model": {"id": dice.choice("xy")}, "policy": {"id": dice.choice(["p", "pp"]), "version": "1"}}
        made |= {"actor": {"pseudonym": str(dice.randrange(50))}, "decision": dice.choice(["allow", "block"])}
    if dice.random() < 0.3:
        made["reasons"] = [" ".join(dice.sample(WORDS, 2)), dice.choice(WORDS)]
        made["checks"] = [{"category": c, "severity": dice.choice([0, 4])} for c in ("violence", "hate")]
    return made


@pytest.fixture(scope="module")
def rows() -> list[IndexRow]:
    dice = random.Random(7)
    return [index_row(document(number, dice)) for number in range(ENTRIES)]


@pytest.fixture(scope="module")
def store(rows: list[IndexRow]) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE event_index (seq INTEGER PRIMARY KEY, {', '.join(INDEX_COLUMNS)})")
    connection.execute(POSTING_TABLE)
    values = ", ".join("?" * (1 + len(INDEX_COLUMNS)))
    connection.executemany(f"INSERT INTO event_index VALUES ({values})", [(i, *row) for i, row in enumerate(rows)])
    for start in range(0, ENTRIES, 331):  # batches that cross the borders of blocks
        add_postings(connection, list(enumerate(rows))[start : start + 331])
    yield connection
    connection.close()


CHOICES: dict[str, list[Any]] = {
    "type": ["generation.released", "generation.refused", "nothing"],
    "tenant": ["a", "tenant=a", "ä", "c"],
    "actor": ["3", "49", "50"],
    "decision": ["allow", "block"],
    "category": ["violence", "hate", "violence "],
    "model": ["x", "z"],
    "policy": ["p", "p@1", "pp", "p@2"],
    "text": ["violence", "GRAPHIC violence", "größe", "under score", "under_score", "100", "vio"],
    "since": ["2026-01-15", "2026-04", "2027"],
    "until": ["2026-05", "2026-08-20T00:00:00.000Z", "2025"],
    "before": [0, 1, BLOCK, BLOCK + 1, 5000, ENTRIES, 10**6],
}


def test_what_can_be_asked_is_what_is_tested() -> None:
    assert set(CHOICES) == FILTERS


@pytest.mark.parametrize("seed", range(60))
def test_bitmaps_sql_and_entries_agree(seed: int, rows: list[IndexRow], store: sqlite3.Connection) -> None:
    dice = random.Random(seed)
    conditions = {name: dice.choice(CHOICES[name]) for name in dice.sample(sorted(CHOICES), dice.randint(1, 4))}
    wanted = Filter(**conditions)
    before = wanted.before if wanted.before is not None else ENTRIES
    expected = [i for i in range(min(before, ENTRIES) - 1, -1, -1) if wanted.matches(rows[i])]
    condition, values = wanted.where()
    query = f"SELECT seq FROM event_index WHERE {condition} ORDER BY seq DESC"
    assert [seq for (seq,) in store.execute(query, values)] == expected
    if conditions.keys() - {"before"}:
        assert search_postings(store, wanted, -1) == expected
        assert search_postings(store, wanted, 7) == expected[:7]


def test_pages_follow_each_other_without_gap_or_repeat(store: sqlite3.Connection) -> None:
    everything = search_postings(store, Filter(tenant="a"), -1)
    paged: list[int] = []
    while page := search_postings(store, Filter(tenant="a", before=paged[-1] if paged else None), 97):
        paged += page
    assert paged == everything


def test_postings_written_in_batches_equal_postings_of_the_whole(
    rows: list[IndexRow], store: sqlite3.Connection
) -> None:
    whole = postings_of(enumerate(rows))
    stored = stored_postings(store, 0, ENTRIES)
    assert stored == whole
    assert differing(whole, stored) == []


def test_only_severities_above_zero_are_categories_and_words_are_folded() -> None:
    row = index_row(
        {
            **dict.fromkeys(("event_id", "time", "type", "tenant", "attempt"), "x"),
            "checks": [{"category": "hate", "severity": 0}, {"category": "violence", "severity": 2}],
            "reasons": ["Straße, straße!", "ONE"],
        }
    )
    assert row[INDEX_COLUMNS.index("categories")] == " violence "
    assert row[INDEX_COLUMNS.index("words")] == " one strasse "


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(UsageError):
        Filter(text=" – ")
