"""The auditor's verifier, a program of its own, run as an auditor runs it."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, verify_receipt
from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.schemas import schemas
from countermark.audit.warrant import Warrant
from countermark.errors import ProofInvalid
from countermark.model import ActorRef, Check, EventType, Receipt, RedTeamRecord

KIT = Path(__file__).parents[3] / "audit"
VECTORS = KIT / "vectors"
SCRIPT = KIT / "verify_log.py"
KEY = (VECTORS / "log.vkey").read_text().strip()
HELD = VECTORS / "held.checkpoint"
CHANGED = "entries or recorded hashes were altered, added, removed or moved"
OUTSIDE = "counts 12 entries: more than are here"
SAYS = {
    "entry-edited": f"{CHANGED}: 5 differ",
    "entry-deleted": "where entry 5 is due, there is 6",
    "entry-deleted-and-renumbered": f"{CHANGED}: 5, 6, 7, 8, 9, 10, 11 differ",
    "entries-swapped": f"{CHANGED}: 5, 6 differ",
    "entry-inserted": f"{CHANGED}: 5, 6, 7, 8, 9, 10, 11, 12 differ",
    "log-truncated": f"{CHANGED}: 10, 11 differ",
    "entry-edited-and-tree-forged": "checkpoint 0 of the store, of 12 entries, contradicts what is here",
    "entry-edited-and-signed-anew": "the checkpoint that you hold, of 12 entries, contradicts what is here",
    "log-truncated-and-signed-anew": f"the checkpoint that you hold {OUTSIDE}",
    "leaf-hash-altered": f"{CHANGED}: 5 differ",
    "signed-by-another-key": "not a checkpoint signed by the key",
}
WITHOUT_HELD = {
    "entry-edited-and-signatures-dropped": "of 12 entries none are signed",
    "bytes-behind-tile": f"{CHANGED}: 12 differ",
    "entries-shown-by-view": "has triggers, or not the tables entry",
    "event-id-twice": "entry 12 is no valid event: its event id is that of an earlier entry",
    "entry-not-canonical": "entry 12 is no valid event: it is not in canonical form",
    "entry-with-newline": "entry 12 is no valid event: it is not in canonical form",
    "entry-with-key-twice": "entry 12 is no valid event: a key stands twice",
    "entry-with-float": "entry 12 is no valid event: it is not in canonical form",
    "entry-too-long": "entry 12 is no valid event: it is too long",
}
"""Damage of which there is nothing to find in the first 12 entries, or that must be found without a checkpoint held."""

CUSTODY = VECTORS / "custody.checkpoint"
CUSTODY_SAYS = {
    "key-deleted-without-erasure": "entry 4 lacks its data key or a ciphertext, and no erasure is recorded",
    "ciphertext-deleted-without-erasure": "entry 4 lacks its data key or a ciphertext, and no erasure is recorded",
    "erased-key-brought-back": "entry 1 was erased, but its data key or ciphertext is there",
}
COVERED = "are not what the checkpoint covers"
BUNDLE_SAYS = {
    "entry-edited": "entries.jsonl is missing or not the file",
    "entry-edited-and-manifest-forged": COVERED,
    "entry-removed": COVERED,
    "last-entry-removed": COVERED,
    "entry-added": COVERED,
    "entries-swapped": COVERED,
    "checkpoint-signed-by-another-key": "not a checkpoint signed by the key",
    "disclosed-text-altered": "the disclosed prompt of entry 0 is not what the log committed to",
    "file-put-in": "entries.parquet is missing or not the file",
    "csv-altered": "entries.csv is missing or not the file",
    "export-receipt-edited": "not number",
}
ONLY = {
    "last-entry-hidden-behind-the-range": "it holds 3 entries, not 0 to 3",
    "text-behind-last-line": "it holds 4 entries, not 3 to 6",
    "disclosed-under-an-index-before-the-range": "the disclosed prompt of entry 2 is not what the log committed to",
    "disclosed-under-another-event": "the disclosed prompt of entry 2 is not what the log committed to",
    "disclosed-text-twice": "a key stands twice",
    "erased-text-invented": "the disclosed prompt of entry 1 is not what the log committed to",
    "another-log-key-named": "it names another key than the one given",
}
"""What is wrong with bundles whose export was recorded by somebody with the key, so that everything else is right."""


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


@pytest.mark.parametrize("name", WITHOUT_HELD)
def test_damage_that_no_checkpoint_tells_of_is_named(name: str) -> None:
    for held in ([], ["--checkpoint", HELD]):
        code, output = run(VECTORS / "stores" / f"{name}.db", "--key", KEY, *held)
        assert (code, WITHOUT_HELD[name] in output) == (13, True), output


def test_there_is_a_vector_for_every_kind_of_damage_and_the_readme_names_each() -> None:
    stores = {path.stem for path in (VECTORS / "stores").glob("*.db")}
    assert stores == {"good", *SAYS, *WITHOUT_HELD, "good-with-erasure", *CUSTODY_SAYS}
    good = {"good", "good-since-first-checkpoint", "good-middle", "good-empty"}
    assert {path.name for path in (VECTORS / "bundles").iterdir()} == {*good, *BUNDLE_SAYS, *ONLY}
    readme = (VECTORS / "README.md").read_text()
    for path in VECTORS.glob("*/*"):
        assert f"`{path.name}`" in readme


def test_a_store_behind_its_record_of_signatures_was_rolled_back() -> None:
    home = VECTORS / "stores" / "rolled-back-behind-signed-db"
    for path in (home, home / "audit.db"):
        code, output = run(path, "--key", KEY, "--checkpoint", HELD)
        assert (code, "example/log counts 13 entries: more than are here" in output) == (13, True), output
        assert output.count("FAILED  ") == 1


def test_a_damaged_record_of_signatures_is_told_from_a_damaged_log(tmp_path: Path) -> None:
    shutil.copy(VECTORS / "stores" / "good.db", tmp_path / "audit.db")
    assert run(tmp_path, "--key", KEY)[0] == 0
    (tmp_path / "signed.db").write_bytes(b"garbage")
    code, output = run(tmp_path, "--key", KEY)
    assert (code, "signed.db is no database" in output) == (13, True)


def test_an_erasure_is_no_damage() -> None:
    assert run(VECTORS / "stores" / "good-with-erasure.db", "--key", KEY, "--checkpoint", CUSTODY)[0] == 0
    with AuditLog.open(VECTORS / "stores" / "good-with-erasure.db", read_only=True, verifier_key=KEY) as log:
        assert log.verify(CUSTODY.read_text()).ok


@pytest.mark.parametrize("name", CUSTODY_SAYS)
def test_what_is_gone_or_back_against_the_record_is_named(name: str) -> None:
    code, output = run(VECTORS / "stores" / f"{name}.db", "--key", KEY, "--checkpoint", CUSTODY)
    assert (code, CUSTODY_SAYS[name] in output) == (13, True)
    with AuditLog.open(VECTORS / "stores" / f"{name}.db", read_only=True, verifier_key=KEY) as log:
        assert [finding.kind.value for finding in log.verify(CUSTODY.read_text()).findings] == ["protected"]


@pytest.mark.parametrize(
    ("name", "held", "code"),
    [
        ("good", "custody.checkpoint", 0),
        ("good", "custody-first.checkpoint", 0),
        ("good", "held.checkpoint", 13),
        ("good-since-first-checkpoint", "custody-first.checkpoint", 0),
        ("good-since-first-checkpoint", "custody.checkpoint", 0),
        ("good-middle", "custody-first.checkpoint", 13),
    ],
)
def test_good_bundles_verify_and_continue_only_what_they_touch(name: str, held: str, code: int) -> None:
    bundle = VECTORS / "bundles" / name
    assert run(bundle, "--key", KEY)[0] == 0
    assert run(bundle, "--key", KEY, "--checkpoint", VECTORS / held)[0] == code


@pytest.mark.parametrize("name", BUNDLE_SAYS)
def test_each_damaged_bundle_is_refused_and_the_damage_named(name: str) -> None:
    code, output = run(VECTORS / "bundles" / name, "--key", KEY)
    assert (code, BUNDLE_SAYS[name] in output) == (13, True), output


@pytest.mark.parametrize("name", ONLY)
def test_a_bundle_that_its_exporter_spoilt_is_refused(name: str) -> None:
    code, output = run(VECTORS / "bundles" / name, "--key", KEY)
    assert (code, ONLY[name] in output, output.count("FAILED  ")) == (13, True, 1), output


def test_what_was_verified_is_named_and_nothing_is_not_passed_off_as_something(kit: ModuleType, tmp_path: Path) -> None:
    said = {
        "stores/good.db": "VERIFIED entries 0 to 11 of 12 in the log vectors.countermark.example/log\n",
        "receipts/good.json": "VERIFIED entries 5 to 5 of 12 in the log vectors.countermark.example/log\n",
        "bundles/good": "VERIFIED entries 0 to 12 of 13 in the log vectors.countermark.example/log\n",
        "bundles/good-since-first-checkpoint": "VERIFIED entries 10 to 19 of 20 in the log",
        "bundles/good-empty": "VERIFIED NO ENTRIES, for it holds none, of 22 in the log",
    }
    for path, verdict in said.items():
        output = run(VECTORS / path, "--key", KEY)[1]
        assert verdict in output
        assert "without  a checkpoint that you hold" in output
        assert ("without  signed.db" in output) == path.startswith("stores")
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        code, output = run(tmp_path, "--key", log.verifier_key)
    assert (code, "VERIFIED NO ENTRIES, for it holds none, of 0 in the log" in output) == (0, True)


def test_a_checkpoint_of_another_size_than_the_receipts_is_not_passed_over() -> None:
    receipt = (VECTORS / "receipts" / "good.json", "--key", KEY, "--checkpoint")
    code, output = run(*receipt, VECTORS / "custody-first.checkpoint")
    assert (code, "the checkpoint that you hold counts 10 entries" in output) == (13, True)
    assert run(*receipt, HELD)[0] == 0


def test_a_checkpoint_is_compared_wherever_the_bundle_has_its_root(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        notes = {}
        for number in range(13):
            log.append(kit.make_event(number))
            notes[number + 1] = log.checkpoint()
        log.export(tmp_path / "bundle", Warrant("audit"), first=3, end=7)
    for size, note in notes.items():
        (tmp_path / "held").write_text(note)
        code = run(tmp_path / "bundle", "--key", KEY, "--checkpoint", tmp_path / "held")[0]
        assert code == (0 if size in {2, 3, 4, 5, 6, 7, 8, 12, 13} else 13), size
        forged = sign_checkpoint(kit.signer(), size, bytes(32))
        (tmp_path / "held").write_text(forged)
        assert run(tmp_path / "bundle", "--key", KEY, "--checkpoint", tmp_path / "held")[0] == 13


def test_a_zipped_bundle_verifies(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.append_many([(kit.make_event(number), None) for number in range(300)])
        log.export(tmp_path / "bundle.zip", Warrant("audit"), first=17, end=290)
        (tmp_path / "key").write_text(log.verifier_key)
        assert run(tmp_path / "bundle.zip", "--key", log.verifier_key)[0] == 0
        assert run(tmp_path / "bundle.zip", "--key", kit.signer("somebody else").verifier_key)[0] == 13


def cosign(note: str, name: str) -> tuple[str, str]:
    """A C2SP cosignature/v1 line made by hand, and the witness's key."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    material = b"\x04" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    text, time = note.rpartition("\n\n")[0] + "\n", 1_795_000_000
    signature = key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    line = base64.b64encode(key_id + time.to_bytes(8, "big") + signature).decode()
    return f"\u2014 {name} {line}\n", f"{name}+{key_id.hex()}+{base64.b64encode(material).decode()}"


