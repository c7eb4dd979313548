"""Looking things up: the index, the SQL condition and the plain test of an entry agree, whatever is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from zlib import crc32

import pytest
from tests.look_up_rows import CHOICES, ENTRIES, asked, documents

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, index_row
from countermark.audit.stores.postings import BLOCK, FILTERS
from countermark.audit.stores.sqlite_locators import LOCATED
from countermark.audit.stores.sqlite_lookups import INDEX_SCHEMA, add_look_ups, misfiled, search
from countermark.errors import UsageError

LEAF = bytes(32)


@pytest.fixture(scope="module")
def rows() -> list[IndexRow]:
    return [index_row(document) for document in documents()]


@pytest.fixture(scope="module")
def store(rows: list[IndexRow]) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(INDEX_SCHEMA)
    for start in range(0, ENTRIES, 331):  # batches that cross the borders of blocks
        add_look_ups(connection, [(index, LEAF, rows[index]) for index in range(ENTRIES)[start : start + 331]])
    yield connection
    connection.close()


def test_what_can_be_asked_is_what_is_tested() -> None:
    assert set(CHOICES) == FILTERS | {*LOCATED, "event_id"} == {field.name for field in fields(Filter)}


@pytest.mark.parametrize("seed", range(120))
def test_index_sql_and_entries_agree(seed: int, rows: list[IndexRow], store: sqlite3.Connection) -> None:
    wanted = asked(seed)
    before = wanted.before if wanted.before is not None else ENTRIES
    expected = [i for i in range(min(before, ENTRIES) - 1, -1, -1) if wanted.matches(rows[i])]
    condition, values = wanted.where()
    query = f"SELECT seq FROM event_index WHERE {condition} ORDER BY seq DESC"
    assert [seq for (seq,) in store.execute(query, values)] == expected
    assert search(store, wanted, -1) == expected
    assert search(store, wanted, 7) == expected[:7]
    assert search(store, wanted, 0) == []


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_no_look_up_reads_the_whole_index(name: str, store: sqlite3.Connection) -> None:
    queries: list[str] = []
    store.set_trace_callback(queries.append)
    search(store, Filter(**{name: CHOICES[name][0]}), 5)
    store.set_trace_callback(None)
    assert queries
    for query in queries:
        steps = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert all(step.startswith("SEARCH") for step in steps), f"{query}: {steps}"


def test_pages_follow_each_other_without_gap_or_repeat(store: sqlite3.Connection) -> None:
    everything = search(store, Filter(tenant="a"), -1)
    paged: list[int] = []
    while page := search(store, Filter(tenant="a", before=paged[-1] if paged else None), 97):
        paged += page
    assert paged == everything


def test_what_was_indexed_in_batches_is_what_verification_expects(
    rows: list[IndexRow], store: sqlite3.Connection
) -> None:
    assert misfiled(store, 0, [(LEAF, row) for row in rows]) == set()
    assert misfiled(store, BLOCK, [(LEAF, row) for row in rows[BLOCK:]]) == set()
    lie = (*rows[BLOCK][:1], "2031", *rows[BLOCK][2:])
    assert misfiled(store, 0, [(LEAF, row) for row in (*rows[:BLOCK], lie, *rows[BLOCK + 1 :])]) == {BLOCK}


def test_values_with_one_hash_are_told_apart(rows: list[IndexRow]) -> None:
    one, other = "plumless", "buckeroo"
    assert crc32(one.encode()) == crc32(other.encode()), "a well-known pair"
    place = INDEX_COLUMNS.index("attempt")
    alike = [(*row[:place], other if index % 2 else one, *row[place + 1 :]) for index, row in enumerate(rows[:BLOCK])]
    connection = sqlite3.connect(":memory:")
    connection.executescript(INDEX_SCHEMA)
    add_look_ups(connection, [(index, LEAF, row) for index, row in enumerate(alike)])
    assert search(connection, Filter(attempt=one), -1) == list(range(BLOCK - 2, -1, -2))
    assert search(connection, Filter(attempt=other, tenant="c"), -1) == []
    connection.close()


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
