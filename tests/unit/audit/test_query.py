"""Looking things up: the index, the SQL condition and the plain test of an entry agree, whatever is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from zlib import crc32

import pytest
from tests.look_up_rows import CHOICES, ENTRIES, asked, documents

from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, checked_conditions, comparable_time, index_row
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


# --- what can be asked sensibly ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_for", "compared"),
    [
        ("2026", "2026"),
        ("2026-11", "2026-11"),
        ("2024-02-29", "2024-02-29"),
        ("2026-11-22T10", "2026-11-22T10"),
        ("2026-11-22T10:00:00.1", "2026-11-22T10:00:00.1"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T10:00:00.1Z", "2026-11-22T10:00:00.100Z"),
        ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123Z"),
    ],
)
def test_a_time_is_compared_as_events_write_it(asked_for: str, compared: str) -> None:
    assert comparable_time(asked_for, "since") == compared


def test_a_whole_second_includes_its_milliseconds() -> None:
    row = index_row(
        {**dict.fromkeys(("event_id", "type", "tenant", "attempt"), "x"), "time": "2026-11-22T10:00:00.500Z"}
    )
    for name, met in (("since", True), ("until", False)):
        given = checked_conditions({name: "2026-11-22T10:00:00Z"})  # as it stands, "Z" would sort behind ".500Z"
        assert Filter(**given).matches(row) is met


@pytest.mark.parametrize(
    "text",
    ["", "garbage", "yesterday", "12/31/2030", "20", "202", "2026-1", "2026-13", "2026-02-30", "2026-11-22 10",
     "2026-11-22T25", "2026-11-22T10:00+01:00", "2026-11-22T10:00Z", "2026Z", "2026-11-22T10:00:00.1234Z", "0000",
     "２０２６", "2026\n", " 2026"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="since"):
        checked_conditions({"since": text})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("type", ["generation.released", "hold"], ["generation.relased", "RELEASED", ""]),
        ("decision", ["allow"], ["allowed", ""]),
        ("category", ["violence"], ["nope", "violence "]),
        ("actor", ["ab" * 16], ["alice", "AB" * 16, "ab" * 15, ""]),
        ("event_id", ["0" * 32], ["5"]),
        ("output_sha256", ["0" * 64], ["0" * 63, "g" * 64]),
        ("manifest_sha256", ["0" * 64], ["0" * 32]),
        ("watermark_payload", ["0" * 12], ["0x1"]),
        ("tenant", ["acme", ""], []),
        ("model", ["example/tiny"], [""]),
        ("text", ["one"], ["–", ""]),
        ("before", [0, 7], [-1]),
        ("colour", [], ["red"]),
    ],
)
def test_a_condition_that_no_event_could_meet_is_refused(name: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert checked_conditions({name: value}) == {name: value}
    for value in bad:
        with pytest.raises(UsageError):
            checked_conditions({name: value})


def test_a_range_without_any_time_is_refused_and_what_is_not_asked_does_not_matter() -> None:
    for since, until in (
        ("2026-11", "2026-11"),
        ("2026-12", "2026-11-30"),
        ("2026", "2026-01"),
        ("2026-11-22T10:00:00Z", "2026-11-22"),
    ):
        with pytest.raises(UsageError, match="no time from"):
            checked_conditions({"since": since, "until": until})
    assert checked_conditions({"since": "2026-11", "until": "2026-11-01T01", "type": None}) == {
        "since": "2026-11",
        "until": "2026-11-01T01",
    }