def test_a_quorum_of_witnesses_is_counted(tmp_path: Path) -> None:
    note = CUSTODY.read_text()
    (first, one), (second, two), (_, three) = (cosign(note, f"witness.example/{n}") for n in range(3))
    (tmp_path / "cosigned").write_text(note + first + second)
    store = (VECTORS / "stores" / "good-with-erasure.db", "--key", KEY, "--checkpoint")
    keys = ("--witness", one, "--witness", two, "--witness", three)
    assert run(*store, tmp_path / "cosigned", *keys, "--quorum", 2)[0] == 0
    assert run(*store, tmp_path / "cosigned", *keys, "--quorum", 3)[0] == 13
    assert run(*store, tmp_path / "cosigned", "--witness", one, "--witness", one, "--quorum", 2)[0] == 13
    assert run(*store, CUSTODY, *keys, "--quorum", 1)[0] == 13
    assert run(*store[:-1], *keys, "--quorum", 1)[0] == 13
    wrong = cosign(note.replace("\n13\n", "\n12\n"), "witness.example/0")[0]
    (tmp_path / "forged").write_text(note + wrong)
    assert run(*store, tmp_path / "forged", *keys)[0] == 13


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
    assert (code, f"{CHANGED}: 421 differ" in output) == (13, True)


def test_a_store_signed_with_a_stolen_key_passes_only_without_a_held_checkpoint() -> None:
    path = VECTORS / "stores" / "entry-edited-and-signed-anew.db"
    assert run(path, "--key", KEY)[0] == 0
    assert run(path, "--key", KEY, "--checkpoint", HELD)[0] == 13


