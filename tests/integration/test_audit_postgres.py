"""Several writers, one sequencer: nobody forks the log, whoever dies, and nothing acknowledged is ever lost."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")

import psycopg
from tests.integration.test_audit_faults import event
from tests.postgres_server import Server, memory_folder, running

from countermark import Countermark
from countermark.audit import AuditLog, NoteSigner
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import MAX_BATCH, append_entry
from countermark.audit.query import INDEX_COLUMNS
from countermark.audit.stores.interface import SignedHead
from countermark.audit.stores.postgres.backend import PostgresWriter
from countermark.audit.stores.postgres.office import Office
from countermark.audit.stores.postgres.schema import migrate
from countermark.audit.stores.postgres.signed import PostgresSigned
from countermark.compose import Home
from countermark.errors import (
    AuditError,
    AuditPoisoned,
    AuditRollback,
    CountermarkError,
    EnvironmentLacking,
    EventInvalid,
    KeyUnavailable,
    NotFound,
    SettingsInvalid,
)
from countermark.model import Event
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.settings import AuditSettings, Settings, load_settings

SIGNER = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KILLS = int(os.environ.get("AUDIT_KILLS", "10"))
TIME = "2026-11-22T10:00:00.000Z"

# Appends as fast as it can, alone and from threads, and prints each acknowledged attempt after the fact.
CHILD = textwrap.dedent("""
    import os, secrets, sys, threading
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from countermark.audit import AuditLog, NoteSigner
    from countermark.model import Event

    TIME = "2026-11-22T10:00:00.000Z"
    url, signed, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    signer = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    log = AuditLog.open(url, signer=signer, signed=signed, master_key=bytes(32))

    def work(number):
        left = count
        while left:
            # The attempts of a counted child are the same in every child, so that they meet.
            attempt = secrets.token_hex(16) if count < 0 else f"{number * 1000 + left:032x}"
            if count < 0:
                log.begin(attempt, tenant="t", time=TIME)
                os.write(1, f"begun {attempt}\\n".encode())
            event = Event(event_id=attempt, type="generation.released", time=TIME, source="s", nonce="0" * 32,
                          tenant="t", attempt=attempt)
            done = log.append(event, protected={"prompt": attempt} if count < 0 else None)
            os.write(1, f"done {attempt} {done.index}\\n".encode())
            left -= 1

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
""")


@pytest.fixture
def signed(postgres_server: Server) -> str:
    """A record of signed heads in a database of its own."""
    return postgres_server.new_database()


def open_log(url: str, signed: str | Path, **options: object) -> AuditLog:
    return AuditLog.open(url, **{"signer": SIGNER, "signed": signed, "master_key": bytes(32), **options})  # type: ignore[arg-type]


def child(url: str, signed: str, count: int = -1) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, url, signed, str(count)], stdout=subprocess.PIPE)


def office(log: AuditLog) -> Office:
    assert isinstance(log._writer, PostgresWriter)
    assert log._writer._office
    return log._writer._office


def wait_until(condition: object, patience_s: float = 20) -> None:
    until = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


def sequencer_backend(server: Server, url: str) -> int:
    """The server process of whoever holds the sequencer's lock."""
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = x'436D4C67'::int"
    return int(str(server.execute(query, url)[0][0]))


def take_from_inbox_blocked(server: Server, url: str) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(server.execute(query, url))


# --- several writers --------------------------------------------------------------------------------------------------


def test_processes_that_append_the_same_events_at_once_agree_on_every_entry(
    postgres_server: Server, database: str, signed: str
) -> None:
    children = [child(database, signed, 15) for _ in range(2)]
    said = []
    for one in children:
        said.append(one.communicate(timeout=60)[0].decode().splitlines())
        assert one.returncode == 0
    first, second = (dict(line.split()[1:] for line in lines) for lines in said)
    assert first == second
    assert sorted(map(int, first.values())) == list(range(45))
    with open_log(database, signed) as log:
        assert log.size == 45
        assert log.verify().ok
        assert all(log.find(event_id=event_id) == (int(index),) for event_id, index in first.items())


