"""A log in PostgreSQL, put together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from countermark.audit.commit import AppendEntry, GroupCommit, Submission
from countermark.audit.note import NoteSigner
from countermark.audit.stores.interface import SignedHead, SignedRecord
from countermark.audit.stores.postgres.connect import parse_url, place
from countermark.audit.stores.postgres.inbox import Inbox, can_hold
from countermark.audit.stores.postgres.office import Office
from countermark.audit.stores.postgres.reindex import rebuild_index
from countermark.audit.stores.postgres.schema import alone, bring_up, version
from countermark.audit.stores.postgres.signed import PostgresSigned
from countermark.audit.stores.postgres.store import PostgresStore
from countermark.audit.stores.signed import SignedStore
from countermark.errors import SettingsInvalid


class PostgresBackend:
    """A log in the database ``url``, with its record of signed heads in a file or in another database.

    Raises:
        SettingsInvalid: the address is malformed.
    """

    def __init__(self, url: str, signed: Path | str | None) -> None:
        self._parameters = parse_url(url)
        self._signed = signed

    def open_reader(self) -> PostgresStore:
        """The store, never to be written."""
        return PostgresStore(self._parameters)

    def open_writer(self, signer: NoteSigner | None, held: str | None) -> PostgresWriter:
        """The right to append, and with a ``signer`` to make the tables where there are none, and to sign.

        Raises:
            SettingsInvalid: a signer, and no place for the record of signed heads, or the log's own database.
        """
        if signer is None:
            return PostgresWriter(self._parameters, None)
        if self._signed is None:
            raise SettingsInvalid(
                "A log in PostgreSQL needs a place for its record of signed heads.",
                remedy="Give signed=: a file where all writers are on one host, else another PostgreSQL database.",
            )
        with alone(self._parameters) as connection:
            if not version(connection):
                bring_up(connection, self._parameters)
            record = _open_signed(
                self._signed, apart_from=place(connection)
            )  # here, because SQLite lets only one at a time make a new file
        try:
            return PostgresWriter(
                self._parameters,
                lambda session: Office(self._parameters, record, signer, held=held, session=session),
            )
        except BaseException:
            record.close()
            raise

    def rebuild_index(self, progress: Callable[[int, int], None] | None) -> int:
        """Derive the look-up index from the entries again; gives their number."""
        self.open_reader().close()
        return rebuild_index(self._parameters, progress)

    def signed_head(self, origin: str) -> SignedHead | None:
        """What the record says was signed last."""
        if self._signed is None or (isinstance(self._signed, Path) and not self._signed.is_file()):
            return None
        signed = _open_signed(self._signed, read_only=True)
        try:
            return signed.get(origin)
        finally:
            signed.close()


class PostgresWriter:
    """What a writing process holds: its place in the inbox, and its candidacy for the office of sequencer."""

    def __init__(self, parameters: dict[str, Any], run_for_office: Callable[[str], Office] | None) -> None:
        self.session = secrets.token_hex(16)
        with ExitStack() as opened:
            self.store = PostgresStore(parameters)
            opened.callback(self.store.close)
            self._office = run_for_office(self.session) if run_for_office else None
            if self._office:
                opened.callback(self._office.close)
            self._inbox = Inbox(parameters, session=self.session, wake=self._wake, check=self._check)
            opened.callback(self._inbox.close)
            self._queue = GroupCommit(self._commit)
            self._opened = opened.pop_all()

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Return when all are durable and under a signed checkpoint, or refused by themselves."""
        self._queue.submit(submissions)

    def close(self) -> None:
        """Wait for a running commit, then release everything; later submissions are refused."""
        self._queue.close()
        self._opened.close()

    def _commit(self, batch: Sequence[Submission]) -> None:
        """Past the inbox where this process is the sequencer itself."""
        self._check()
        batch = [one for one in batch if not isinstance(one, AppendEntry) or can_hold(one)]
        if not (batch and self._office and self._office.commit(batch)):
            self._inbox.commit(batch)

    def _wake(self) -> None:
        if self._office:
            self._office.wake()

    def _check(self) -> None:
        if self._office and self._office.failure is not None:
            raise self._office.failure


def _open_signed(
    signed: Path | str, *, read_only: bool = False, apart_from: tuple[Any, ...] | None = None
) -> SignedRecord:
    if isinstance(signed, str) and "://" in signed:
        return PostgresSigned(signed, read_only=read_only, apart_from=apart_from)
    return SignedStore(Path(signed), read_only=read_only)
