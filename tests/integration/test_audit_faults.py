"""The disk fails, the process dies, the record is taken away: nothing acknowledged is ever lost, and nothing lies."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import Appended, AuditLog, NoteSigner
from countermark.errors import AuditError, AuditPoisoned, AuditRollback, HomeLocked
from countermark.model import Event

SIGNER = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KILLS = int(os.environ.get("AUDIT_KILLS", "10"))
TIME = "2026-11-22T10:00:00.000Z"

# Appends as fast as it can, alone and from threads, and prints each acknowledged attempt after the fact.
CHILD = textwrap.dedent("""
    import os, secrets, sys, threading
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from countermark.audit import AuditLog, NoteSigner
    from countermark.model import Event

    TIME = "2026-11-22T10:00:00.000Z"
    signer = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    log = AuditLog.open(Path(sys.argv[1]), signer=signer, master_key=bytes(32))

    def work():
        while True:
            attempt = secrets.token_hex(16)
            log.begin(attempt, tenant="t", time=TIME)
            os.write(1, f"begun {attempt}\\n".encode())
            event = Event(event_id=attempt, type="generation.released", time=TIME, source="s", nonce=attempt,
                          tenant="t", attempt=attempt)
            done = log.append(event, protected={"prompt": attempt})
            os.write(1, f"done {attempt} {done.index}\\n".encode())

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    work()
""")


def event(**changes: object) -> Event:
    fields = {
        "event_id": secrets.token_hex(16),
        "type": "generation.released",
        "time": TIME,
        "source": "faults",
        "nonce": secrets.token_hex(16),
        "tenant": "default",
        "attempt": secrets.token_hex(16),
    }
    return Event.model_validate({**fields, **changes})


def open_log(folder: Path, **options: object) -> AuditLog:
    return AuditLog.open(folder / "audit.db", signer=SIGNER, master_key=bytes(32), **options)  # type: ignore[arg-type]


def append_until_it_fails(log: AuditLog, acknowledged: list[Appended]) -> None:
    while True:
        acknowledged.append(log.append(event(params={"padding": "x" * 3000})))


@contextmanager
def trigger(path: Path, statement: str) -> Iterator[None]:
    """A write that fails inside SQLite itself, at a step of our choice."""
    with sqlite3.connect(path) as store:
        store.execute(f"CREATE TRIGGER fault {statement} BEGIN SELECT RAISE(ABORT, 'injected disk error'); END")
    store.close()
    yield
    with sqlite3.connect(path) as store:
        store.execute("DROP TRIGGER fault")
    store.close()


def test_killed_writers_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    luck = random.Random(5)
    begun: set[str] = set()
    done: dict[str, int] = {}

    def check(log: AuditLog, begun: set[str], done: dict[str, int]) -> None:
        assert log.verify().ok
        for attempt, at in done.items():
            assert log.find(event_id=attempt) == (at,)
        recorded = {attempt for attempt in begun if log.find(attempt=attempt)}
        unfinished = {pending.attempt for pending in log.unfinished()}
        assert begun - recorded <= unfinished
        assert not recorded & unfinished

    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "audit.db")], stdout=subprocess.PIPE)
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(luck.randrange(1, 60))]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        said = [line.decode().split() for line in lines]
        begun_now = {attempt for word, attempt, *_ in said if word == "begun"}
        done_now = {attempt: int(index[0]) for word, attempt, *index in said if word == "done"}
        with open_log(tmp_path) as log:
            check(log, begun_now, done_now)
        begun |= begun_now
        done |= done_now
    with open_log(tmp_path) as log:
        check(log, begun, done)
        for attempt, at in done.items():
            assert log.reveal(at, "prompt", reason="a test") == attempt
    assert begun


def test_a_full_disk_poisons_the_log_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[Appended] = []
    with open_log(tmp_path) as log:
        store = log._store._connection  # the limit belongs to the connection, as a full disk does to the machine
        used = store.execute("PRAGMA page_count").fetchone()[0]
        store.execute(f"PRAGMA max_page_count = {used + 20}")
        with pytest.raises(AuditPoisoned, match="full"):
            append_until_it_fails(log, acknowledged)
        with pytest.raises(AuditPoisoned):
            log.append(event())
        assert acknowledged
        assert log.receipt(0)
    with open_log(tmp_path) as log:
        assert log.size == len(acknowledged)
        assert all(log.event(done.index) == done.event for done in acknowledged)
        assert log.verify().ok
        log.append(event())


# Lets no file grow beyond a place in the middle of a page, where the kernel writes what fits and says so.
SHORT = textwrap.dedent("""
    import os, resource, secrets, sys
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from countermark.audit import AuditLog, NoteSigner
    from countermark.errors import AuditPoisoned
    from countermark.model import Event

    path, room, ending = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signer = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    log = AuditLog.open(path, signer=signer, master_key=bytes(32))

    def append():
        name = secrets.token_hex(16)
        event = Event(event_id=name, type="generation.released", time="2026-11-22T10:00:00.000Z", source="s",
                      nonce=name, tenant="t", attempt=name)
        print("done", name, log.append(event).index, flush=True)

    for _ in range(3):
        append()
    ahead = path.with_name(path.name + "-wal")
    limit = ahead.stat().st_size + room
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        while True:
            append()
    except AuditPoisoned:
        print("short", ahead.stat().st_size == limit, flush=True)
    if ending == "at once":
        os._exit(0)
    log.close()
