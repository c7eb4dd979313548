"""Somebody may write the whole database, and perhaps sign: what is found, and by what.

Six attacks, each naive, with every hash forged, and with the signing key stolen as well.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from countermark.audit import AuditLog, LogFindingKind, VerifyReport
from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.note import NoteSigner
from countermark.audit.tiles import HashedTree
from countermark.errors import AuditError, AuditRollback

ENTRIES = 300
Attack = Callable[[sqlite3.Connection], None]
ATTACKS = [
    "entry-edited",
    "entry-deleted",
    "entry-deleted-and-renumbered",
    "entries-swapped",
    "entry-inserted",
    "log-truncated",
]
NAMED = {
    "entry-edited": ("edited", 5),
    "entry-deleted": ("missing", 5),
    "entry-deleted-and-renumbered": ("missing", 5),
    "entries-swapped": ("reordered", 6),
    "entry-inserted": ("inserted", 5),
    "log-truncated": ("truncated", ENTRIES - 2),
}


@pytest.fixture(scope="module")
def original(kit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("log")
    with AuditLog.open(folder / "audit.db", signer=kit.signer()) as log:
        log.append_many([(kit.make_event(number), None) for number in range(ENTRIES)])
        assert log.verify(log.checkpoint()).ok
        return folder, log.checkpoint()


@pytest.fixture
def attacked(original: tuple[Path, str], tmp_path: Path) -> Callable[..., Path]:
    def attack(*changes: Attack, forget_record: bool = False) -> Path:
        home = tmp_path / "home"
        shutil.copytree(original[0], home)
        if forget_record:
            (home / "signed.db").unlink()
        store = sqlite3.connect(home / "audit.db")
        for change in changes:
            change(store)
        store.commit()
        store.close()
        return home

    return attack


def verify(home: Path, held: str | None = None) -> VerifyReport:
    with AuditLog.open(home / "audit.db", read_only=True) as log:
        return log.verify(held)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_changed_entry_table_names_the_entry(name: str, kit: ModuleType, attacked: Callable[..., Path]) -> None:
    report = verify(attacked(kit.ATTACKS[name], forget_record=True))
    assert NAMED[name] in [(finding.kind.value, finding.index) for finding in report.findings]


@pytest.mark.parametrize("name", ATTACKS)
def test_forged_hashes_without_the_key_contradict_the_checkpoint(
    name: str, kit: ModuleType, attacked: Callable[..., Path]
) -> None:
    report = verify(attacked(kit.ATTACKS[name], kit.forge_tree, forget_record=True))
    found = {finding.kind for finding in report.findings}
    assert found & {LogFindingKind.REWRITTEN, LogFindingKind.TRUNCATED, LogFindingKind.UNSIGNED}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forger_who_forgets_the_index_still_has_the_entry_named(
    name: str, kit: ModuleType, attacked: Callable[..., Path], original: tuple[Path, str]
) -> None:
    def forge(store: sqlite3.Connection) -> None:
        kit.forge_tree(store, kit.signer(), index=False)

    report = verify(attacked(kit.ATTACKS[name], forge, forget_record=True), held=original[1])
    assert NAMED[name] in [(finding.kind.value, finding.index) for finding in report.findings]


@pytest.mark.parametrize("name", ATTACKS)
def test_with_the_stolen_key_only_what_is_kept_elsewhere_convicts(
    name: str, kit: ModuleType, attacked: Callable[..., Path], original: tuple[Path, str]
) -> None:
    def forge(store: sqlite3.Connection) -> None:
        kit.forge_tree(store, kit.signer())

    home = attacked(kit.ATTACKS[name], forge)
    record = (home / "signed.db").read_bytes()
    (home / "signed.db").unlink()
    assert verify(home).ok, "the database alone cannot tell: that is why checkpoints are kept elsewhere"
    assert not verify(home, held=original[1]).ok
    (home / "signed.db").write_bytes(record)
    assert not verify(home).ok


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_lets_the_writer_carry_on_signing(name: str, kit: ModuleType, attacked: Callable[..., Path]) -> None:
    home = attacked(kit.ATTACKS[name], lambda store: kit.forge_tree(store, kit.signer()))
    with pytest.raises(AuditError):
        AuditLog.open(home / "audit.db", signer=kit.signer())


@pytest.mark.parametrize("note", ["", "forged", "replayed"])
@pytest.mark.parametrize("forget_notes", [True, False])
def test_no_record_of_a_head_that_the_key_never_signed_is_believed(
    note: str, forget_notes: bool, kit: ModuleType, attacked: Callable[..., Path], original: tuple[Path, str]
) -> None:
    def forge(store: sqlite3.Connection) -> None:
        kit.ATTACKS["entry-edited"](store)
        kit.forge_tree(store)
        if forget_notes:
            store.execute("UPDATE head SET note = ''")
            store.execute("DELETE FROM checkpoint")

    home = attacked(forge)
    with sqlite3.connect(home / "audit.db") as store:
        head = store.execute("SELECT size, root FROM head").fetchone()
    thief = kit.signer("somebody else")
    notes = {"": "", "forged": sign_checkpoint(thief, *head), "replayed": original[1]}
    with sqlite3.connect(home / "signed.db") as record:
        record.execute("UPDATE signed SET size = ?, root = ?, note = ?", (*head, notes[note]))
    with pytest.raises(AuditError):
        AuditLog.open(home / "audit.db", signer=kit.signer())
    assert not verify(home, held=original[1]).ok
    if forget_notes:  # the log's own signed checkpoint is gone: nothing left in the two stores was signed by its key
        with pytest.raises(AuditRollback, match="checkpoint is gone"):
            AuditLog.open(home / "audit.db", signer=kit.signer())


def test_a_record_of_before_notes_were_kept_gets_them(kit: ModuleType, attacked: Callable[..., Path]) -> None:
    home = attacked()
    with sqlite3.connect(home / "signed.db") as record:
        record.execute("ALTER TABLE signed DROP COLUMN note")
    assert verify(home).ok
    with AuditLog.open(home / "audit.db", signer=kit.signer()) as log:
        log.append(kit.make_event(ENTRIES))
        note = log.checkpoint()
    with sqlite3.connect(home / "signed.db") as record:
        assert record.execute("SELECT size, note FROM signed").fetchall() == [(ENTRIES + 1, note)]


def test_older_checkpoints_narrow_down_where_the_forgery_begins(kit: ModuleType, attacked: Callable[..., Path]) -> None:
    def edit_late(store: sqlite3.Connection) -> None:
        body = store.execute("SELECT body FROM entry WHERE seq = 280").fetchone()[0]
        store.execute("UPDATE entry SET body = ? WHERE seq = 280", (body.replace(b"gateway-1", b"gateway-2"),))

    def keep_checkpoint_at_256(store: sqlite3.Connection) -> None:
        leaves = [leaf for (leaf,) in store.execute("SELECT leaf FROM event_index ORDER BY seq LIMIT 256")]
        root = HashedTree(b"".join(leaves)).root(256)
        assert root
        store.execute("INSERT INTO checkpoint VALUES (256, ?)", (sign_checkpoint(kit.signer(), 256, root),))

    report = verify(attacked(keep_checkpoint_at_256, edit_late, kit.forge_tree, forget_record=True))
    (finding,) = report.findings
    assert (finding.kind, finding.index, finding.last) == (LogFindingKind.REWRITTEN, 256, ENTRIES - 1)


def test_altered_hashes_over_good_entries_are_told_from_altered_entries(
    kit: ModuleType, attacked: Callable[..., Path]
) -> None:
    (finding,) = verify(attacked(kit.alter_leaf_hash)).findings
    assert (finding.kind, finding.index) == (LogFindingKind.TREE, 5)
    assert "the entries are as signed" in finding.message


def test_altered_tree_hashes_above_the_leaves_are_found(kit: ModuleType, attacked: Callable[..., Path]) -> None:
    def alter(store: sqlite3.Connection) -> None:
        store.execute("UPDATE tile SET hashes = zeroblob(32) WHERE level = 1")

    (finding,) = verify(attacked(alter)).findings
    assert (finding.kind, finding.index, finding.last) == (LogFindingKind.TREE, 0, ENTRIES - 1)


def test_an_index_that_lies_is_found_and_never_believed(kit: ModuleType, attacked: Callable[..., Path]) -> None:
    digest = kit.make_event(8).output.sha256

    def lie(store: sqlite3.Connection) -> None:
        store.execute("UPDATE event_index SET output_sha256 = NULL WHERE seq = 8")
        store.execute("UPDATE event_index SET output_sha256 = ? WHERE seq = 7", (digest,))

    home = attacked(lie)
    assert [(f.kind, f.index, f.last) for f in verify(home).findings] == [(LogFindingKind.INDEX, 7, 8)]
    with AuditLog.open(home / "audit.db", read_only=True) as log, pytest.raises(AuditError, match="entry 7"):
        log.find(output_sha256=digest)


def test_rows_hidden_from_an_index_are_found(kit: ModuleType, attacked: Callable[..., Path]) -> None:
    home = attacked()
    event_id = kit.make_event(8).event_id
    for old, new in (("UNIQUE (event_id)", "UNIQUE (time, seq)"), ("UNIQUE (time, seq)", "UNIQUE (event_id)")):
        store = sqlite3.connect(home / "audit.db")
        store.execute("PRAGMA writable_schema = ON")
        store.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'event_index'", (old, new))
        store.commit()
        store.close()
        if "time" in new:  # an index over times, which will claim to be one over event ids
            store = sqlite3.connect(home / "audit.db")
            store.execute("REINDEX event_index")
            store.close()
    with AuditLog.open(home / "audit.db", read_only=True) as log:
        assert log.find(event_id=event_id) == (), "SQLite itself believes its index"
        assert {finding.kind for finding in log.verify().findings} == {LogFindingKind.STORE}


def test_a_checkpoint_by_another_key_is_not_believed(
    kit: ModuleType, attacked: Callable[..., Path], original: tuple[Path, str]
) -> None:
    home = attacked(kit.sign_with_another_key)
    assert LogFindingKind.CHECKPOINT in {finding.kind for finding in verify(home).findings}

    def take_over(store: sqlite3.Connection) -> None:
        thief: NoteSigner = kit.signer("somebody else")
        store.execute("UPDATE meta SET value = ? WHERE key = 'verifier_key'", (thief.verifier_key,))
        store.execute("DELETE FROM checkpoint")

    shutil.rmtree(home)
    home = attacked(kit.sign_with_another_key, take_over, forget_record=True)
    assert verify(home).ok, "a thief who replaces the key too is found only with something kept elsewhere"
    assert not verify(home, held=original[1]).ok
    with AuditLog.open(home / "audit.db", read_only=True, verifier_key=kit.signer().verifier_key) as log:
        assert not log.verify().ok


def test_a_restored_older_copy_is_a_rollback(kit: ModuleType, original: tuple[Path, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(original[0], home)
    older = (home / "audit.db").read_bytes()
    with AuditLog.open(home / "audit.db", signer=kit.signer()) as log:
        log.append(kit.make_event(ENTRIES))
        held = log.checkpoint()
    (home / "audit.db").write_bytes(older)
    report = verify(home)
    assert [(f.kind, f.index, f.last) for f in report.findings] == [(LogFindingKind.ROLLBACK, ENTRIES, ENTRIES)]
    with pytest.raises(AuditRollback, match="301 were signed"):
        AuditLog.open(home / "audit.db", signer=kit.signer())
    (home / "signed.db").unlink()
    with pytest.raises(AuditRollback, match=r"signed\.db, is missing"):
        AuditLog.open(home / "audit.db", signer=kit.signer())
    with pytest.raises(AuditRollback, match="kept elsewhere 301"):
        AuditLog.open(home / "audit.db", signer=kit.signer(), held=held)


def test_a_lost_record_is_replaced_only_on_the_word_of_a_checkpoint_kept_elsewhere(
    kit: ModuleType, original: tuple[Path, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(original[0], home)
    (home / "signed.db").unlink()
    with AuditLog.open(home / "audit.db", signer=kit.signer(), held=original[1]) as log:
        log.append(kit.make_event(ENTRIES))
    with AuditLog.open(home / "audit.db", signer=kit.signer()) as log:
        assert log.verify(original[1]).ok


def test_a_deleted_log_cannot_be_started_anew_under_the_same_key(
    kit: ModuleType, original: tuple[Path, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(original[0], home)
    (home / "audit.db").unlink()
    with pytest.raises(AuditRollback):
        AuditLog.open(home / "audit.db", signer=kit.signer())


@pytest.mark.parametrize("place", [b"SQLite format 3", b"CREATE TABLE entry", b'"tenant":"default"'])
def test_a_damaged_file_is_reported_and_never_a_crash(place: bytes, attacked: Callable[..., Path]) -> None:
    path = attacked() / "audit.db"
    content = bytearray(path.read_bytes())
    offset = content.index(place)
    content[offset : offset + 16] = b"\xff" * 16
    path.write_bytes(content)
    try:
        report = verify(path.parent)
    except AuditError:
        return
    assert not report.ok