def test_a_new_database_opened_by_many_at_once_becomes_one_log(database: str, signed: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        logs = list(pool.map(lambda _: open_log(database, signed), range(4)))
        assert sorted(pool.map(lambda log: log.append(event()).index, logs)) == [0, 1, 2, 3]
    assert sum(office(log).holds for log in logs) == 1
    for log in logs:
        log.close()


def test_entries_stand_in_the_order_of_their_appends_whatever_their_clocks_say(database: str, signed: str) -> None:
    times = ["2099-01-01T00:00:00.000Z", "1999-01-01T00:00:00.000Z", "2050-01-01T00:00:00.000Z"]
    with open_log(database, signed) as first, open_log(database, signed) as second:
        events = [event(time=time) for time in times]
        indices = [log.append(one).index for one, log in zip(events, (first, second, first), strict=True)]
        assert indices == [0, 1, 2]
        assert [one.time for _, one in reversed(first.list())] == times
        assert first.verify().ok


def test_the_sequencers_own_events_go_past_the_inbox_and_the_inbox_is_served_beside_them(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed) as first, open_log(database, signed) as second:
        first.begin("attempt", tenant="t", time=TIME)
        first.append(event(attempt="attempt"))
        repeated = event()
        assert [first.append(repeated).index for _ in range(2)] == [1, 1]
        with pytest.raises(EventInvalid, match="already entry 1"):
            first.append(event(event_id=repeated.event_id))
        assert postgres_server.execute("SELECT is_called FROM inbox_id_seq", database) == [(False,)]
        assert postgres_server.execute("SELECT 1 FROM pending", database) == []

        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.is_set():
                office(first).commit([append_entry(d, canonical_bytes(d)) for d in documents()])

        def documents() -> list[dict[str, Any]]:
            return [event_document(event()) for _ in range(MAX_BATCH)]

        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(keep_busy)
            try:
                indices = [second.append(event()).index for _ in range(5)]
            finally:
                stop.set()
            busy.result()
        assert indices == sorted(indices)
        assert postgres_server.execute("SELECT is_called FROM inbox_id_seq", database) == [(True,)]
        assert second.verify().ok


def test_what_came_through_the_inbox_is_known_when_the_sequencer_records_it_again(database: str, signed: str) -> None:
    with open_log(database, signed) as first, open_log(database, signed) as second:
        newest, repeated = event(event_id="f" * 32), event()
        assert [second.append(one).index for one in (newest, repeated)] == [0, 1]
        batch = [repeated, *(event() for _ in range(MAX_BATCH - 1))]  # leaves no room for a look into the inbox
        receipts = first.append_many([(one, None) for one in batch])
        assert [one.index for one in receipts] == [1, *range(2, MAX_BATCH + 1)]
        assert first.verify().ok


def test_a_writer_without_the_key_hands_its_events_to_one_that_has_it(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed):
        pass
    role = f"writer_{secrets.token_hex(4)}"
    for statement in (
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT INSERT ON inbox, pending TO {role}",
    ):
        postgres_server.execute(statement, database)
    url = database.replace("postgres@", f"{role}@")
    with open_log(database, signed) as sequencer, AuditLog.open(url, sequence=False, master_key=bytes(32)) as writer:
        one = event()
        writer.begin(one.attempt, tenant="t", time=TIME)
        assert writer.append(one, protected={"prompt": "a cat"}).index == 0
        assert writer.append(event()).index == 1
        assert writer.origin == SIGNER.name
        assert writer.receipt(1).log_key == SIGNER.verifier_key
        assert sequencer.size == 2
        for table in ("entry", "head", "tile", "event_index", "secret", "meta", "inbox"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                postgres_server.execute(f"DELETE FROM {table}", url)
    with pytest.raises(AuditError, match="refuses this user"):
        open_log(url, signed)


def test_only_attempts_of_writers_that_are_gone_are_unfinished(database: str, signed: str) -> None:
    with open_log(database, signed) as first:
        with open_log(database, signed) as second:
            second.begin("lost", tenant="t", time=TIME)
            second.begin("kept", tenant="t", time=TIME)
            second.append(event(attempt="kept"))
            first.begin("own", tenant="t", time=TIME)
            assert first.unfinished() == ()
        wait_until(lambda: [one.attempt for one in first.unfinished()] == ["lost"])


# --- one sequencer ----------------------------------------------------------------------------------------------------


def test_a_sequencer_that_was_replaced_without_noticing_is_fenced_off(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed) as old, open_log(database, signed) as new:
        old.append(event())
        assert office(old).holds
        assert not office(new).holds
        # What a successor does first; it can come to that while the old lock is held, after a fail-over to a replica.
        postgres_server.execute("UPDATE sequencer SET epoch = epoch + 1", database)
        caught = event()
        for _ in range(2):
            with pytest.raises(AuditPoisoned, match="taken over"):
                old.append(caught)
        wait_until(lambda: office(new).holds)
        assert new.append(caught).index == 1
        assert new.size == 2
        assert new.verify().ok


def test_a_sequencer_cut_off_in_the_middle_of_a_commit_commits_nothing(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed) as old, open_log(database, signed) as new, ThreadPoolExecutor(1) as pool:
        old.append(event())
        caught = event()
        with psycopg.connect(database) as blocker:
            blocker.execute("SELECT * FROM head FOR UPDATE")
            pending = pool.submit(old.append, caught)
            wait_until(lambda: take_from_inbox_blocked(postgres_server, database))
            pid = sequencer_backend(postgres_server, database)
            postgres_server.execute(f"SELECT pg_terminate_backend({pid})")
            with pytest.raises(AuditPoisoned):
                pending.result(timeout=30)
            assert blocker.execute("SELECT count(*) FROM entry").fetchall() == [(1,)]
        with pytest.raises(AuditPoisoned):
            old.append(event())
        wait_until(lambda: office(new).holds)
        assert new.append(caught).index == 1
        assert new.size == 2
        assert new.verify().ok
    with open_log(database, signed) as old:
        assert old.append(caught).index == 1


def test_a_lost_connection_poisons_the_log_until_it_is_opened_again(
    postgres_server: Server, database: str, signed: str
) -> None:
    one = event()
    with open_log(database, signed) as other, open_log(database, signed) as log:
        log.append(one)
        assert isinstance(log._writer, PostgresWriter)
        session = int(log._writer.session[:15], 16)
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            f" AND (classid::bigint << 32) | objid::bigint = {session}",
            database,
        )
        for _ in range(2):
            with pytest.raises(AuditPoisoned):
                log.append(one)
        assert other.append(event()).index == 1
        assert log.event(0) == one
    with open_log(database, signed) as log:
        assert log.append(one).index == 0


def test_killed_sequencers_lose_nothing_that_anyone_acknowledged(
    postgres_server: Server, database: str, signed: str
) -> None:
    luck = random.Random(11)
    begun: set[str] = set()
    done: dict[str, int] = {}

    def note(lines: list[bytes]) -> None:
        for line in lines:
            word, attempt, *index = line.decode().split()
            if word == "begun":
                begun.add(attempt)
            else:
                assert done.setdefault(attempt, int(index[0])) == int(index[0])

    oldest = child(database, signed)
    for _ in range(KILLS):
        standby = child(database, signed)
        assert oldest.stdout
        assert standby.stdout
        note([standby.stdout.readline()])  # it is there, and waits for its turn
        note([oldest.stdout.readline() for _ in range(luck.randrange(1, 60))])
        oldest.kill()
        note(oldest.communicate()[0].splitlines(keepends=True))
        oldest = standby
    oldest.kill()
    note(oldest.communicate()[0].splitlines(keepends=True))
    with open_log(database, signed) as log:
        log.append(event())  # whatever waited in the inbox went before it
        assert log.verify().ok
        assert len(set(done.values())) == len(done)
        for attempt, at in done.items():
            assert log.find(event_id=attempt) == (at,)
        some = dict(list(done.items())[::10])
        assert all(log.event(at).protected for at in some.values())
        wait_until(lambda: not postgres_server.execute("SELECT 1 FROM inbox", database))
        recorded = {attempt for attempt in begun if log.find(attempt=attempt)}
        unfinished = {pending.attempt for pending in log.unfinished()}
        assert begun - recorded <= unfinished
        assert not recorded & unfinished
    assert len(done) > KILLS


# --- the server fails, or lies ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile_server(postgres_server: Server) -> Iterator[Server]:
    """A server that a test may crash."""
    with running(memory_folder()) as server:
        yield server


def test_a_server_that_crashes_loses_nothing_acknowledged(fragile_server: Server) -> None:
    url, record = fragile_server.new_database(), fragile_server.new_database()
    acknowledged: dict[str, int] = {}
    lost: list[Event] = []

    def work(log: AuditLog) -> None:
        while True:
            one = event()
            try:
                acknowledged[one.event_id] = log.append(one).index
            except AuditPoisoned:
                lost.append(one)
                return

    with open_log(url, record) as first, open_log(url, record) as second:
        threads = [threading.Thread(target=work, args=(log,)) for log in (first, second) * 3]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 50)
        fragile_server.control("-m", "immediate", "stop")
        for thread in threads:
            thread.join()
    fragile_server.control("start")
    with open_log(url, record) as log:
        again = {one.event_id: log.append(one).index for one in lost}
        assert all(log.find(event_id=event_id) == (at,) for event_id, at in (acknowledged | again).items())
        assert log.verify().ok


