"""What befalls workers that share a log: forks, quiet nights, a sequencer that is stopped, two who answer for holds."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")

import psycopg
from tests.forks import begin, ended, needs_fork
from tests.integration.test_audit_faults import event
from tests.integration.test_audit_postgres import SIGNER, TIME, office, open_log, sequencer_backend, wait_until
from tests.postgres_server import Server

from countermark.audit import AuditLog, Warrant
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import append_entry
from countermark.audit.stores.interface import SignedHead
from countermark.audit.stores.postgres import office as offices
from countermark.audit.stores.postgres import store as stores
from countermark.audit.stores.postgres.backend import PostgresWriter
from countermark.errors import AuditError, AuditPoisoned

ENTRIES = 20
pytestmark = pytest.mark.filterwarnings("ignore:This process")


@pytest.fixture
def signed(postgres_server: Server) -> str:
    """A record of signed heads in a database of its own."""
    return postgres_server.new_database()


@pytest.fixture
def two(database: str, signed: str) -> Iterator[tuple[AuditLog, AuditLog]]:
    """The sequencer of a log, and a writer that stands by."""
    with ExitStack() as opened:
        old, new = (opened.enter_context(open_log(database, signed)) for _ in range(2))
        old.append(event())
        assert office(old).holds
        yield old, new


@needs_fork
@pytest.mark.parametrize("kept_in", ["files", "postgres"])
def test_forked_children_read_a_log_that_their_parent_opened(
    kept_in: str, database: str, signed: str, tmp_path: Path
) -> None:
    address = database if kept_in == "postgres" else str(tmp_path / "audit.db")
    writing = open_log(database, signed) if kept_in == "postgres" else AuditLog.open(address, signer=SIGNER)
    with writing, AuditLog.open(address, read_only=True) as reading:
        events = [event() for _ in range(ENTRIES)]
        for log in (writing, reading):
            for index, one in enumerate(events):
                if log is writing:
                    log.append(one)
                assert log.event(index) == one

        def read() -> None:
            for log in (writing, reading):
                for _ in range(10):
                    assert [log.event(index) for index in range(ENTRIES)] == events
                    assert log.find(event_id=events[3].event_id) == (3,)
                log.close()

        children = [begin(read) for _ in range(2)]
        for log in (writing, reading):
            for _ in range(10):
                assert [log.event(index) for index in range(ENTRIES)] == events
        assert [ended(child) for child in children] == [0, 0]
        assert writing.append(event()).index == reading.size - 1 == ENTRIES


def test_a_server_that_ends_idle_sessions_ends_no_quiet_worker(
    postgres_server: Server, database: str, signed: str
) -> None:
    for url in (database, signed):
        name = url.rsplit("/", 1)[-1]
        postgres_server.execute(f"ALTER DATABASE \"{name}\" SET idle_session_timeout = '300ms'")
    with open_log(database, signed) as first, open_log(database, signed) as second:
        for log in (first, second):
            log.append(event())
        first.begin("running", tenant="t", time=TIME)
        time.sleep(1)
        for log in (first, second):
            assert log.find(event_id="0" * 32) == ()
            log.append(event())
        assert second.unfinished() == ()


# --- a sequencer that is stopped --------------------------------------------------------------------------------------


def test_a_sequencer_that_is_stopped_in_the_middle_of_a_commit_is_replaced(
    two: tuple[AuditLog, AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offices, "_END_SILENT", offices._END_SILENT.replace(offices._LOST_AFTER, "1s"))
    monkeypatch.setattr(offices, "_LOOK_AFTER_S", 0.2)
    old, new = two
    office(new)._look_next = 0
    stopped, go_on = threading.Event(), threading.Event()
    store = office(old)._store

    def stop(_tiles: Any) -> None:
        store._connection.execute("SELECT 1").fetchall()  # all that came before is at the server, and no more
        stopped.set()
        go_on.wait(30)

    monkeypatch.setattr(store, "put_tiles", stop)
    with ThreadPoolExecutor(2) as pool:
        caught = event()
        lost = pool.submit(old.append, caught)
        assert stopped.wait(10)
        try:
            assert pool.submit(new.append, event()).result(timeout=20).index == 1
        finally:
            go_on.set()
        with pytest.raises(AuditPoisoned):
            lost.result(timeout=20)
    assert new.append(caught).index == 2
    assert new.verify().ok


def test_a_sequencer_that_was_replaced_before_it_could_sign_accuses_nobody(
    postgres_server: Server, database: str, two: tuple[AuditLog, AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two
    stopped, go_on = threading.Event(), threading.Event()
    swap = office(old)._record.swap

    def stop(*heads: Any) -> None:
        stopped.set()
        go_on.wait(30)
        swap(*heads)

    monkeypatch.setattr(office(old)._record, "swap", stop)
    with ThreadPoolExecutor(1) as pool:
        caught = event()
        lost = pool.submit(old.append, caught)
        assert stopped.wait(10)
        pid = sequencer_backend(postgres_server, database)
        postgres_server.execute(f"SELECT pg_terminate_backend({pid})")
        try:
            assert new.append(event()).index == 2
        finally:
            go_on.set()
        with pytest.raises(AuditPoisoned) as told:
            lost.result(timeout=20)
    assert "Something else signed" not in str(told.value)
    assert new.append(caught).index == 1, "committed it was, and its successor signed it"


def test_a_second_copy_that_signs_is_told_as_before(two: tuple[AuditLog, AuditLog]) -> None:
    old, _ = two
    elsewhere = SignedHead(9, bytes(32))
    office(old)._record.swap(SIGNER.name, old._signed_head(SIGNER.name), elsewhere)
    with pytest.raises(AuditPoisoned, match="Something else signed"):
        old.append(event())


def test_a_successor_that_finds_less_than_was_signed_says_so(two: tuple[AuditLog, AuditLog]) -> None:
    old, new = two
    office(old)._record.swap(SIGNER.name, old._signed_head(SIGNER.name), SignedHead(9, bytes(32)))
    old.close()
    wait_until(lambda: not office(new)._thread.is_alive())
    with pytest.raises(AuditPoisoned, match="1 entries, but 9 were signed"):
        new.append(event())


# --- outcomes that wait, holds and erasures ---------------------------------------------------------------------------


def test_an_attempt_whose_outcome_waits_in_the_inbox_is_not_interrupted(
    postgres_server: Server, database: str, two: tuple[AuditLog, AuditLog]
) -> None:
    old, new = two
    outcome = event_document(event(attempt="waits"))
    assert isinstance(new._writer, PostgresWriter)
    with psycopg.connect(database) as blocker:
        blocker.execute("SELECT * FROM sequencer FOR UPDATE")
        for attempt in ("waits", "lost"):
            postgres_server.execute(f"INSERT INTO pending VALUES (DEFAULT, '{attempt}', 't', '{TIME}', 7)", database)
        new._writer._inbox._put([append_entry(outcome, canonical_bytes(outcome))])
        assert [one.attempt for one in old.unfinished()] == ["lost"]
    wait_until(lambda: new.find(attempt="waits"))
    assert [one.attempt for one in old.unfinished()] == ["lost"]


@needs_fork
def test_a_hold_in_another_process_comes_before_an_erasure_or_after_it(
    database: str, signed: str, two: tuple[AuditLog, AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    eraser, _ = two
    secret = event()
    eraser.append(secret, protected={"prompt": "a cat"})
    plan, children = eraser._plan_erasures, list[int]()
    ready, tell = os.pipe()

    def hold() -> None:
        with open_log(database, signed) as holder:
            os.write(tell, b"!")
            holder.hold(Warrant("case 1"), events=(secret.event_id,))

    def plan_and_be_overtaken(*asked: Any) -> Any:
        planned = plan(*asked)
        children.append(begin(hold))
        os.read(ready, 1)
        time.sleep(0.5)
        return planned

    monkeypatch.setattr(eraser, "_plan_erasures", plan_and_be_overtaken)
    erased = eraser.erase(Warrant("request"), events=(secret.event_id,))
    assert ended(children[0]) == 0
    assert erased.entries[0] < eraser.holds()[0].index
    assert eraser.verify().ok


def test_a_process_that_was_stopped_while_it_erased_keeps_no_other_waiting_for_ever(
    two: tuple[AuditLog, AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, other = two
    monkeypatch.setattr(stores, "_CUSTODY", stores._CUSTODY.replace("60s", "200ms"))
    with stopped._store.custody(), pytest.raises(AuditError, match="Another process has been placing") as told:
        other.hold(Warrant("case 1"), query={"tenant": "t"})
    assert "try again" in told.value.remedy
    other.hold(Warrant("case 1"), query={"tenant": "t"})


def test_who_may_not_end_a_stopped_sequencer_goes_on_standing_by(
    postgres_server: Server,
    database: str,
    signed: str,
    two: tuple[AuditLog, AuditLog],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statement = offices._END_SILENT.partition("AND wait_event_type")[0]  # the sequencer counts as silent at once
    monkeypatch.setattr(offices, "_END_SILENT", statement)
    monkeypatch.setattr(offices, "_LOOK_AFTER_S", 0.01)
    role = f"standby_{secrets.token_hex(4)}"
    for url in (database, signed):
        name = url.rsplit("/", 1)[-1]
        if url == database:
            postgres_server.execute(f"CREATE ROLE {role} LOGIN IN ROLE pg_monitor", url)
        postgres_server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}", url)
        postgres_server.execute(f'GRANT CREATE ON DATABASE "{name}" TO {role}', url)
    two[1].close()
    urls = (url.replace("postgres@", f"{role}@") for url in (database, signed))
    with open_log(*urls) as standby:
        time.sleep(1)
        assert standby.append(event()).index == 1
        assert not office(standby).holds
