"""Verification in one pass: the same roots as the whole tree, in one process or several, and nothing slips through."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from countermark.audit import AuditLog, LogFindingKind
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import AppendEntry
from countermark.audit.query import index_row
from countermark.audit.stores.postings import BLOCK
from countermark.audit.stores.sqlite import SqliteStore
from countermark.audit.stores.sqlite_locators import BUCKETS
from countermark.audit.sweep import INDEX_STEP, Intact, Plan, sweep
from countermark.audit.tiles import HashedTree

STRETCH = INDEX_STEP
ENTRIES = 4 * STRETCH + 300
Damage = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def home(kit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    template = event_document(kit.make_event(0))
    with AuditLog.open(folder / "audit.db", signer=kit.signer()) as log:
        documents = [{**template, "event_id": f"{n:032x}", "nonce": f"{n:032x}"} for n in range(ENTRIES)]
        entries = [AppendEntry(d["event_id"], canonical_bytes(d), index_row(d)) for d in documents]
        assert log._writer is not None
        log._writer.submit(entries)
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(damage: Damage) -> Path:
        shutil.copytree(home, tmp_path / "copy")
        store = sqlite3.connect(tmp_path / "copy" / "audit.db")
        damage(store)
        store.commit()
        store.close()
        return tmp_path / "copy" / "audit.db"

    return make


def swept(path: Path, *, jobs: int = 1, sizes: tuple[int, ...] = (), index: bool = True) -> Intact | None:
    store = SqliteStore(path, read_only=True)
    with store.snapshot() as reader:
        size = reader.entry_count()
        opening = partial(SqliteStore, path, read_only=True)
        plan = Plan(size, sizes or (size,), index, jobs=jobs, open_store=opening, stretch=STRETCH)
        assert plan.shared == (jobs > 1)
        done = sweep(reader, plan)
    store.close()
    return done


def test_a_sweep_gives_the_root_of_every_size_that_is_asked_for(home: Path) -> None:
    store = sqlite3.connect(f"{(home / 'audit.db').as_uri()}?mode=ro", uri=True)
    leaves = b"".join(leaf for (leaf,) in store.execute("SELECT leaf FROM event_index ORDER BY seq"))
    store.close()
    tree = HashedTree(leaves)
    sizes = (0, 1, 2, 255, 256, 257, 511, 512, 4095, 4096, 4097, 5000, 8191, 8192, 16_383, 16_384, 16_400, ENTRIES)
    done = swept(home / "audit.db", sizes=sizes, index=False)
    assert done is not None
    assert done.roots == {size: tree.root(size) for size in sizes}


def test_several_processes_find_what_one_finds(home: Path) -> None:
    sizes = (1, 4096, 5001, 16_384, ENTRIES)
    assert swept(home / "audit.db", jobs=2, sizes=sizes) == swept(home / "audit.db", sizes=sizes) is not None


def edit(seq: int) -> Damage:
    return lambda store: store.execute("UPDATE entry SET body = CAST(body || x'20' AS BLOB) WHERE seq = ?", (seq,))


DAMAGES: dict[str, tuple[Damage, tuple[str, int]]] = {
    "first entry": (edit(0), ("edited", 0)),
    "entry of the third stretch": (edit(9000), ("edited", 9000)),
    "last entry": (edit(ENTRIES - 1), ("edited", ENTRIES - 1)),
    "entry removed at a stretch's border": (
        lambda store: store.execute("DELETE FROM entry WHERE seq = 8192"),
        ("missing", 8192),
    ),
    "entry added": (
        lambda store: store.execute("INSERT INTO entry VALUES (?, x'7b7d')", (ENTRIES,)),
        ("inserted", ENTRIES),
    ),
    "entry numbered below all": (
        lambda store: store.execute("INSERT INTO entry VALUES (-1, x'7b7d')"),
        ("inserted", -1),
    ),
    "upper tile": (
        lambda store: store.execute("UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 1"),
        ("tree", 0),
    ),
    "hashes behind the last tile": (
        lambda store: store.execute(
            "UPDATE tile SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE level = 0 AND idx = 65"
        ),
        ("tree", ENTRIES),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_anywhere_ends_the_sweep_and_is_then_named(name: str, copy: Callable[..., Path]) -> None:
    damage, named = DAMAGES[name]
    path = copy(damage)
    assert swept(path) is None
    with AuditLog.open(path, read_only=True) as log:
        findings = log.verify().findings
        assert named in [(finding.kind.value, finding.index) for finding in findings]
        assert log.verify(index=False).findings


def test_damage_in_a_stretch_of_another_process_is_not_lost(copy: Callable[..., Path]) -> None:
    path = copy(LIES["column"][0])
    done = swept(path, jobs=2)
    assert done is not None
    assert done.not_as_indexed == LIES["column"][1]
    with sqlite3.connect(path) as store:
        edit(9000)(store)
    store.close()
    assert swept(path, jobs=2) is None


def test_a_tile_that_belongs_nowhere_is_named(copy: Callable[..., Path]) -> None:
    path = copy(lambda store: store.execute("INSERT INTO tile VALUES (2, 0, zeroblob(32))"))
    assert swept(path) is None
    with AuditLog.open(path, read_only=True) as log:
        (finding,) = log.verify().findings
        assert (finding.kind, "tile/2/000" in finding.message) == (LogFindingKind.TREE, True)


LIES: dict[str, tuple[Damage, list[int]]] = {
    "column": (lambda store: store.execute("UPDATE event_index SET tenant = 'x' WHERE seq = 5000"), [5000]),
    "leaf": (lambda store: store.execute("UPDATE event_index SET leaf = zeroblob(32) WHERE seq = 5000"), [5000]),
    "row removed": (lambda store: store.execute("DELETE FROM event_index WHERE seq = 5000"), [5000]),
    "postings removed": (
        lambda store: store.execute("DELETE FROM posting WHERE block = 1 AND term = 'type=generation.released'"),
        list(range(BLOCK, 2 * BLOCK)),
    ),
    "one bit of a posting": (
        lambda store: store.execute(
            "UPDATE posting SET bits = CAST(x'01fe' || substr(bits, 3) AS BLOB)"
            " WHERE block = 2 AND term = 'decision=allow'"
        ),
        [2 * BLOCK],
    ),
    "times": (
        lambda store: store.execute("UPDATE posting SET bits = x'2f' WHERE block = 3 AND term = 'times'"),
        [12288],
    ),
    "posting of nothing": (lambda store: store.execute("INSERT INTO posting VALUES (0, 'tenant=x', x'01')"), [0]),
    "posting of a block that is not full": (
        lambda store: store.execute("INSERT INTO posting VALUES (4, 'tenant=default', x'000200')"),
        [4 * BLOCK + 2],
    ),
    "locators removed": (
        lambda store: store.execute("DELETE FROM locator WHERE place = (SELECT max(place) FROM locator)"),
        list(range(3 * BLOCK, 4 * BLOCK)),
    ),
    "one key of a locator": (
        lambda store: store.execute(
            "UPDATE locator SET keys = substr(keys, 9) WHERE place = (SELECT min(place) FROM locator)"
        ),
        [0],
    ),
    "locator of nothing": (lambda store: store.execute("INSERT INTO locator VALUES (5, x'07')"), [0]),
}


@pytest.mark.parametrize("name", LIES)
def test_an_index_that_lies_is_found_and_the_tree_stays_proved(name: str, copy: Callable[..., Path]) -> None:
    damage, entries = LIES[name]
    path = copy(damage)
    done = swept(path)
    assert done is not None
    assert done.not_as_indexed == entries
    with AuditLog.open(path, read_only=True) as log:
        assert [(f.kind, f.index, f.last) for f in log.verify().findings] == [
            (LogFindingKind.INDEX, entries[0], entries[-1])
        ]
        assert log.verify(index=False).ok


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO posting VALUES (9, 'tenant=x', x'01')", f"INSERT INTO locator VALUES ({9 * BUCKETS + 5}, x'01')"],
)
def test_index_rows_of_entries_that_are_not_there_are_found(statement: str, copy: Callable[..., Path]) -> None:
    path = copy(lambda store: store.execute(statement))
    with AuditLog.open(path, read_only=True) as log:
        assert [(f.kind, f.index) for f in log.verify().findings] == [(LogFindingKind.INDEX, 9 * BLOCK)]


def test_progress_ends_at_the_whole(home: Path) -> None:
    calls: list[tuple[int, int]] = []
    with AuditLog.open(home / "audit.db", read_only=True) as log:
        assert log.verify(progress=lambda done, total: calls.append((done, total))).ok
    assert calls[-1] == (ENTRIES, ENTRIES)