def test_a_server_that_does_not_flush_is_refused(fragile_server: Server) -> None:
    url = fragile_server.new_database()
    fragile_server.execute("ALTER SYSTEM SET fsync = off")
    try:
        fragile_server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: fragile_server.execute("SHOW fsync") == [("off",)])
        with pytest.raises(AuditError, match="fsync = off"):
            open_log(url, fragile_server.new_database())
    finally:
        fragile_server.execute("ALTER SYSTEM RESET fsync")
        fragile_server.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("in_a_file", [False, True], ids=["database", "file"])
def test_a_database_restored_from_an_older_copy_is_refused(
    in_a_file: bool, postgres_server: Server, database: str, signed: str, tmp_path: Path
) -> None:
    record = tmp_path / "signed.db" if in_a_file else signed
    with open_log(database, record) as log:
        log.append(event())
    wait_until(lambda: len(postgres_server.execute("SELECT 1 FROM pg_stat_activity WHERE datname LIKE 'log%'")) == 0)
    copy = postgres_server.new_database(template=database.rsplit("/", 1)[1])
    with open_log(database, record) as log:
        log.append(event())
        held = log.checkpoint()
    with pytest.raises(AuditRollback, match="1 entries, but 2 were signed"):
        open_log(copy, record)
    with AuditLog.open(copy, read_only=True, signed=record) as reader:
        assert {finding.kind.value for finding in reader.verify().findings} == {"rollback"}
    with AuditLog.open(copy, read_only=True) as reader:
        assert reader.verify().ok  # the copy alone cannot tell
        assert {finding.kind.value for finding in reader.verify(held).findings} == {"truncated"}
    with open_log(database, record) as log:
        assert log.verify(held).ok


