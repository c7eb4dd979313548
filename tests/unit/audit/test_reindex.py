"""The look-up index is a convenience: damaged or gone it keeps nobody from the entries, and it can be made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.unit.audit.altering import alter

from countermark.audit import AuditLog, LogFindingKind, verify_receipt
from countermark.audit.query import Filter
from countermark.audit.stores.sqlite_schema import OLDER_INDEX
from countermark.audit.warrant import Warrant
from countermark.errors import (
    AuditError,
    AuditIndexOutdated,
    AuditIndexUnusable,
    AuditPoisoned,
    AuditStoreDamaged,
    HomeLocked,
    NotFound,
)

ENTRIES = 300


@pytest.fixture
def path(kit: ModuleType, tmp_path: Path) -> Path:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.append_many([(kit.make_event(number), None) for number in range(ENTRIES)])
    return tmp_path / "audit.db"


def drop(path: Path) -> None:
    alter(path, "DROP TABLE event_index", "DROP TABLE posting", "DROP TABLE locator")


def garble(path: Path) -> None:
    """Overwrite the pages of the index tables in the file, root pages first."""
    store = sqlite3.connect(path)
    size = store.execute("PRAGMA page_size").fetchone()[0]
    tables = "('event_index', 'posting', 'locator')"
    roots = store.execute(f"SELECT rootpage FROM sqlite_schema WHERE tbl_name IN {tables}").fetchall()
    store.close()
    with path.open("r+b") as file:
        for (page,) in roots:
            if page:
                file.seek((page - 1) * size)
                file.write(b"\xff" * size)


def lie(path: Path) -> None:
    alter(
        path, "UPDATE event_index SET type = 'access', tenant = 'nobody'", "DELETE FROM posting", "DELETE FROM locator"
    )


def empty(path: Path) -> None:
    alter(path, "DELETE FROM event_index", "DELETE FROM posting", "DELETE FROM locator")


DAMAGES = [drop, garble, lie, empty]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_built_anew(damage: Callable[[Path], None], path: Path, kit: ModuleType) -> None:
    held = contents(path)
    damage(path)
    with AuditLog.open(path, read_only=True) as log:
        assert not log.verify().ok
    seen: list[tuple[int, int]] = []
    assert AuditLog.reindex(path, progress=lambda done, whole: seen.append((done, whole))) == ENTRIES
    assert seen[-1] == (ENTRIES, ENTRIES)
    assert contents(path) == held
    with AuditLog.open(path, signer=kit.signer()) as log:
        assert log.verify().ok
        assert log.find(event_id=kit.make_event(7).event_id) == (7,)
        assert log.append(kit.make_event(7)).index == 7, "ids are known again, so retries stay harmless"
        assert log.append(kit.make_event(ENTRIES)).index == ENTRIES


def contents(path: Path) -> list[str]:
    store = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return sorted(store.iterdump())
    finally:
        store.close()


@pytest.mark.parametrize("damage", [drop, garble])
def test_an_unusable_index_keeps_nobody_from_the_entries(
    damage: Callable[[Path], None], path: Path, kit: ModuleType, tmp_path: Path
) -> None:
    damage(path)
    with AuditLog.open(path, read_only=True) as log:
        assert log.event(5) == kit.make_event(5)
        assert log.receipt(5)
        page = log.page(Filter(tenant="tenant-é", type="generation.refused"), limit=3)
        assert page.index_damage
        assert [row.index for row in page.rows] == [299, 279, 259]
        assert [row.index for row in log.page(Filter(before=3)).rows] == [2, 1, 0]
        (finding,) = log.verify(log.checkpoint()).findings
        assert finding.kind is LogFindingKind.INDEX
        assert "log reindex" in finding.message
        assert log.holds() == ()


@pytest.mark.parametrize("damage", [drop, garble])
def test_what_needs_the_index_says_how_to_mend_it(damage: Callable[[Path], None], path: Path, kit: ModuleType) -> None:
    damage(path)
    with AuditLog.open(path, read_only=True) as log, pytest.raises(AuditIndexUnusable) as refused:
        log.find(event_id=kit.make_event(7).event_id)
    assert refused.value.remedy == AuditIndexUnusable.default_remedy
    with pytest.raises(AuditIndexUnusable):
        AuditLog.open(path, signer=kit.signer())


def test_an_index_dropped_under_a_running_writer_stops_it_and_says_why(path: Path, kit: ModuleType) -> None:
    with AuditLog.open(path, signer=kit.signer()) as log:
        drop(path)
        with pytest.raises(AuditPoisoned, match="look-up index"):
            log.append(kit.make_event(ENTRIES))
        assert log.event(5) == kit.make_event(5)


@pytest.mark.parametrize("damage", [drop, garble])
def test_altered_entries_are_named_although_the_index_is_gone(
    damage: Callable[[Path], None], path: Path, kit: ModuleType
) -> None:
    alter(path, "UPDATE entry SET body = x'7b7d' WHERE seq = 5", "DELETE FROM entry WHERE seq = 9")
    damage(path)
    with AuditLog.open(path, read_only=True) as log:
        found = {(finding.kind, finding.index) for finding in log.verify(log.checkpoint()).findings}
    assert {(LogFindingKind.EDITED, 5), (LogFindingKind.MISSING, 9), (LogFindingKind.INDEX, None)} <= found


def test_an_export_needs_no_index(path: Path, kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(path, signer=kit.signer()) as log:
        lie(path)
        assert log.export(tmp_path / "bundle", Warrant("audit")).manifest.end == ENTRIES


def test_an_index_is_not_built_over_altered_entries(path: Path, kit: ModuleType) -> None:
    lie(path)
    alter(path, "UPDATE entry SET body = x'7b7d' WHERE seq = 280")
    before = contents(path)
    with pytest.raises(AuditStoreDamaged, match="Entry 280"):
        AuditLog.reindex(path)
    assert contents(path) == before


def test_no_index_is_built_under_a_running_writer(path: Path, kit: ModuleType) -> None:
    with AuditLog.open(path, signer=kit.signer()), pytest.raises(HomeLocked):
        AuditLog.reindex(path)
    with pytest.raises(NotFound):
        AuditLog.reindex(path.with_name("absent.db"))


def grow_old(path: Path, version: int) -> None:
    drop(path)
    alter(path, "CREATE TABLE event_index (seq INTEGER PRIMARY KEY, leaf BLOB)", f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", sorted(OLDER_INDEX))
def test_an_older_index_keeps_nobody_from_the_entries_and_is_no_damage(
    version: int, path: Path, kit: ModuleType
) -> None:
    grow_old(path, version)
    with AuditLog.open(path, read_only=True) as log:
        assert log.event(5) == kit.make_event(5)
        verify_receipt(log.receipt(5), verifier_key=log.verifier_key)
        assert log.consistency(7, ENTRIES)
        assert log.holds() == ()
        report = log.verify(log.checkpoint())
        assert report.ok
        assert "index" not in report.compared, "and nobody says that it was compared"
        page = log.page(Filter(tenant="tenant-é", type="generation.refused"), limit=3)
        assert ([row.index for row in page.rows], "older version" in page.index_damage) == ([299, 279, 259], True)
        for look_up in (
            lambda: log.find(event_id=kit.make_event(7).event_id),
            lambda: log.list(3),
            lambda: list(log.fingerprints()),
            lambda: log.record_id_taken(7),
        ):
            with pytest.raises(AuditIndexOutdated) as refused:
                look_up()
            assert "log reindex" in refused.value.remedy
        assert AuditLog.reindex(path) == ENTRIES
        assert log.find(event_id=kit.make_event(7).event_id) == (7,), "a reader need not be opened again"
        assert "index" in log.verify().compared


@pytest.mark.parametrize("version", sorted(OLDER_INDEX))
def test_a_store_with_an_older_index_is_written_only_when_it_is_up_to_date(
    version: int, path: Path, kit: ModuleType
) -> None:
    grow_old(path, version)
    with pytest.raises(AuditIndexOutdated, match="look-up index") as refused:
        AuditLog.open(path, signer=kit.signer())
    assert "log reindex" in refused.value.remedy
    assert AuditLog.reindex(path) == ENTRIES
    with AuditLog.open(path, signer=kit.signer()) as log:
        assert log.verify().ok
    alter(path, "PRAGMA user_version = 99")
    with pytest.raises(AuditError, match="format 99"):
        AuditLog.reindex(path)


# --- pages ------------------------------------------------------------------------------------------------------------


def test_a_damaged_entry_is_shown_as_such_among_the_others(path: Path, kit: ModuleType) -> None:
    alter(path, "UPDATE entry SET body = x'7b7d' WHERE seq = 298", "DELETE FROM entry WHERE seq = 296")
    with AuditLog.open(path, read_only=True) as log:
        page = log.page(Filter(), limit=5)
        assert not page.index_damage
        assert [row.index for row in page.rows] == [299, 298, 297, 296, 295]
        assert [row.event is None for row in page.rows] == [False, True, False, True, False]
        assert "not what was recorded" in page.rows[1].damage
        with pytest.raises(AuditStoreDamaged):
            log.list(5)


def test_a_row_that_the_index_files_wrongly_is_marked(path: Path) -> None:
    alter(path, "UPDATE event_index SET output_sha256 = 'x' WHERE seq = 5")
    with AuditLog.open(path, read_only=True) as log:
        (row,) = log.page(Filter(output_sha256="x")).rows
        assert (row.index, "index is wrong" in row.damage) == (5, True)
