"""The auditor's verifier on files that somebody made to mislead it or to make it stumble."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KIT = Path(__file__).parents[3] / "audit"
VECTORS = KIT / "vectors"
KEY = (VECTORS / "log.vkey").read_text().strip()


def refused(path: Path, *arguments: str) -> str:
    """What the verifier says of a path that it must refuse, with the log's key and with the one that is claimed."""
    for key in (("--key", KEY), ()):
        command = [sys.executable, "-I", str(KIT / "verify_log.py"), str(path), *key, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (13, ""), done
        assert done.stdout.splitlines()[-1].startswith("FAILED: ")
        assert "\nVERIFIED" not in done.stdout
    return done.stdout


def again(table: str, columns: str, select: str) -> list[str]:
    """Statements that make a table anew, without its types, from what it held."""
    return [
        "DROP VIEW event",
        f"ALTER TABLE {table} RENAME TO old",
        f"CREATE TABLE {table} ({columns})",
        f"INSERT INTO {table} {select} FROM old",
    ]


STORES: dict[str, list[Any]] = {
    "negative-number": ["UPDATE entry SET seq = -1 WHERE seq = 0"],
    "gap": ["UPDATE entry SET seq = 99 WHERE seq = 11"],
    "number-as-text": again("entry", "seq, body", "SELECT 'a' || seq, body"),
    "number-null": again("entry", "seq, body", "SELECT NULL, body"),
    "number-half": again("entry", "seq, body", "SELECT seq + 0.5, body"),
    "body-as-text": again("entry", "seq INTEGER PRIMARY KEY, body", "SELECT seq, CAST(body AS TEXT)"),
    "body-null": again("entry", "seq INTEGER PRIMARY KEY, body", "SELECT seq, NULL"),
    "note-as-blob": again("head", "id, size, root, note", "SELECT id, size, root, CAST(note AS BLOB)"),
    "note-null": again("head", "id, size, root, note", "SELECT id, size, root, NULL"),
    "note-not-utf8": ["UPDATE head SET note = CAST(x'ff' AS TEXT)"],
    "head-twice": [
        *again("head", "id, size, root, note", "SELECT id, size, root, note"),
        "INSERT INTO head SELECT * FROM head",
    ],
    "tile-as-text": again("tile", "level, idx, hashes", "SELECT level, idx, 'abc'"),
    "tile-twice": [
        *again("tile", "level, idx, hashes", "SELECT level, idx, hashes"),
        "INSERT INTO tile SELECT * FROM tile",
    ],
    "tile-gone": ["DELETE FROM tile"],
    "key-gone": ["DELETE FROM meta"],
    "key-a-number": [
        "DROP TABLE meta",
        "CREATE TABLE meta (key, value)",
        "INSERT INTO meta VALUES ('verifier_key', 5)",
    ],
    "endless-view": [
        "DROP VIEW event",
        "DROP TABLE entry",
        "CREATE VIEW entry AS WITH RECURSIVE c(seq) AS (SELECT 0 UNION ALL SELECT seq + 1 FROM c)"
        " SELECT seq, x'00' AS body FROM c",
    ],
    "keys-behind-a-view": [
        "DROP TABLE secret",
        "CREATE VIEW secret AS SELECT '' AS key_id, '' AS master_id, x'' AS wrapped_dek WHERE 0",
    ],
    "trigger-that-keeps-keys": [
        "CREATE TABLE kept (key_id, dek)",
        "CREATE TRIGGER keep BEFORE DELETE ON secret BEGIN INSERT INTO kept VALUES (old.key_id, old.wrapped_dek); END",
    ],
    "stray-key": ["INSERT INTO secret VALUES ('x', 'm', x'00')"],
    "stray-ciphertext": ["INSERT INTO blob VALUES ('x', 'prompt', x'00')"],
    "not-a-number": [("INSERT INTO entry VALUES (12, ?)", b'{"a":NaN}')],
    "deep": [("INSERT INTO entry VALUES (12, ?)", b'{"a":' * 9_000 + b"1" + b"}" * 9_000)],
    "huge-integer": [("INSERT INTO entry VALUES (12, ?)", b'{"a":%b}' % (b"9" * 60_000))],
    "list": [("INSERT INTO entry VALUES (12, ?)", b"[1]")],
}


@pytest.mark.parametrize("name", STORES)
def test_a_hostile_store_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copy(VECTORS / "stores" / "good.db", tmp_path / "audit.db")
    store = sqlite3.connect(tmp_path / "audit.db")
    for statement in STORES[name]:
        store.execute(*((statement,) if isinstance(statement, str) else (statement[0], statement[1:])))
    store.commit()
    store.close()
    refused(tmp_path)


def test_a_key_that_only_an_index_has_lost_is_found(tmp_path: Path) -> None:
    shutil.copy(VECTORS / "stores" / "erased-key-brought-back.db", tmp_path / "audit.db")
    store = sqlite3.connect(tmp_path / "audit.db")
    (root,) = store.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_secret_1'").fetchone()
    (size,) = store.execute("PRAGMA page_size").fetchone()
    (rows,) = store.execute("SELECT count(*) FROM secret NOT INDEXED").fetchone()
    store.close()
    pages = bytearray((tmp_path / "audit.db").read_bytes())
    page = (root - 1) * size
    assert pages[page] == 10, "a leaf of an index"
    assert int.from_bytes(pages[page + 3 : page + 5], "big") == rows
    pages[page + 3 : page + 5] = bytes(2)  # no cells any more
    (tmp_path / "audit.db").write_bytes(pages)
    assert "entry 1 was erased, but its data key or ciphertext is there" in refused(tmp_path)


def test_a_journal_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    shutil.copy(VECTORS / "stores" / "good.db", tmp_path / "journal" / "audit.db")
    (tmp_path / "journal" / "audit.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(5000))
    refused(tmp_path / "journal")
    for folder in ("real", "linked"):
        (tmp_path / folder).mkdir()
    shutil.copy(VECTORS / "stores" / "good.db", tmp_path / "real" / "log.db")
    store = sqlite3.connect(tmp_path / "real" / "log.db")
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("UPDATE entry SET body = x'00' WHERE seq = 3")
    store.commit()
    (tmp_path / "linked" / "audit.db").symlink_to(tmp_path / "real" / "log.db")
    assert "moved: 3 differ" in refused(tmp_path / "linked")
    store.close()


def _manifest(**changes: object) -> Callable[[Path], object]:
    def change(bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        (bundle / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return change


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle / name).write_text(text)


def _linked(bundle: Path) -> None:
    (bundle / "entries.csv").rename(bundle.parent / "entries.csv")
    (bundle / "entries.csv").symlink_to(bundle.parent / "entries.csv")


def _piped(bundle: Path) -> None:
    (bundle / "entries.csv").unlink()
    os.mkfifo(bundle / "entries.csv")


def _said(**changes: object) -> Callable[[Path], object]:
    line = {"index": 0, "event_id": "x", "field": "prompt", "state": "disclosed", "text": "x", "commitment_key": "00"}
    return _text("disclosed.jsonl", json.dumps({**line, **changes}) + "\n")


BUNDLES: dict[str, Callable[[Path], object]] = {
    "first-huge": _manifest(first=10**400),
    "first-negative": _manifest(first=-1),
    "first-a-float": _manifest(first=0.0),
    "first-text": _manifest(first="0"),
    "end-infinite": _manifest(end=float("inf"), size=float("inf")),
    "size-not-a-number": _manifest(size=float("nan")),
    "size-huge": _manifest(size=2**52),
    "left-a-number": _manifest(left=5),
    "left-too-long": _manifest(left=["A" * 43 + "="]),
    "right-too-long": _manifest(right=["A" * 43 + "="]),
    "files-a-list": _manifest(files=[]),
    "files-none": _manifest(files={}),
    "files-outside": _manifest(files={"../../../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}),
    "key-a-number": _manifest(log_key=5),
    "key-of-two-lines": _manifest(log_key="a\nVERIFIED\n+1+x"),
    "origin-another": _manifest(origin="somewhere.example/else"),
    "manifest-deep": _text("manifest.json", "[" * 200_000),
    "manifest-a-list": _text("manifest.json", "[]"),
    "link": _linked,
    "pipe": _piped,
    "folder": lambda bundle: (bundle / "more").mkdir(),
    "no-entries": lambda bundle: (bundle / "entries.jsonl").unlink(),
    "no-checkpoint": lambda bundle: (bundle / "checkpoint").unlink(),
    "no-receipt": lambda bundle: (bundle / "export-receipt.json").unlink(),
    "disclosed-a-number": _text("disclosed.jsonl", "5\n"),
    "disclosed-surrogate": _said(text="\ud800"),
    "disclosed-two-lines": _said(field="prompt\nVERIFIED"),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_hostile_bundle_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copytree(VECTORS / "bundles" / "good", tmp_path / "bundle")
    BUNDLES[name](tmp_path / "bundle")
    refused(tmp_path / "bundle")


ZIPS: dict[str, list[tuple[str, bytes]]] = {
    "a-file-twice": [("good/entries.csv", b"another")],
    "a-file-in-two-folders": [("more/entries.csv", b"another")],
    "a-file-more": [("good/entries.parquet", b"PAR1")],
    "bomb": [("good/zeros", bytes(20_000_000))],
}


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_zip_file_is_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((VECTORS / "bundles" / "good").iterdir()):
            archive.write(path, f"good/{path.name}")
        for member, text in ZIPS[name]:
            archive.writestr(member, text)
    refused(tmp_path / "bundle.zip")


def test_a_store_with_a_good_bundle_behind_it_is_judged_as_a_store(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for path in sorted((VECTORS / "bundles" / "good").iterdir()):
            archive.write(path, path.name)
    damaged = (VECTORS / "stores" / "entry-edited.db").read_bytes()
    (tmp_path / "log.db").write_bytes(damaged + (tmp_path / "bundle.zip").read_bytes())
    assert zipfile.is_zipfile(tmp_path / "log.db")
    refused(tmp_path / "log.db")


@pytest.mark.parametrize(
    "change",
    [
        lambda receipt: {**receipt, "proof": 5},
        lambda receipt: {**receipt, "proof": ""},
        lambda receipt: {**receipt, "proof": receipt["proof"].replace("index 5", "index " + "9" * 5000)},
        lambda receipt: {**receipt, "proof": receipt["proof"].replace("index 5", "index -7")},
        lambda receipt: {**receipt, "proof": receipt["proof"].replace("index 5", "index 5\nextra AA")},
        lambda receipt: {**receipt, "entry": None},
        lambda receipt: {**receipt, "entry": "\ud800"},
        lambda receipt: {**receipt, "log_key": None},
        lambda receipt: {**receipt, "schema": "countermark.receipt/2"},
        lambda receipt: [receipt],
    ],
)
def test_a_hostile_receipt_is_refused(change: Callable[[Any], object], tmp_path: Path) -> None:
    receipt = json.loads((VECTORS / "receipts" / "good.json").read_text())
    (tmp_path / "receipt.json").write_text(json.dumps(change(receipt)))
    refused(tmp_path / "receipt.json")


@pytest.mark.parametrize(
    "text",
    [b"", bytes(10), b"[" * 200_000, b"5", b"PK\x03\x04", b"SQLite format 3\0"],
    ids=["empty", "zeros", "brackets", "a number", "a ZIP file", "an SQLite file"],  # pytest exports them: no 200 kB
)
def test_a_file_of_nothing_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(text)
    refused(tmp_path / "file")