def test_two_copies_of_one_log_cannot_both_sign(postgres_server: Server, database: str, signed: str) -> None:
    with open_log(database, signed) as log:
        log.append(event())
    wait_until(lambda: len(postgres_server.execute("SELECT 1 FROM pg_stat_activity WHERE datname LIKE 'log%'")) == 0)
    copy = postgres_server.new_database(template=database.rsplit("/", 1)[1])
    with open_log(database, signed) as first, open_log(copy, signed) as second:
        before = second.checkpoint()
        first.append(event())
        with pytest.raises(AuditPoisoned, match="Something else signed"):
            second.append(event())
        assert second.checkpoint() == before
    with open_log(database, signed) as first:
        assert first.verify().ok


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE RULE r AS ON INSERT TO secret DO ALSO DELETE FROM secret", "'secret' of the store has a rule"),
        ("ALTER TABLE entry ENABLE ROW LEVEL SECURITY", "'entry' of the store has a row security"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER t BEFORE INSERT ON blob FOR EACH ROW EXECUTE FUNCTION f()",
            "'blob' of the store has a trigger",
        ),
        (
            "ALTER TABLE checkpoint RENAME TO c; CREATE VIEW checkpoint AS SELECT * FROM c",
            "'checkpoint' of the store has a view in its place",
        ),
    ],
)
def test_tables_that_the_log_did_not_make_are_found(
    statement: str, said: str, database: str, signed: str, postgres_server: Server
) -> None:
    with open_log(database, signed) as log:
        log.append(event())
        assert log.verify().ok
    postgres_server.execute(statement, database)
    with AuditLog.open(database, read_only=True, signed=signed) as log:
        assert any(said in finding.message for finding in log.verify().findings)


