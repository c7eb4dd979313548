"""Postings of full blocks instead of a B-tree for each column that a page is filtered by."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import psycopg
from alembic import op

from countermark.audit.query import INDEX_COLUMNS
from countermark.audit.stores.postgres.look_ups import put_postings
from countermark.audit.stores.postings import BLOCK, Block

revision = "0002"
down_revision = "0001"

_TABLE, *_INDICES = import_module("countermark.audit.stores.postgres.migrations.versions.0001_log").INDEX
_LISTED_BY = ("time", "type", "tenant", "actor", "decision", "model", "policy", "categories", "words")
_FILTERED = tuple(f"by_{name}" for name in _LISTED_BY)
_POSTING = """CREATE TABLE posting (block bigint NOT NULL, term text COLLATE "C" NOT NULL, bits bytea NOT NULL,
                                   PRIMARY KEY (block, term))"""
_BY_TIME = "CREATE INDEX by_time ON event_index USING brin (time)"  # for queries of an auditor's own
INDEX = {
    "event_index": (
        _TABLE,
        *(statement for statement in _INDICES if statement.split()[2] not in _FILTERED),
        _BY_TIME,
    ),
    "posting": (_POSTING,),
}
"""The tables of the look-up index, each of which can be made anew."""


def upgrade() -> None:
    """Make the postings from the index as it stands."""
    for name in _FILTERED:
        op.execute(f"DROP INDEX IF EXISTS {name}")
    op.execute(_POSTING)
    connection: psycopg.Connection[tuple[Any, ...]] = op.get_bind().connection.driver_connection  # type: ignore[assignment]
    if not connection.execute("SELECT to_regclass('event_index') IS NOT NULL").fetchall()[0][0]:
        return  # somebody dropped it: "log reindex" makes it
    op.execute(_BY_TIME)
    _as_granted(connection)
    columns = ", ".join(INDEX_COLUMNS)
    query = f"SELECT {columns} FROM event_index WHERE seq >= %s AND seq < %s ORDER BY seq"  # noqa: S608
    size = connection.execute("SELECT coalesce(max(seq), -1) + 1 FROM event_index").fetchall()[0][0]
    for number in range(size // BLOCK):
        block = Block()
        block.add(number * BLOCK, connection.execute(query.encode(), (number * BLOCK, (number + 1) * BLOCK)).fetchall())
        put_postings(connection, number, block)


def _as_granted(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Whoever has rights on the index has them on its new table."""
    rights = connection.execute(
        "SELECT grantee, privilege_type FROM information_schema.role_table_grants"
        " WHERE table_name = 'event_index' AND table_schema = current_schema() AND grantee <> current_user"
    ).fetchall()
    for grantee, privilege in rights:
        whom = psycopg.sql.SQL("PUBLIC") if grantee == "PUBLIC" else psycopg.sql.Identifier(grantee)
        grant = psycopg.sql.SQL("GRANT {} ON posting TO {}").format(psycopg.sql.SQL(privilege), whom)
        connection.execute(grant)
