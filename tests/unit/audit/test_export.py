"""Bundles: proved complete, recorded before they appear, never over what is there; and what lies in them."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from countermark.audit import AuditLog, open_checkpoint, verify_receipt
from countermark.audit.bundle import RangeFold, edges, subtrees_behind
from countermark.audit.tiles import HashedTree
from countermark.audit.tree import leaf_hash
from countermark.audit.warrant import Warrant
from countermark.errors import (
    AuditError,
    AuditStoreDamaged,
    KeyUnavailable,
    MissingExtra,
    NotFound,
    OutputUnwritable,
    ProofInvalid,
)
from countermark.model import EventType, Receipt

WHY = Warrant("yearly audit")


@pytest.fixture
def filled(log: AuditLog, kit: ModuleType) -> AuditLog:
    events = [(kit.make_event(n), {"prompt": f"cat {n}, \n'red'"} if n % 3 == 0 else None) for n in range(20)]
    log.append_many(events)
    return log


def lines(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def fold(folder: Path) -> tuple[RangeFold, bytes]:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    left, right = ([base64.b64decode(text) for text in manifest[side]] for side in ("left", "right"))
    made = RangeFold(manifest["first"], left)
    for line in (folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]:
        made.push(leaf_hash(line))
    assert made.size == manifest["end"]
    return made, made.finish(manifest["size"], right)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 300])
def test_every_range_of_a_tree_folds_to_its_roots(size: int) -> None:
    leaves = [hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(size)]
    tree = HashedTree(b"".join(leaves))
    step = 1 if size < 20 else 37
    for first in range(0, size + 1, step):
        for end in range(first, size + 1, step):
            left, right = edges(first, end, size, tree.subtree)
            made = RangeFold(first, left)
            assert made.root() == tree.root(first)
            for leaf in leaves[first:end]:
                made.push(leaf)
            assert made.root() == tree.root(end)
            assert made.finish(size, right) == tree.root(size)


def test_an_edge_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ProofInvalid):
        RangeFold(3, [bytes(32)])
    with pytest.raises(ProofInvalid):
        RangeFold(1, [bytes(31)])
    with pytest.raises(ProofInvalid):
        RangeFold(0, []).finish(2, [])
    assert list(subtrees_behind(3, 8)) == [(3, 4), (4, 8)]
    assert list(subtrees_behind(0, 6)) == [(0, 4), (4, 6)]


def test_a_bundle_holds_the_exact_entries_and_what_proves_them(filled: AuditLog, tmp_path: Path) -> None:
    exported = filled.export(tmp_path / "bundle", WHY)
    folder = exported.path
    assert sorted(path.name for path in folder.iterdir()) == [
        "VERIFY.md",
        "checkpoint",
        "entries.jsonl",
        "export-receipt.json",
        "manifest.json",
    ]
    assert (folder / "entries.jsonl").read_bytes() == b"".join(filled.entry(n) + b"\n" for n in range(20))
    checkpoint = open_checkpoint((folder / "checkpoint").read_text(), filled.verifier_key)
    assert (checkpoint.size, checkpoint.root) == (20, fold(folder)[1])
    for name, digest in exported.manifest.files.items():
        content = (folder / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest.sha256, digest.bytes)
    instructions = (folder / "VERIFY.md").read_text()
    assert filled.verifier_key in instructions
    assert checkpoint.root.hex() in instructions


def test_the_export_is_recorded_and_its_receipt_names_the_bundle(filled: AuditLog, tmp_path: Path) -> None:
    exported = filled.export(tmp_path / "bundle", WHY, first=5, end=9, formats=("csv",))
    event = filled.event(exported.entry)
    assert (event.type, event.reasons, exported.entry) == (EventType.EXPORT, ("yearly audit",), 20)
    assert event.export
    assert (event.export.first, event.export.end, event.export.size, event.export.disclosed) == (5, 9, 20, 0)
    assert event.export.formats == ("jsonl", "csv")
    manifest = (tmp_path / "bundle" / "manifest.json").read_bytes()
    assert event.export.manifest_sha256 == hashlib.sha256(manifest).hexdigest()
    receipt = Receipt.model_validate_json((tmp_path / "bundle" / "export-receipt.json").read_bytes())
    assert verify_receipt(receipt, verifier_key=filled.verifier_key).event == event


def test_a_range_that_continues_a_checkpoint_proves_it(filled: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    held = open_checkpoint(filled.checkpoint(), filled.verifier_key)
    filled.append_many([(kit.make_event(n), None) for n in range(20, 33)])
    folder = filled.export(tmp_path / "since", WHY, first=held.size).path
    made, root = fold(folder)
    assert root == open_checkpoint((folder / "checkpoint").read_text(), filled.verifier_key).root
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert RangeFold(held.size, [base64.b64decode(text) for text in manifest["left"]]).root() == held.root
    assert made.size == 33


def test_a_range_may_be_proved_under_a_checkpoint_kept_elsewhere(
    filled: AuditLog, kit: ModuleType, tmp_path: Path
) -> None:
    note = filled.checkpoint()
    filled.append(kit.make_event(20))
    folder = filled.export(tmp_path / "under", WHY, under=note, first=3).path
    assert (folder / "checkpoint").read_text() == note
    assert fold(folder)[1] == open_checkpoint(note, filled.verifier_key).root
    with pytest.raises(ProofInvalid):
        filled.export(tmp_path / "forged", WHY, under=note.replace("\n20\n", "\n19\n"))


def test_a_zip_holds_the_same(filled: AuditLog, tmp_path: Path) -> None:
    path = filled.export(tmp_path / "bundle.zip", WHY).path
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    assert fold(tmp_path / "out" / "bundle")[0].size == 20


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_nothing_is_overwritten_and_nothing_left_lying_about(name: str, filled: AuditLog, tmp_path: Path) -> None:
    target = tmp_path / name
    target.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputUnwritable, match="exists already"):
        filled.export(target, WHY)
    with pytest.raises(OutputUnwritable):
        filled.export(tmp_path / "absent" / name, WHY)
    assert sorted(tmp_path.rglob("*")) == before
    assert filled.size == 20


def test_ranges_that_are_not_there_are_refused(filled: AuditLog, tmp_path: Path) -> None:
    for first, end in ((0, 21), (5, 4), (-1, 3), (21, None)):
        with pytest.raises(NotFound):
            filled.export(tmp_path / "bundle", WHY, first=first, end=end)
    assert filled.export(tmp_path / "empty", WHY, first=20).manifest.first == 20


def test_an_export_needs_the_right_to_record_it(filled: AuditLog, tmp_path: Path) -> None:
    with (
        AuditLog.open(tmp_path / "audit.db", read_only=True) as reader,
        pytest.raises(AuditError, match="open for reading only, and an export"),
    ):
        reader.export(tmp_path / "bundle", WHY)
    assert not (tmp_path / "bundle").exists()


def test_a_damaged_entry_is_never_exported(filled: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "audit.db") as store:
        kit.edit(store)
    store.close()
    with pytest.raises(AuditStoreDamaged, match="Entry 5"):
        filled.export(tmp_path / "bundle", WHY)
    assert filled.export(tmp_path / "rest", WHY, first=6).manifest.first == 6


# --- disclosures ------------------------------------------------------------------------------------------------------


def test_disclosed_fields_can_be_checked_and_each_is_recorded_first(filled: AuditLog, tmp_path: Path) -> None:
    gone = filled.event(3)
    filled.erase(WHY, events=[gone.event_id])
    exported = filled.export(tmp_path / "bundle", Warrant("court order 5"), end=10, reveal=True)
    told = lines(exported.path / "disclosed.jsonl")
    assert [(one["index"], one["state"]) for one in told] == [
        (0, "disclosed"),
        (3, "erased"),
        (6, "disclosed"),
        (9, "disclosed"),
    ]
    for one in told:
        commitment = filled.event(one["index"]).protected[0].commitment
        if one["state"] == "disclosed":
            assert one["text"] == f"cat {one['index']}, \n'red'"
            key = bytes.fromhex(one["commitment_key"])
            assert commitment == "hmac-sha256:" + hmac.digest(key, one["text"].encode(), "sha256").hex()
        else:
            assert set(one) == {"index", "event_id", "field", "state"}
    accesses = [filled.event(n) for n in range(21, filled.size - 1)]
    assert [(event.type, event.access.index) for event in accesses if event.access] == [
        (EventType.ACCESS, index) for index in (0, 6, 9)
    ]
    assert all(event.reasons == ("court order 5",) for event in accesses)
    assert (exported.disclosed, exported.entry) == (3, filled.size - 1)


def test_prompts_are_in_no_bundle_that_does_not_reveal(filled: AuditLog, tmp_path: Path) -> None:
    folder = filled.export(tmp_path / "bundle", WHY, formats=("csv",)).path
    assert all(b"cat 0" not in path.read_bytes() for path in folder.iterdir())


def test_revealing_needs_the_master_key(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.append(kit.make_event(0))
        with pytest.raises(KeyUnavailable):
            log.export(tmp_path / "bundle", WHY, reveal=True)


# --- views ------------------------------------------------------------------------------------------------------------


def test_a_csv_view_flattens_and_disarms_formulas(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    log.append_many(
        [(kit.make_event(0, tenant='=HYPERLINK("x")', reasons=("one", "two")), None), (kit.make_event(1), None)]
    )
    with (log.export(tmp_path / "bundle", WHY, formats=("csv",)).path / "entries.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    event = kit.make_event(0)
    assert (first["index"], first["tenant"], first["reasons"]) == ("0", '\'=HYPERLINK("x")', "one; two")
    assert (first["output_sha256"], first["model"], first["policy_version"]) == (
        event.output.sha256,
        "example/tiny",
        "1",
    )
    assert (second["tenant"], second["actor"], second["error"]) == ("default", "", "")


def test_a_parquet_view_reads_back(filled: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = filled.export(tmp_path / "bundle", WHY, formats=("parquet", "csv")).path
    rows = parquet.read_table(folder / "entries.parquet").to_pylist()
    assert [row["index"] for row in rows] == list(range(20))
    assert [row["event_id"] for row in rows] == [kit.make_event(n).event_id for n in range(20)]
    with (folder / "entries.csv").open(newline="") as file:
        assert [row["fingerprint"] or None for row in csv.DictReader(file)] == [row["fingerprint"] for row in rows]


def test_without_pyarrow_parquet_is_refused_by_name(
    filled: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="parquet"):
        filled.export(tmp_path / "bundle", WHY, formats=("parquet",))
    assert filled.size == 20
    assert not (tmp_path / "bundle").exists()