def test_wrong_calls_are_told_from_failed_verifications(tmp_path: Path) -> None:
    assert run()[0] == 2
    assert run(tmp_path / "absent.db")[0] == 2
    assert run(VECTORS / "stores" / "good.db", "--checkpoint", tmp_path / "absent")[0] == 2
    assert run(HELD)[0] == 13
    (tmp_path / "empty").write_text("")
    assert run(VECTORS / "stores" / "good.db", "--checkpoint", tmp_path / "empty")[0] == 13
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
    names = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} | {Path("README.md")}
    assert names == {path.relative_to(VECTORS) for path in VECTORS.rglob("*")}
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


@pytest.fixture
def lived(kit: ModuleType, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store in which everything has happened that the queries ask about."""
    why = Warrant("a test", ActorRef(pseudonym="a" * 32, key_id="b" * 16))
    severe = Check(
        stage="image",
        category="violence",
        state="assessed",
        score_ppm=900_000,
        severity=4,
        detector="x",
        detector_version="1",
    )
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer(), master_key=bytes(32)) as log:
        log.append_many([(kit.make_event(number), {"prompt": "a cat"}) for number in range(40)])
        log.begin("crashed", tenant="default", time="2026-11-22T10:00:00.000Z")
        held = [kit.make_event(n, type="generation.held", output=None, checks=(severe,)) for n in (50, 51)]
        log.append_many([(event, None) for event in held])
        log.append(kit.make_event(52, type="review.decided", attempt=held[0].attempt, output=None))
        log.hold(why, events=[kit.make_event(1).event_id])
        log.release_hold(log.hold(why, query={"tenant": "nobody"}).id, why)
        log.reveal(2, "prompt", reason="a test")
        log.erase(why, events=[kit.make_event(n).event_id for n in (1, 2, 3)])
        log.export(tmp_path / "bundle", why, reveal=True, end=2)
        trial = RedTeamRecord(
            result_sha256="c" * 64, stages=("prompt",), detectors=(), prompts=9, stopped_by_prompt=7,
            stopped_by_image=0, not_run=0, passed=2,
        )  # fmt: skip
        log.append(why.event(EventType.RED_TEAM, red_team=trial, policy=kit.make_event(0).policy))
    store = sqlite3.connect(f"{(tmp_path / 'audit.db').as_uri()}?mode=ro", uri=True)
    yield store
    store.close()


def ask(store: sqlite3.Connection, name: str) -> list[tuple[object, ...]]:
    return store.execute((KIT / "queries" / f"{name}.sql").read_text()).fetchall()


@pytest.mark.parametrize("path", sorted((KIT / "queries").glob("*.sql")), ids=lambda path: path.stem)
def test_every_ready_made_query_runs_and_answers(path: Path, lived: sqlite3.Connection) -> None:
    assert ask(lived, path.stem), path.name


def test_queries_about_custody_say_what_happened(lived: sqlite3.Connection) -> None:
    assert [(row[2], row[4], row[5]) for row in ask(lived, "who-viewed-what")] == [
        (2, '["prompt"]', "a test"),
        (0, '["prompt"]', "a test"),
        (1, '["prompt"]', "a test"),
    ]
    assert [row[4:] for row in ask(lived, "erasures")] == [(2, 1)]
    assert [(row[3], row[6] is None) for row in ask(lived, "legal-holds")] == [(1, True), (0, False)]
    assert [row[2:5] for row in ask(lived, "exports")] == [(0, 2, 2)]
    assert [row[3:] for row in ask(lived, "red-team-trials")] == [('["prompt"]', 9, 7, 0, 2, "c" * 64)]
    assert [row[0] for row in ask(lived, "held-and-undecided")] == [41]
    assert ("generation.held", "violence", 4, 2) in ask(lived, "refusals-by-category")
    states = {row[2]: row[4] for row in ask(lived, "protected-fields")}
    assert states == {"erased": 2, "readable with the master key": 38}
