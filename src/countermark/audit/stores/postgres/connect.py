"""Connections to PostgreSQL: how they are opened, what they are called, and whose errors they raise.

An address may hold a password. It goes to the driver and nowhere else: messages name host, port and database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, errors

from countermark.errors import AuditError, AuditIndexUnusable, AuditStoreDamaged, EnvironmentLacking, SettingsInvalid

Connection = psycopg.Connection[tuple[Any, ...]]

_KEEPALIVES: Final = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}
"""A host that vanished is noticed within half a minute. An address may say otherwise."""
_INDEX: Final = ('"event_index"', '"posting"')
_DAMAGE = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)


def parse_url(url: str) -> dict[str, Any]:
    """The parameters that a ``postgresql://`` address names.

    Raises:
        SettingsInvalid: it is not one, or names no database.
    """
    malformed = SettingsInvalid(
        "The address of the PostgreSQL database cannot be understood.",
        remedy="Write it as postgresql://user@host:5432/database; special characters in it are %-encoded.",
    )
    try:
        parameters = conninfo.conninfo_to_dict(url)
        urlsplit(url)
    except (psycopg.Error, ValueError):
        raise malformed from None  # the cause may quote the password
    if not parameters.get("dbname"):
        raise malformed
    return {**_KEEPALIVES, "application_name": "countermark", **parameters}


def store_name(parameters: dict[str, Any]) -> str:
    """What messages call a database: never its user, password or options."""
    host = parameters.get("host") or parameters.get("hostaddr") or "localhost"
    port = f":{parameters['port']}" if parameters.get("port") else ""
    return f"postgresql://{host}{port}/{parameters['dbname']}"


def connect(parameters: dict[str, Any]) -> Connection:
    """One connection, each statement its own transaction unless one is begun.

    Raises:
        EnvironmentLacking: nobody answers, or access is refused.
    """
    name = store_name(parameters)
    try:
        connection = psycopg.connect(**parameters, autocommit=True)
        # Quiet for hours is a worker at night: a server that ends idle sessions would end its right to write.
        connection.execute("SET idle_session_timeout = 0")
    except psycopg.OperationalError as error:
        raise EnvironmentLacking(
            f"The database {name} cannot be reached: {_first_line(error)}",
            remedy="Check that PostgreSQL runs there and lets this user in; keep the password in ~/.pgpass.",
        ) from error
    return connection


def place(connection: Connection) -> tuple[Any, ...]:
    """Which database this is, by whatever address it was reached."""
    return connection.execute("SELECT pg_postmaster_start_time(), current_database()").fetchall()[0]


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Turn the driver's errors into ours, naming the store.

    A sequencer's statements go out unwaited for, so only the message can tell when it was one over the look-up index.
    """
    try:
        yield
    except _DAMAGE as error:
        if any(table in _first_line(error) for table in _INDEX):
            raise _index_unusable(error) from error
        raise AuditStoreDamaged(f"The audit store {name} cannot be read: {_first_line(error)}") from error
    except errors.InsufficientPrivilege as error:
        raise AuditError(
            f"The audit store {name} refuses this user: {_first_line(error)}",
            remedy="Grant the rights that countermark.audit.stores.postgres names.",
        ) from error
    except psycopg.Error as error:
        raise AuditError(
            f"The audit store {name} cannot be used: {_first_line(error)}",
            remedy="Check the database's log, disk space and connection, then open the log again.",
        ) from error


@contextmanager
def index_reported() -> Iterator[None]:
    """Tell damage to the look-up index, from which nothing is proved, from damage to what it was made from."""
    try:
        yield
    except _DAMAGE as error:
        raise _index_unusable(error) from error


def _index_unusable(error: psycopg.Error) -> AuditIndexUnusable:
    return AuditIndexUnusable(f"The log's look-up index cannot be used: {_first_line(error)}")


def _first_line(error: psycopg.Error) -> str:
    """The driver's message without details: those may quote a row."""
    text = (error.diag.message_primary or str(error) or type(error).__name__).strip().splitlines()[0]
    return text if text.endswith(".") else f"{text}."
