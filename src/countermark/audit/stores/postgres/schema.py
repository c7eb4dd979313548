"""Which version the tables have, and how a database comes to the newest one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from alembic import command
from alembic.config import Config

from countermark.audit.stores.postgres.connect import Connection, connect, parse_url, reported, store_name
from countermark.errors import AuditError, SettingsInvalid

NEWEST: Final = "0002"
_MIGRATIONS = Path(__file__).with_name("migrations")
_OPENING_LOCK: Final = 0x436D4C66_4F50454E  # "CmLfOPEN"


def migrate(url: str) -> tuple[str, str]:
    """Bring a database to the newest version; one that is there stays as it is.

    Returns:
        The version before, empty for a new database, and the version now.

    Raises:
        SettingsInvalid: the database is not encoded in UTF-8.
        AuditError: it is newer than this program, or the user may not change its tables.
    """
    parameters = parse_url(url)
    with alone(parameters) as connection:
        return bring_up(connection, parameters)


@contextmanager
def alone(parameters: dict[str, Any]) -> Iterator[Connection]:
    """A connection during which nobody else makes, migrates or opens this log."""
    with reported(store_name(parameters)), connect(parameters) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_OPENING_LOCK,))  # released with the connection
        yield connection


def bring_up(connection: Connection, parameters: dict[str, Any]) -> tuple[str, str]:
    """:func:`migrate`, under the lock of :func:`alone`."""
    before = version(connection)
    if before < NEWEST:
        _check_encoding(connection, store_name(parameters))
        _upgrade(parameters)
    elif before > NEWEST:
        require_newest(connection, store_name(parameters))
    return before, NEWEST


def require_newest(connection: Connection, name: str) -> None:
    """Refuse a database of another version.

    Raises:
        AuditError: older or newer, with what to do about it.
    """
    found = version(connection)
    if found == NEWEST:
        return
    if found > NEWEST:
        remedy = "Use the version of countermark that wrote it, or a newer one."
    else:
        remedy = "Stop every writer, then run: countermark log migrate"
    raise AuditError(f"The audit store {name} has format {found}; this version writes format {NEWEST}.", remedy=remedy)


def version(connection: Connection) -> str:
    """The version of a log's tables; empty where there are none."""
    if not connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchall()[0][0]:
        return ""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _check_encoding(connection: Connection, name: str) -> None:
    encoding = connection.execute("SHOW server_encoding").fetchall()[0][0]
    if encoding != "UTF8":
        raise SettingsInvalid(
            f"The database {name} is encoded in {encoding}: it cannot hold every tenant's name.",
            remedy="Make one with: createdb --encoding UTF8 --template template0 NAME",
        )


def _upgrade(parameters: dict[str, Any]) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: connect({**parameters}), poolclass=sqlalchemy.pool.NullPool
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
