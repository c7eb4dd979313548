"""Looking things up in PostgreSQL: postings, rows and entries agree, whatever is asked and whoever wrote them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.look_up_rows import ENTRIES, LONG_WORD, asked, documents
from tests.postgres_server import Server

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")

import psycopg
from alembic import command

from countermark.audit import AuditLog, NoteSigner
from countermark.audit.canonical import canonical_bytes
from countermark.audit.query import Filter, IndexRow, columns_of, index_row
from countermark.audit.stores.postgres import schema
from countermark.audit.stores.postgres.connect import Connection, connect, parse_url
from countermark.audit.stores.postgres.look_ups import IndexWriter, beyond, misfiled, search
from countermark.audit.stores.postgres.reader import PostgresReader
from countermark.audit.stores.postings import BLOCK
from countermark.errors import AuditIndexUnusable
from countermark.model import Event

LEAF = bytes(32)
SIGNER = NoteSigner("look-ups.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
POSTINGS = "SELECT block, term, bits FROM posting ORDER BY block, term"


@pytest.fixture(scope="module")
def rows() -> list[IndexRow]:
    return [index_row(document) for document in documents()]


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> str:
    """A database with entries and their index, which three sequencers wrote one after another."""
    made = postgres_server.new_database()
    schema.migrate(made)
    bodies = [canonical_bytes(document) for document in documents()]
    with connect(parse_url(made)) as connection, connection.transaction():
        entries = list(enumerate(bodies))
        connection.cursor().executemany("INSERT INTO entry VALUES (%s, %s)", entries)
        for start, end in ((0, 3000), (3000, 8100), (8100, ENTRIES)):
            writer = IndexWriter(connection)
            for first in range(start, end, 331):  # batches that cross the borders of blocks
                part = bodies[first : min(first + 331, end)]
                writer.add(first, [LEAF] * len(part), [row for row in map(columns_of, part) if row])
    return made


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """To read, and to change what is taken back again."""
    with connect(parse_url(url)) as made:
        made.execute("BEGIN")
        yield made
        made.execute("ROLLBACK")


@pytest.mark.parametrize("seed", range(120))
def test_postings_and_entries_agree(seed: int, rows: list[IndexRow], connection: Connection) -> None:
    wanted = asked(seed)
    before = wanted.before if wanted.before is not None else ENTRIES
    expected = [index for index in range(min(before, ENTRIES) - 1, -1, -1) if wanted.matches(rows[index])]
    assert search(connection, wanted, -1) == expected
    assert search(connection, wanted, 7) == expected[:7]
    assert search(connection, wanted, 0) == []


def test_what_was_indexed_in_batches_is_what_verification_expects(rows: list[IndexRow], connection: Connection) -> None:
    stated = [(LEAF, row) for row in rows]
    assert misfiled(connection, 0, stated) == []
    assert misfiled(connection, BLOCK, stated[BLOCK:]) == []
    lie = (LEAF, (*rows[BLOCK][:1], "2031", *rows[BLOCK][2:]))
    assert misfiled(connection, 0, [*stated[:BLOCK], lie, *stated[BLOCK + 1 :]]) == [BLOCK]
    assert misfiled(connection, 0, [(LEAF, None), *stated[1:]]) == [0]
    assert beyond(connection, ENTRIES) == []
    assert beyond(connection, ENTRIES - 1) == [ENTRIES - 1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE posting SET bits = set_bit(bits, 13, 1 - get_bit(bits, 13)) WHERE block = 1 AND term = 'model=x'",
         [BLOCK + 5]),
        ("UPDATE posting SET bits = '\\x2f' WHERE block = 1 AND term = 'times'", [BLOCK]),
        ("INSERT INTO posting VALUES (0, 'tenant=x', '\\x000200')", [2]),
        ("INSERT INTO posting VALUES (2, 'tenant=a', '\\x000200')", [2 * BLOCK + 2]),
        ("UPDATE event_index SET tenant = 'x' WHERE seq = 5000", [5000]),
        ("DELETE FROM event_index WHERE seq = 8891", [8891]),
    ],
)  # fmt: skip
def test_a_changed_index_is_seen(
    change: str, expected: list[int], rows: list[IndexRow], connection: Connection
) -> None:
    connection.execute(change.encode())
    assert misfiled(connection, 0, [(LEAF, row) for row in rows]) == expected


def test_postings_that_were_removed_or_of_no_entry_are_seen(rows: list[IndexRow], connection: Connection) -> None:
    connection.execute("DELETE FROM posting WHERE block = 1 AND term = 'decision=allow'")
    gone = misfiled(connection, 0, [(LEAF, row) for row in rows])
    assert gone == [index for index in range(BLOCK, 2 * BLOCK) if Filter(decision="allow").matches(rows[index])]
    connection.execute("INSERT INTO posting VALUES (9, 'tenant=x', '\\x01')")
    assert beyond(connection, ENTRIES) == [9 * BLOCK]


def test_a_database_of_the_first_version_gets_its_postings(
    postgres_server: Server, url: str, rows: list[IndexRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"auditor_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE ROLE {role}")
    old = postgres_server.new_database()
    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(schema.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        schema.migrate(old)
    columns = ", ".join(["%s"] * len(rows[0]))
    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute("DROP INDEX by_words")  # it holds no words as long as one here
        indexed = [(index, LEAF, *row) for index, row in enumerate(rows)]
        connection.cursor().executemany(f"INSERT INTO event_index VALUES (%s, %s, {columns})".encode(), indexed)
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}".encode())
    assert schema.migrate(old) == ("0001", "0002")
    assert postgres_server.execute(POSTINGS, old) == postgres_server.execute(POSTINGS, url)
    assert postgres_server.execute(f"SELECT has_table_privilege('{role}', 'posting', 'SELECT')", old) == [(True,)]
    assert postgres_server.execute(f"SELECT has_table_privilege('{role}', 'posting', 'INSERT')", old) == [(False,)]
    indices = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    assert postgres_server.execute(indices, old) == postgres_server.execute(indices, url)


def event(number: int) -> Event:
    name, reasons = f"{number:032x}", (f"Case {LONG_WORD}.",) if number == 40 else ()
    return Event(
        event_id=name, type="generation.released", time="2026-11-22T10:00:00.000Z", source="s", nonce=name,
        tenant="even" if number % 2 == 0 else "odd", attempt=name, reasons=reasons,
    )  # fmt: skip


def test_a_log_without_its_postings_says_so_and_makes_them_anew(
    postgres_server: Server, database: str, tmp_path: Path
) -> None:
    def opened() -> AuditLog:
        return AuditLog.open(database, signer=SIGNER, signed=tmp_path / "signed.db")

    with opened() as log:
        log.append_many([(event(number), None) for number in range(BLOCK - 4)])
    with opened() as log:  # another process goes on within the block
        log.append_many([(event(number), None) for number in range(BLOCK - 4, BLOCK + 6)])
        assert log.verify().ok
        newest = [row.index for row in log.page(Filter(tenant="odd")).rows]
        assert newest == list(range(BLOCK + 5, BLOCK + 5 - 100, -2))
        assert [row.index for row in log.page(Filter(text=LONG_WORD)).rows] == [40]
        whole = postgres_server.execute(POSTINGS, database)

        postgres_server.execute("DELETE FROM posting WHERE term = 'tenant=odd'", database)
        report = log.verify()
        assert not report.ok
        assert {finding.kind for finding in report.findings} == {"index"}
        postgres_server.execute("DROP TABLE posting", database)
        with connect(parse_url(database)) as connection, pytest.raises(AuditIndexUnusable, match="posting"):
            PostgresReader(connection).search(Filter(tenant="odd"))
        assert [row.index for row in log.page(Filter(tenant="odd")).rows] == newest, "read from the entries"
        assert log.append(event(BLOCK + 6)).index == BLOCK + 6, "the block is not full: nothing is to be posted"
    assert AuditLog.reindex(database) == BLOCK + 7
    assert postgres_server.execute(POSTINGS, database) == whole
    with opened() as log:
        assert log.verify().ok
        assert [row.index for row in log.page(Filter(tenant="odd")).rows] == newest