def test_the_record_moves_only_from_where_it_is(signed: str) -> None:
    record = PostgresSigned(signed)
    one, two, fork = SignedHead(1, b"1" * 32), SignedHead(2, b"2" * 32), SignedHead(2, b"x" * 32)
    assert record.get("log") is None
    record.swap("log", None, one)
    record.swap("log", one, two)
    record.swap("log", one, two)  # the very same head may be signed twice
    for old, new in ((None, one), (one, fork), (fork, SignedHead(3, b"3" * 32))):
        with pytest.raises(AuditRollback):
            record.swap("log", old, new)
    assert record.get("log") == two
    assert record.get("another") is None
    record.close()


def test_a_record_of_before_notes_were_kept_gets_them(signed: str, postgres_server: Server) -> None:
    postgres_server.execute(
        "CREATE TABLE signed (origin text PRIMARY KEY, size bigint NOT NULL, root bytea NOT NULL);"
        "INSERT INTO signed VALUES ('log', 1, 'root')",
        signed,
    )
    reader = PostgresSigned(signed, read_only=True)
    assert reader.get("log") == SignedHead(1, b"root")
    reader.close()
    record = PostgresSigned(signed)
    record.swap("log", SignedHead(1, b"root"), SignedHead(2, b"next", "a note"))
    found = record.get("log")
    assert found
    assert (found.size, found.note) == (2, "a note")
    record.close()


# --- settings and command line ----------------------------------------------------------------------------------------


def test_an_installation_keeps_its_log_where_settings_say(database: str, signed: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", audit=AuditSettings(url=database, signed=signed))
    home = Home(settings)
    home.make()
    assert not home.has_log()
    with home.open_log() as first, home.open_log() as second:  # as two processes would
        assert [log.append(event(), protected={"prompt": "a cat"}).index for log in (first, second)] == [0, 1]
    assert home.has_log()
    assert not home.audit_db.exists()
    with home.open_log(read_only=True) as reader:
        report = reader.verify()
        assert report.ok
        assert "record of what was signed" in report.compared


def test_processes_that_start_together_record_a_lost_attempt_once(
    database: str,
    signed: str,
    tmp_path: Path,
    prompt_safety: PromptEnsemble,
    image_safety: ImageEnsemble,
) -> None:
    settings = Settings(home=tmp_path / "home", audit=AuditSettings(url=database, signed=signed))
    home = Home(settings)
    home.make()
    with home.open_log() as log:
        for number in range(3):
            log.begin(f"{number:032x}", tenant="t", time=TIME)
    start = threading.Barrier(4)

    def open_one(_: int) -> Countermark:
        start.wait()
        return Countermark(settings, prompt_safety=prompt_safety, image_safety=image_safety)

    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(open_one, range(4)))
    try:
        assert [entry.attempt for _, entry in opened[0].log.list()] == [f"{number:032x}" for number in (2, 1, 0)]
        assert opened[0].log.unfinished() == ()
    finally:
        for one in opened:
            one.close()


