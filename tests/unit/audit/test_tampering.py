"""What whoever writes the store can do beside changing entries: to tables, tiles, records and what is encrypted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.unit.audit.altering import alter

from countermark.audit import AuditLog, LogFindingKind
from countermark.audit.checkpoint import sign_checkpoint
from countermark.errors import AuditRollback, AuditStoreDamaged, CheckpointInvalid

ENTRIES = 300
MASTER_KEY = bytes(range(32))


@pytest.fixture
def store(kit: ModuleType, tmp_path: Path) -> Path:
    """A log of 300 entries, the first four with encrypted prompts."""
    path = tmp_path / "audit.db"
    with AuditLog.open(path, signer=kit.signer(), master_key=MASTER_KEY) as log:
        log.append_many([(kit.make_event(n), {"prompt": f"cat {n}"} if n < 4 else None) for n in range(ENTRIES)])
        (tmp_path / "held").write_text(log.checkpoint())
    return path


def found(
    store: Path, *, held: bool = True, master_key: bytes | None = MASTER_KEY, index: bool = True
) -> list[tuple[str, int | None, str]]:
    with AuditLog.open(store, read_only=True, master_key=master_key) as log:
        report = log.verify((store.parent / "held").read_text() if held else None, index=index)
    return [(finding.kind.value, finding.index, finding.message) for finding in report.findings]


def test_an_untouched_store_is_intact(store: Path, kit: ModuleType) -> None:
    assert found(store) == []
    with AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY) as log:
        assert log.verify((store.parent / "held").read_text()).ok


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (
            ["CREATE TRIGGER t AFTER INSERT ON blob BEGIN UPDATE blob SET ciphertext = x'00'; END"],
            "trigger 't' on 'blob'",
        ),
        (["CREATE TRIGGER t AFTER INSERT ON posting BEGIN DELETE FROM posting; END"], "trigger 't' on 'posting'"),
        (["ALTER TABLE entry RENAME TO e", "CREATE VIEW entry AS SELECT * FROM e"], "table 'entry'"),
        (["DROP VIEW event", "CREATE VIEW event AS SELECT 1 AS seq"], "view 'event' of the store was changed"),
        (["CREATE INDEX quick ON entry (seq, body)"], "index 'quick' on 'entry'"),
        (["CREATE TABLE mine (x)", "CREATE INDEX by_words ON event_index (words)"], None),
    ],
)
def test_tables_that_the_log_did_not_make_are_found(
    statements: list[str], named: str | None, store: Path, kit: ModuleType
) -> None:
    alter(store, *statements)
    findings = found(store)
    if named is None:
        assert findings == []
        AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY).close()
        return
    assert any(kind == "store" and named in message for kind, _, message in findings), findings
    with pytest.raises(AuditStoreDamaged, match="not as the log made them"):
        AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY)


# --- tiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tile SET hashes = x'' WHERE level = 1",
        "UPDATE tile SET hashes = CAST(hashes || x'0000' AS BLOB) WHERE level = 0 AND idx = 1",
        "UPDATE tile SET hashes = CAST(hashes || x'0000' AS BLOB) WHERE level = 1",
    ],
)
def test_empty_and_overlong_tiles_are_found(statement: str, store: Path) -> None:
    alter(store, statement)
    assert [kind for kind, _, _ in found(store)] == ["tree"]


# --- head and numbers ---


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE head SET size = 299", "The stored head of 299 entries is not that of the entries."),
        ("UPDATE head SET root = zeroblob(32)", "The stored head of 300 entries is not that of the entries."),
        ("UPDATE entry SET seq = 300 WHERE seq = 299", "Entry 299 is stored under the number 300."),
        ("UPDATE entry SET seq = -1 WHERE seq = 0", "Entry 0 is stored under the number -1."),
    ],
)
def test_a_head_or_a_number_that_does_not_fit_the_entries_is_found(statement: str, said: str, store: Path) -> None:
    alter(store, statement)
    for index in (True, False):
        findings = found(store, index=index)
        assert any(said in message for _, _, message in findings), findings


def test_what_no_checkpoint_covers_is_named(store: Path, kit: ModuleType) -> None:
    with AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY) as log:
        older = log.checkpoint()
        log.append_many([(kit.make_event(n), None) for n in (ENTRIES, ENTRIES + 1)])
    connection = sqlite3.connect(store)
    connection.execute("UPDATE head SET note = ?", (older,))
    connection.commit()
    connection.close()
    with AuditLog.open(store, read_only=True) as log:
        (finding,) = log.verify((store.parent / "held").read_text()).findings
    assert (finding.kind, finding.index, finding.last) == (LogFindingKind.UNSIGNED, ENTRIES, ENTRIES + 1)
    assert "entries 300 to 301" in finding.message


# --- entries that the log's rules forbid ------------------------------------------------------------------------------


def respelled(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=1).encode()


def with_a_key_twice(body: bytes) -> bytes:
    return body.replace(b'"tenant":', b'"tenant":"x","tenant":')


def overlong(body: bytes) -> bytes:
    return body.replace(b'"tenant":"', b'"tenant":"' + b"x" * 70_000)


@pytest.mark.parametrize("change", [respelled, with_a_key_twice, overlong])
def test_an_entry_that_is_no_canonical_event_is_found_whoever_signed_it(
    change: Callable[[bytes], bytes], store: Path, kit: ModuleType
) -> None:
    connection = sqlite3.connect(store)
    (body,) = connection.execute("SELECT body FROM entry WHERE seq = 5").fetchone()
    connection.execute("UPDATE entry SET body = ? WHERE seq = 5", (change(body),))
    kit.forge_tree(connection, kit.signer())
    connection.commit()
    connection.close()
    (store.parent / "signed.db").unlink()
    (finding,) = found(store, held=False)
    assert (finding[0], finding[1]) == ("invalid", 5)


def test_a_second_entry_of_one_id_is_found_and_hides_nothing_of_the_first(store: Path, kit: ModuleType) -> None:
    connection = sqlite3.connect(store)
    (first,) = connection.execute("SELECT body FROM entry WHERE seq = 2").fetchone()
    connection.execute("UPDATE entry SET body = ? WHERE seq = 200", (first.replace(b"prompt", b"held_picture"),))
    connection.execute("DELETE FROM secret WHERE key_id = ?", (json.loads(first)["event_id"],))
    connection.execute("DELETE FROM blob WHERE event_id = ?", (json.loads(first)["event_id"],))
    kit.forge_tree(connection, kit.signer())
    connection.commit()
    connection.close()
    (store.parent / "signed.db").unlink()
    findings = found(store, held=False)
    assert [(kind, index) for kind, index, _ in findings] == [("invalid", 200), ("protected", 2)]
    assert "Entries 2 and 200 bear the same event id" in findings[0][2]
    with pytest.raises(AuditStoreDamaged, match="Entries 2 and 200 bear the same event id"):
        AuditLog.reindex(store)


# --- what is encrypted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "without_key"),
    [
        ("UPDATE blob SET ciphertext = randomblob(length(ciphertext)) WHERE rowid = 1", False),
        ("UPDATE blob SET ciphertext = (SELECT ciphertext FROM blob b WHERE b.rowid <> blob.rowid LIMIT 1)", False),
        ("UPDATE secret SET wrapped_dek = randomblob(60) WHERE rowid = 1", False),
        ("UPDATE secret SET master_id = 'somebody' WHERE rowid = 1", False),
        ("UPDATE secret SET wrapped_dek = x'00' WHERE rowid = 1", True),
        ("UPDATE blob SET ciphertext = x'00' WHERE rowid = 1", True),
    ],
)
def test_protected_fields_that_cannot_be_opened_are_found(statement: str, without_key: bool, store: Path) -> None:
    alter(store, statement)
    findings = found(store)
    assert findings
    assert {kind for kind, _, _ in findings} == {"protected"}
    assert findings[0][1] in range(4)
    assert bool(found(store, master_key=None)) is without_key


def test_without_the_master_key_the_report_says_what_was_not_compared(store: Path) -> None:
    with AuditLog.open(store, read_only=True) as log:
        (missing,) = log.verify().not_compared
    assert "master key" in missing
    with AuditLog.open(store, read_only=True, master_key=MASTER_KEY) as log:
        assert log.verify().not_compared == ()


# --- what was signed --------------------------------------------------------------------------------------------------


def test_a_record_that_is_not_there_is_said_to_be(store: Path) -> None:
    (store.parent / "signed.db").unlink()
    with AuditLog.open(store, read_only=True, master_key=MASTER_KEY) as log:
        report = log.verify()
    assert report.ok
    assert "record of what was signed is not here" in report.not_compared[0]


def test_an_older_record_is_found(store: Path, kit: ModuleType) -> None:
    record = store.parent / "signed.db"
    older = record.read_bytes()
    with AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY) as log:
        log.append(kit.make_event(ENTRIES))
        assert log.verify().ok
    record.write_bytes(older)
    ((kind, _, message),) = found(store)
    assert kind == "checkpoint"
    assert "of 300 entries, is older than the newest checkpoint" in message


def test_a_damaged_record_is_told_from_a_damaged_log(store: Path, kit: ModuleType) -> None:
    record = store.parent / "signed.db"
    record.write_bytes(b"no database" * 1000)
    ((kind, _, message),) = found(store)
    assert kind == "checkpoint"
    assert "signed.db, is damaged" in message
    assert "Move it away" in message
    with pytest.raises(AuditStoreDamaged, match=r"signed\.db, is damaged") as refused:
        AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY)
    assert "log vouch" in refused.value.remedy
    record.unlink()
    with pytest.raises(AuditRollback):
        AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY)
    held = (store.parent / "held").read_text()
    AuditLog.open(store, signer=kit.signer(), master_key=MASTER_KEY, held=held).close()
    assert found(store) == []


@pytest.mark.parametrize("note", ["garbage", "", "a\n1\nb\n\n\u2014 c d\n"])
def test_a_published_checkpoint_that_is_none_is_found(note: str, store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.execute("UPDATE head SET note = ?", (note,))
    connection.commit()
    connection.close()
    assert "checkpoint" in [kind for kind, _, _ in found(store)]


def test_a_checkpoint_that_says_nothing_of_the_log_accuses_nobody(store: Path, kit: ModuleType) -> None:
    held = (store.parent / "held").read_text()
    damaged = held.replace("\n300\n", "\n301\n")
    another = sign_checkpoint(kit.signer("somebody else"), 300, bytes(32))
    renamed = another.replace(another.split("\n")[0], "another.example/log")
    with AuditLog.open(store, read_only=True, master_key=MASTER_KEY) as log:
        for given, said in ((damaged, "damaged"), ("no checkpoint", "damaged"), (renamed, "another.example/log")):
            with pytest.raises(CheckpointInvalid, match=said):
                log.verify(given)
        report = log.verify(another)  # under the log's own name by another key: one of the two is a thief's
    assert [finding.kind for finding in report.findings] == [LogFindingKind.CHECKPOINT]