""")


@pytest.mark.parametrize(("room", "ending"), [(1, "at once"), (20_000, "at once"), (20_000, "in order")])
def test_short_writes_lose_nothing_acknowledged(room: int, ending: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHORT, str(tmp_path / "audit.db"), str(room), ending]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    *lines, last = child.stdout.splitlines()
    assert last == "short True", "a write was to be cut off in the middle"
    assert len(lines) >= 3
    with open_log(tmp_path) as log:
        for line in lines:
            _, name, index = line.split()
            assert log.find(event_id=name) == (int(index),)
        assert log.verify().ok
        log.append(event())


@pytest.mark.parametrize("table", ["entry", "tile", "event_index"])
def test_a_commit_that_fails_and_does_not_persist(table: str, tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
        lost = event()
        with trigger(tmp_path / "audit.db", f"BEFORE INSERT ON {table}"), pytest.raises(AuditPoisoned):
            log.append(lost)
        with pytest.raises(AuditPoisoned):
            log.begin("another", tenant="t", time=TIME)
    with open_log(tmp_path) as log:
        assert (log.size, log.find(event_id=lost.event_id)) == (1, ())
        assert log.append(lost).index == 1
        assert log.verify().ok


def test_a_commit_that_fails_and_yet_persists_is_signed_at_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
        held = log.checkpoint()
        kept = event()
        with trigger(tmp_path / "signed.db", "BEFORE UPDATE ON signed"), pytest.raises(AuditPoisoned):
            log.append(kept)
        assert log.checkpoint() == held
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as reader:
        (finding,) = reader.verify(held).findings
        assert (finding.kind.value, finding.index, finding.last) == ("unsigned", 1, 1)
    with open_log(tmp_path) as log:
        assert log.size == 2
        assert log.append(kept).index == 1
        assert log.verify(held).ok


def test_a_checkpoint_that_could_not_be_published_is_published_at_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
        with trigger(tmp_path / "audit.db", "BEFORE UPDATE OF note ON head"), pytest.raises(AuditPoisoned):
            log.append(event())
    with open_log(tmp_path) as log:
        assert log.size == 2
        assert log.verify().ok


def test_two_copies_of_one_log_cannot_both_sign(tmp_path: Path) -> None:
    with open_log(tmp_path / "a") as log:
        log.append(event())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "audit.db").write_bytes((tmp_path / "a" / "audit.db").read_bytes())
    shared = tmp_path / "a" / "signed.db"
    with open_log(tmp_path / "a") as first, open_log(tmp_path / "b", signed=shared) as second:
        before = second.checkpoint()
        first.append(event())
        with pytest.raises(AuditPoisoned, match="Something else signed"):
            second.append(event())
        assert second.checkpoint() == before
    with pytest.raises(AuditError):
        open_log(tmp_path / "b", signed=shared)
    with open_log(tmp_path / "a") as first:
        assert first.verify().ok


def test_a_writer_behind_the_record_never_signs(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
    with sqlite3.connect(tmp_path / "signed.db") as record:
        record.execute("UPDATE signed SET size = 5")
    record.close()
    with pytest.raises(AuditRollback, match="1 entries, but 5 were signed"):
        open_log(tmp_path)


def test_a_record_restored_from_a_backup_is_refused(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
    older = (tmp_path / "signed.db").read_bytes()
    with open_log(tmp_path) as log:
        log.append(event())
        held = log.checkpoint()
    (tmp_path / "signed.db").write_bytes(older)
    with pytest.raises(AuditRollback, match="older than the log"):
        open_log(tmp_path)
    with open_log(tmp_path, held=held) as log:
        assert log.verify(held).ok


def test_somebody_who_moves_the_head_under_a_running_writer_stops_it(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event())
        with sqlite3.connect(tmp_path / "audit.db") as store:
            store.execute("UPDATE head SET size = 0")
        store.close()
        with pytest.raises(AuditPoisoned, match="changed by someone else"):
            log.append(event())


def test_more_unsigned_entries_than_a_crash_leaves_are_not_signed(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        note = log.checkpoint()
        for _ in range(2):
            log.append_many([(event(), None) for _ in range(600)])
    for name, statement in {
        "audit.db": "UPDATE head SET note = ?",
        "signed.db": "DELETE FROM signed WHERE ? <> ''",
    }.items():
        with sqlite3.connect(tmp_path / name) as store:
            store.execute(statement, (note,))
        store.close()
    with pytest.raises(AuditError, match="1200 entries are not signed"):
        open_log(tmp_path)


def test_a_second_process_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "audit.db")], stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        with pytest.raises(HomeLocked):
            open_log(tmp_path)
    finally:
        child.kill()
        child.communicate()
    with open_log(tmp_path) as log:
        assert log.verify().ok
