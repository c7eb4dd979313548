"""The auditor's verifier, a program of its own, run as an auditor runs it."""

from __future__ import annotations

import ast
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from countermark.audit import AuditLog, verify_receipt
from countermark.audit.schemas import schemas
from countermark.errors import ProofInvalid
from countermark.model import Receipt

KIT = Path(__file__).parents[3] / "audit"
VECTORS = KIT / "vectors"
SCRIPT = KIT / "verify_log.py"
KEY = (VECTORS / "log.vkey").read_text().strip()
HELD = VECTORS / "held.checkpoint"
SAYS = {
    "entry-edited": "entry 5 was changed",
    "entry-deleted": "entry 5 was removed",
    "entry-deleted-and-renumbered": "entry 5 was removed",
    "entries-swapped": "entry 6 was moved: it is stored as 5",
    "entry-inserted": "stored as 5 was never recorded",
    "log-truncated": "entry 10 was removed",
    "entry-edited-and-tree-forged": "the store's own checkpoint contradicts the log",
    "entry-edited-and-signed-anew": "the checkpoint that you hold contradicts the log",
    "log-truncated-and-signed-anew": "the checkpoint that you hold counts 12 entries, the store holds 10",
    "leaf-hash-altered": "the entries themselves are as signed",
    "signed-by-another-key": "cannot be trusted",
}


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_it_is_short_and_imports_nothing_of_ours() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) < 300
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_good_store_and_receipt_verify() -> None:
    for path in (VECTORS / "stores" / "good.db", VECTORS / "receipts" / "good.json"):
        assert run(path, "--key", KEY, "--checkpoint", HELD)[0] == 0
        assert run(path)[0] == 0


@pytest.mark.parametrize("name", SAYS)
def test_each_damaged_store_is_refused_and_the_damage_named(name: str) -> None:
    code, output = run(VECTORS / "stores" / f"{name}.db", "--key", KEY, "--checkpoint", HELD)
    assert code == 13
    assert SAYS[name] in output
    with AuditLog.open(VECTORS / "stores" / f"{name}.db", read_only=True, verifier_key=KEY) as log:
        assert not log.verify(HELD.read_text()).ok


def test_there_is_a_vector_for_every_kind_of_damage() -> None:
    assert {path.stem for path in (VECTORS / "stores").glob("*.db")} == {"good", *SAYS}


@pytest.mark.parametrize("path", sorted((VECTORS / "receipts").glob("*.json")), ids=lambda path: path.stem)
def test_it_judges_each_receipt_as_the_library_does(path: Path) -> None:
    try:
        verify_receipt(Receipt.model_validate_json(path.read_text()), verifier_key=KEY)
        expected = 0
    except ProofInvalid:
        expected = 13
    assert run(path, "--key", KEY)[0] == expected == (0 if path.stem == "good" else 13)


def test_it_judges_a_log_of_several_tiles_beside_its_running_writer(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.append_many([(kit.make_event(number), None) for number in range(700)])
        (tmp_path / "held").write_text(log.checkpoint())
        log.append(kit.make_event(700))
        (tmp_path / "receipt.json").write_text(log.receipt(333).model_dump_json(by_alias=True))
        assert run(tmp_path, "--checkpoint", tmp_path / "held", "--key", log.verifier_key)[0] == 0
        assert run(tmp_path / "receipt.json", "--key", log.verifier_key)[0] == 0
        assert run(tmp_path / "receipt.json", "--key", kit.signer("somebody else").verifier_key)[0] == 13
    store = sqlite3.connect(tmp_path / "audit.db")
    store.execute("UPDATE entry SET body = ? WHERE seq = 421", (b"{}",))
    store.commit()
    store.close()
    code, output = run(tmp_path)
    assert (code, "entry 421 was changed" in output) == (13, True)


def test_a_store_signed_with_a_stolen_key_passes_only_without_a_held_checkpoint() -> None:
    path = VECTORS / "stores" / "entry-edited-and-signed-anew.db"
    assert run(path, "--key", KEY)[0] == 0
    assert run(path, "--key", KEY, "--checkpoint", HELD)[0] == 13


def test_wrong_calls_are_told_from_failed_verifications(tmp_path: Path) -> None:
    assert run()[0] == 2
    assert run(tmp_path / "absent.db")[0] == 2
    assert run(VECTORS / "stores" / "good.db", "--checkpoint", tmp_path / "absent")[0] == 2
    assert run(HELD)[0] == 13
    assert run(VECTORS / "stores" / "good.db", "--key", "not+a+key")[0] == 13
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "half.db").write_bytes((VECTORS / "stores" / "good.db").read_bytes()[:9000])
    assert run(tmp_path / "list.json")[0] == 13
    assert run(tmp_path / "half.db")[0] == 13


def test_verifying_leaves_nothing_behind() -> None:
    before = sorted(VECTORS.rglob("*"))
    run(VECTORS / "stores" / "good.db")
    assert sorted(VECTORS.rglob("*")) == before


def test_the_committed_vectors_are_those_that_the_script_makes(kit: ModuleType, tmp_path: Path) -> None:
    kit.write_vectors(tmp_path)
    for made in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        committed = VECTORS / made.relative_to(tmp_path)
        if made.suffix == ".db":  # SQLite writes its own version into the file: compare what is in it
            assert dump(made) == dump(committed)
        else:
            assert made.read_bytes() == committed.read_bytes()


def dump(path: Path) -> list[str]:
    store = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return list(store.iterdump())
    finally:
        store.close()


def test_the_committed_schemas_are_those_of_the_models() -> None:
    for name, schema in schemas().items():
        assert json.loads((KIT / "schemas" / f"{name}.json").read_text()) == schema


def test_every_vector_event_and_receipt_fits_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    made = schemas()
    receipt = json.loads((VECTORS / "receipts" / "good.json").read_text())
    jsonschema.validate(receipt, made["receipt-1"])
    jsonschema.validate(json.loads(receipt["entry"]), made["event-1"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(receipt["entry"]), "invented": 1}, made["event-1"])


def test_every_ready_made_query_runs_and_answers(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer(), master_key=bytes(32)) as log:
        log.append_many([(kit.make_event(number), {"prompt": "a cat"}) for number in range(40)])
        log.begin("crashed", tenant="default", time="2026-11-22T10:00:00.000Z")
    store = sqlite3.connect(f"{(tmp_path / 'audit.db').as_uri()}?mode=ro", uri=True)
    queries = sorted((KIT / "queries").glob("*.sql"))
    assert len(queries) >= 5
    for query in queries:
        assert store.execute(query.read_text()).fetchall(), query.name
    store.close()