def test_the_command_line_reads_verifies_and_migrates_it(
    database: str, signed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COUNTERMARK_AUDIT__URL", database.replace("postgres@", "postgres:hunter2@"))
    monkeypatch.setenv("COUNTERMARK_AUDIT__SIGNED", signed)
    home = Home(load_settings().settings)
    home.make()
    with home.open_log() as log:
        log.append(event())
    for arguments, expected in {
        ("log", "list"): "generation.released",
        ("log", "verify"): '"intact": true',
        ("log", "migrate"): '"after": "0002"',
        ("log", "reindex"): '"entries": 1',
        ("config", "show"): "postgres:***@",
    }.items():
        done = subprocess.run(
            [sys.executable, "-m", "countermark", *arguments, "--json"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
        assert "hunter2" not in done.stdout + done.stderr


# --- what may not go in, and where ------------------------------------------------------------------------------------


def test_what_a_stranger_puts_into_the_inbox_is_refused_and_holds_nobody_up(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed) as log:
        for number, body in enumerate([b"", b"[]", b"{}", b'{"event_id":"x"}', b'{"event_id": 1.0}', b"\xff"]):
            row = f"('{number:032x}', '\\x{body.hex()}', 'countermark_{number:032x}')"
            postgres_server.execute(f"INSERT INTO inbox (event_id, body, channel) VALUES {row}", database)
        assert log.append(event()).index == 0
        wait_until(lambda: len(postgres_server.execute("SELECT * FROM refused", database)) == 6)
        assert log.size == 1
        assert log.append(event(event_id=f"{0:032x}")).index == 1
        assert log.verify().ok


def test_text_that_the_database_cannot_hold_is_refused_by_itself(database: str, signed: str) -> None:
    with open_log(database, signed) as log:
        with pytest.raises(EventInvalid, match=r"U\+0000"):
            log.append(event(tenant="a\0b"))
        assert log.append(event(reasons=["a b", "ä\u2028"], tenant="Ä")).index == 0
        assert log.verify().ok


def test_tables_of_another_version_are_refused_with_what_to_do(
    postgres_server: Server, database: str, signed: str
) -> None:
    with open_log(database, signed):
        pass
    assert migrate(database) == ("0002", "0002")
    for version, remedy in (("0000", "countermark log migrate"), ("9999", "or a newer one")):
        postgres_server.execute(f"UPDATE alembic_version SET version_num = '{version}'", database)
        for options in ({}, {"read_only": True}):
            with pytest.raises(AuditError, match=version) as refusal:
                open_log(database, signed, **options)
            assert remedy in refusal.value.remedy


def test_the_index_has_the_columns_of_this_version(postgres_server: Server, database: str) -> None:
    assert migrate(database) == ("", "0002")
    columns = postgres_server.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'event_index'", database
    )
    assert {name for (name,) in columns} == {"seq", "leaf", *INDEX_COLUMNS}


def test_what_is_missing_is_said(postgres_server: Server, database: str, signed: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no audit log"):
        AuditLog.open(database, read_only=True)
    with pytest.raises(SettingsInvalid, match="record of signed heads"):
        AuditLog.open(database, signer=SIGNER)
    for alias in (database, database.replace("127.0.0.1", "localhost")):
        with pytest.raises(SettingsInvalid, match="own database"):
            open_log(database, alias)
    with pytest.raises(KeyUnavailable):
        AuditLog.open(database, signed=signed)
    with pytest.raises(SettingsInvalid, match="also signs"):
        AuditLog.open(tmp_path / "audit.db", sequence=False)
    other = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(b"1" * 32))
    with open_log(database, signed):
        for _ in range(2):  # while another writes, and when nobody does
            with pytest.raises(KeyUnavailable, match="another key"):
                open_log(database, signed, signer=other)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:{port}/missing",
        "postgresql://user:hunter2@127.0.0.1:1/log",
        "postgresql://user:hunter2@127.0.0.1:none/log",
        "postgresql://user:hunter2@[::1/log",
        "postgresql://user:hunter2@127.0.0.1:{port}",
        "postgresql://user@127.0.0.1:{port}/missing?password=hunter2",
        "postgresql://user@127.0.0.1:{port}/log?passwort=hunter2",
    ],
)
def test_a_password_is_never_in_an_error(url: str, postgres_server: Server) -> None:
    with pytest.raises((EnvironmentLacking, SettingsInvalid)) as refusal:
        AuditLog.open(url.format(port=postgres_server.port), read_only=True)
    cause: BaseException | None = refusal.value
    while cause is not None:
        assert "hunter2" not in f"{cause} {cause!r} {getattr(cause, 'remedy', '')}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    assert isinstance(refusal.value, CountermarkError)
