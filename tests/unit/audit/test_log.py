"""The log as its users meet it: appending, proving, looking up, protecting, opening."""

from __future__ import annotations

import base64
import hashlib
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner, TlogProof, open_checkpoint, verify_receipt
from countermark.audit.log import store_path
from countermark.audit.query import Filter
from countermark.audit.tree import verify_consistency, verify_inclusion
from countermark.errors import (
    AuditClosed,
    AuditError,
    AuditPoisoned,
    AuditStoreDamaged,
    EventInvalid,
    HomeLocked,
    KeyUnavailable,
    NotFound,
    OutputUnwritable,
    ProofInvalid,
    SettingsInvalid,
)
from countermark.model import EventType, Outcome, Receipt

MASTER_KEY = bytes(range(32))
TIME = "2026-11-22T10:00:00.000Z"


def fill(log: AuditLog, kit: ModuleType, count: int) -> None:
    log.append_many([(kit.make_event(number), None) for number in range(count)])


# --- appending --------------------------------------------------------------------------------------------------------


def test_entries_are_numbered_in_order_and_signed_when_append_returns(log: AuditLog, kit: ModuleType) -> None:
    for number in range(5):
        appended = log.append(kit.make_event(number))
        assert (appended.index, appended.size) == (number, number + 1)
        checkpoint = open_checkpoint(log.checkpoint(), log.verifier_key)
        assert (checkpoint.origin, checkpoint.size) == (log.origin, number + 1)
        assert log.event(number) == appended.event == kit.make_event(number)


def test_an_empty_log_has_a_signed_checkpoint_of_nothing(log: AuditLog) -> None:
    checkpoint = open_checkpoint(log.checkpoint(), log.verifier_key)
    assert (checkpoint.size, checkpoint.root) == (0, hashlib.sha256(b"").digest())
    assert log.verify(log.checkpoint()).ok


def test_repeating_an_append_gives_the_same_entry_and_other_content_is_refused(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 3)
    assert log.append(kit.make_event(1)).index == 1
    with pytest.raises(EventInvalid, match="already entry 1"):
        log.append(kit.make_event(1, tenant="somebody else"))
    assert log.size == 3
    assert log.append(kit.make_event(3)).index == 3


def test_repeats_within_one_batch_are_one_entry(log: AuditLog, kit: ModuleType) -> None:
    appended = log.append_many([(kit.make_event(n), None) for n in (0, 1, 0, 2)])
    assert [a.index for a in appended] == [0, 1, 0, 2]


def test_an_event_that_cannot_be_recorded_hurts_nobody_else(log: AuditLog, kit: ModuleType) -> None:
    with pytest.raises(EventInvalid, match="ASCII"):
        log.append(kit.make_event(0, params={"é": "1"}))
    with pytest.raises(EventInvalid, match="bytes"):
        log.append(kit.make_event(0, error="x" * 70_000))
    assert log.append(kit.make_event(0)).index == 0


def test_a_log_opened_for_reading_refuses_to_append(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as reader, pytest.raises(AuditError, match="reading"):
        reader.append(kit.make_event(0))


def test_a_closed_log_refuses_work(kit: ModuleType, tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path / "audit.db", signer=kit.signer())
    log.close()
    with pytest.raises(AuditClosed, match="closed"):
        log.append(kit.make_event(0))


# --- attempts ---------------------------------------------------------------------------------------------------------


def test_only_attempts_of_an_earlier_process_without_outcome_are_unfinished(kit: ModuleType, tmp_path: Path) -> None:
    concluded, crashed = kit.make_event(0), kit.make_event(1)
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.begin(concluded.attempt, tenant="a", time=TIME)
        log.begin(crashed.attempt, tenant="b", time=TIME)
        log.append(kit.make_event(9, attempt=crashed.attempt, type=EventType.ACCESS))  # not an outcome
        log.append(concluded)
        assert log.unfinished() == ()
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        assert [(p.attempt, p.tenant, p.time) for p in log.unfinished()] == [(crashed.attempt, "b", TIME)]
        log.append(kit.make_event(1, type=EventType.FAILED, output=None, decision=None))
        assert log.unfinished() == ()


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_every_receipt_proves_its_event_offline(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 20)
    for index in range(20):
        receipt = Receipt.model_validate_json(log.receipt(index).model_dump_json(by_alias=True))
        proved = verify_receipt(receipt, verifier_key=log.verifier_key)
        assert (proved.event, proved.index, proved.checkpoint.size) == (kit.make_event(index), index, 20)


def test_altered_receipts_are_refused(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, kit.ENTRIES)
    for receipt in kit.damaged_receipts(log.receipt(5)).values():
        with pytest.raises(ProofInvalid):
            verify_receipt(receipt, verifier_key=log.verifier_key)


def test_a_receipt_signed_by_a_stranger_convinces_only_who_asks_the_receipt_for_the_key(
    kit: ModuleType, tmp_path: Path, log: AuditLog
) -> None:
    with AuditLog.open(tmp_path / "other" / "audit.db", signer=kit.signer("somebody else")) as other:
        other.append(kit.make_event(0))
        with pytest.raises(ProofInvalid):
            verify_receipt(other.receipt(0), verifier_key=log.verifier_key)


@pytest.mark.parametrize(
    "proof",
    [
        "",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 00\n\n",
        "c2sp.org/tlog-proof@v1\n0\n\nnote",
        "c2sp.org/tlog-proof@v1\nplace 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra AAA\nindex 0\n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{b64(bytes(31))}\n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{b64(bytes(32))}\n{b64(bytes(33))}\n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{f'{b64(bytes(32))}{chr(10)}' * 64}\nnote",
    ],
)
def test_texts_that_are_not_proofs_are_refused(proof: str) -> None:
    with pytest.raises(ProofInvalid):
        TlogProof.parse(proof)


def test_a_proof_of_the_longest_path_survives_the_round_trip() -> None:
    proof = TlogProof(2**63 - 1, tuple(bytes([number]) * 32 for number in range(63)), "note\n\nand more\n")
    assert TlogProof.parse(proof.text) == proof


def test_a_receipt_whose_entry_cannot_be_written_as_utf_8_is_refused(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 1)
    with pytest.raises(ProofInvalid, match="UTF-8"):
        verify_receipt(log.receipt(0).model_copy(update={"entry": "\ud800"}), verifier_key=log.verifier_key)


def test_extra_data_of_a_proof_is_ignored(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 3)
    receipt = log.receipt(1)
    text = receipt.proof.replace("index", "extra AAAA\nindex", 1)
    assert verify_receipt(receipt.model_copy(update={"proof": text}), verifier_key=log.verifier_key).index == 1


def test_old_and_new_checkpoints_are_consistent(log: AuditLog, kit: ModuleType) -> None:
    checkpoints = []
    for number in range(12):
        log.append(kit.make_event(number))
        checkpoints.append(open_checkpoint(log.checkpoint(), log.verifier_key))
    for old in checkpoints:
        for new in checkpoints[old.size - 1 :]:
            proof = log.consistency(old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)
    leaf = hashlib.sha256(b"\0" + log.entry(3)).digest()
    verify_inclusion(3, 7, leaf, log.inclusion(3, 7), checkpoints[6].root)


def test_asking_beyond_the_log_says_so(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 3)
    for ask in (
        lambda: log.entry(3),
        lambda: log.entry(-1),
        lambda: log.receipt(3),
        lambda: log.inclusion(3, 3),
        lambda: log.inclusion(0, 4),
        lambda: log.consistency(2, 4),
        lambda: log.consistency(3, 2),
    ):
        with pytest.raises(NotFound):
            ask()


def test_an_entry_of_a_newer_version_is_proved_and_said_to_be_one(
    kit: ModuleType, tmp_path: Path, log: AuditLog
) -> None:
    fill(log, kit, 8)
    store = sqlite3.connect(tmp_path / "audit.db")
    body = store.execute("SELECT body FROM entry WHERE seq = 5").fetchone()[0]
    newer = body.replace(b"countermark.event/1", b"countermark.event/2")
    store.execute("UPDATE entry SET body = ? WHERE seq = 5", (newer,))
    kit.forge_tree(store, kit.signer())
    store.commit()
    store.close()
    assert log.entry(5) == newer
    with pytest.raises(AuditStoreDamaged, match="not an event that this version knows") as refused:
        log.event(5)
    assert "newer" in refused.value.remedy
    assert [row.event is None for row in log.page(Filter()).rows] == [index == 5 for index in range(7, -1, -1)]
    with pytest.raises(ProofInvalid, match="not an event that this version knows") as refused_receipt:
        verify_receipt(log.receipt(5), verifier_key=log.verifier_key)
    assert "newer" in refused_receipt.value.remedy


def test_a_damaged_entry_is_never_returned(kit: ModuleType, tmp_path: Path, log: AuditLog) -> None:
    fill(log, kit, 8)
    store = sqlite3.connect(tmp_path / "audit.db")
    kit.edit(store)
    store.commit()
    store.close()
    for ask in (lambda: log.entry(5), lambda: log.event(5), lambda: log.receipt(5), log.list):
        with pytest.raises(AuditStoreDamaged, match="Entry 5"):
            ask()
    assert log.receipt(4)


# --- looking up -------------------------------------------------------------------------------------------------------


def test_finds_by_each_key_newest_first(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 10)
    log.append(kit.make_event(50, attempt=kit.make_event(4).attempt, type=EventType.REVIEW_DECIDED))
    event = kit.make_event(4)
    assert event.output
    assert log.find(event_id=event.event_id) == (4,)
    assert log.find(output_sha256=event.output.sha256) == (4,)
    assert log.find(manifest_sha256=event.output.manifest_sha256) == (4,)
    assert log.find(record_id=int(event.output.watermark_payload, 16)) == (4,)
    assert log.find(attempt=event.attempt) == (10, 4)
    assert log.find(attempt=event.attempt, event_id=event.event_id) == (4,)
    assert log.find(output_sha256="0" * 64) == ()
    assert log.record_id_taken(int(event.output.watermark_payload, 16))
    assert not log.record_id_taken(7)


def test_lists_newest_first_page_by_page_and_filtered(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 10)
    assert [index for index, _ in log.list(4)] == [9, 8, 7, 6]
    assert [index for index, _ in log.list(4, before=6)] == [5, 4, 3, 2]
    assert [index for index, _ in log.list(type=EventType.REFUSED)] == [7, 3]
    assert [index for index, _ in log.list(tenant="tenant-é")] == [9, 4]
    assert [index for index, _ in log.list(outcome=Outcome.BLOCK, before=7)] == [3]
    assert [index for index, _ in log.list(since="2026-11-22T10:00:02.000Z", until="2026-11-22T10:00:04")] == [3, 2]
    assert log.list(0) == []
    assert all(event == kit.make_event(index) for index, event in log.list())


def test_fingerprints_of_what_has_one(log: AuditLog, kit: ModuleType) -> None:
    fill(log, kit, 9)
    found = dict(log.fingerprints())
    assert sorted(found) == [0, 1, 2, 4, 5, 6, 8]
    assert found[2] == kit.make_event(2).output.fingerprint
    assert [index for index, _ in log.fingerprints(after=5)] == [6, 8]


# --- protected fields -------------------------------------------------------------------------------------------------


def test_a_prompt_is_encrypted_committed_to_and_revealed(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    prompt = "a portrait of my neighbour, 木 🌲"
    appended = log.append(kit.make_event(0), protected={"prompt": prompt, "negative_prompt": ""})
    assert [c.field for c in appended.event.protected] == ["negative_prompt", "prompt"]
    assert (log.reveal(0, "prompt", reason="a test"), log.reveal(0, "negative_prompt", reason="a test")) == (prompt, "")
    assert log.event(0) == appended.event
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    for path in files:
        assert b"neighbour" not in path.read_bytes()
    assert log.verify().ok


def test_equal_prompts_have_unlike_commitments(log: AuditLog, kit: ModuleType) -> None:
    first, second = (log.append(kit.make_event(n), protected={"prompt": "a cat"}).event for n in (0, 1))
    assert first.protected[0].commitment != second.protected[0].commitment


def test_repeating_a_protected_append_gives_the_same_entry(log: AuditLog, kit: ModuleType) -> None:
    first = log.append(kit.make_event(0), protected={"prompt": "a cat"})
    again = log.append(kit.make_event(0), protected={"prompt": "a cat"})
    assert (again.index, again.event) == (0, first.event)
    with pytest.raises(EventInvalid, match="other content"):
        log.append(kit.make_event(0), protected={"prompt": "a dog"})
    assert log.reveal(0, "prompt", reason="a test") == "a cat"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE blob SET ciphertext = zeroblob(40)", AuditStoreDamaged),
        ("UPDATE blob SET ciphertext = x'00'", AuditStoreDamaged),
        ("UPDATE secret SET wrapped_dek = zeroblob(60)", AuditStoreDamaged),
        ("UPDATE secret SET master_id = 'another'", KeyUnavailable),
    ],
)
def test_altered_ciphertext_and_keys_are_refused(
    statement: str, error: type[Exception], log: AuditLog, kit: ModuleType, tmp_path: Path
) -> None:
    log.append(kit.make_event(0), protected={"prompt": "a cat"})
    store = sqlite3.connect(tmp_path / "audit.db")
    store.execute(statement)
    store.commit()
    store.close()
    with pytest.raises(error):
        log.reveal(0, "prompt", reason="a test")


def test_the_prompts_of_two_entries_cannot_be_exchanged(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    first, second = (log.append(kit.make_event(n), protected={"prompt": f"cat {n}"}).event for n in (0, 1))
    store = sqlite3.connect(tmp_path / "audit.db")
    store.execute("DELETE FROM blob WHERE event_id = ?", (first.event_id,))
    store.execute("UPDATE blob SET event_id = ? WHERE event_id = ?", (first.event_id, second.event_id))
    store.execute("DELETE FROM secret WHERE key_id = ?", (first.event_id,))
    store.execute("UPDATE secret SET key_id = ? WHERE key_id = ?", (first.event_id, second.event_id))
    store.commit()
    store.close()
    with pytest.raises(AuditStoreDamaged):
        log.reveal(0, "prompt", reason="a test")


def test_the_wrong_master_key_is_refused_on_opening(kit: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with AuditLog.open(path, signer=kit.signer(), master_key=MASTER_KEY) as log:
        log.append(kit.make_event(0), protected={"prompt": "a cat"})
    with pytest.raises(KeyUnavailable, match="master key"):
        AuditLog.open(path, signer=kit.signer(), master_key=bytes(32))
    with pytest.raises(KeyUnavailable, match="31"):
        AuditLog.open(path, signer=kit.signer(), master_key=bytes(31))


def test_refusals_to_protect_never_quote_the_prompt(log: AuditLog, kit: ModuleType) -> None:
    for protected in ({"prompt": "secret\ud800"}, {"secret": "x"}):
        with pytest.raises(EventInvalid) as refusal:
            log.append(kit.make_event(0), protected=protected)
        assert "secret" not in str(refusal.value)
    log.append(kit.make_event(0))
    with pytest.raises(NotFound):
        log.reveal(0, "prompt", reason="a test")


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_log_without_given_keys_makes_its_own_and_finds_them_again(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db") as log:
        log.append(kit.make_event(0), protected={"prompt": "a cat"})
        origin = log.origin
    with AuditLog.open(f"sqlite:///{tmp_path}/audit.db") as log:
        assert (log.origin, log.size, log.reveal(0, "prompt", reason="a test")) == (origin, 1, "a cat")
    assert stat.S_IMODE((tmp_path / "audit.db").stat().st_mode) == 0o600


def test_a_log_is_not_carried_on_with_another_key(kit: ModuleType, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log:
        log.append(kit.make_event(0))
    with pytest.raises(KeyUnavailable, match="another key"):
        AuditLog.open(tmp_path / "audit.db", signer=kit.signer("somebody else"))


def test_the_right_key_under_another_name_is_told_from_another_key(kit: ModuleType, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    AuditLog.open(tmp_path / "audit.db", signer=NoteSigner("one.example/log", key)).close()
    with pytest.raises(KeyUnavailable, match=r"called 'one\.example/log', not 'other\.example/log'"):
        AuditLog.open(tmp_path / "audit.db", signer=NoteSigner("other.example/log", key))


def test_a_second_writer_is_refused_and_a_reader_is_not(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(HomeLocked):
        AuditLog.open(tmp_path / "audit.db", signer=kit.signer())
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as reader:
        for number in range(3):
            log.append(kit.make_event(number))
            assert reader.size == number + 1
            assert reader.verify(log.checkpoint()).ok
            assert reader.receipt(number) == log.receipt(number)


@pytest.mark.parametrize("how", ["removed", "replaced", "moved"])
def test_a_file_that_was_taken_away_takes_no_more(log: AuditLog, kit: ModuleType, tmp_path: Path, how: str) -> None:
    path = tmp_path / "audit.db"
    log.append(kit.make_event(0))
    if how == "removed":
        path.unlink()
    elif how == "moved":
        path.rename(tmp_path / "elsewhere.db")
    else:
        with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "backup.db") as backup:
            source.backup(backup)
        (tmp_path / "backup.db").replace(path)
    with pytest.raises(AuditPoisoned, match="removed or replaced"):
        log.append(kit.make_event(1))
    with pytest.raises(AuditPoisoned):
        log.append(kit.make_event(2))


def test_a_copied_folder_can_be_read_and_verified(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    fill(log, kit, 5)
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy", "*.lock"))
    with AuditLog.open(tmp_path / "copy" / "audit.db", read_only=True) as copy:
        assert copy.verify(log.checkpoint()).ok
        assert copy.size == 5


@pytest.mark.parametrize(
    ("url", "path"),
    [("audit.db", "audit.db"), ("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a%20b/c.db", "/a b/c.db")],
)
def test_urls_name_files(url: str, path: str) -> None:
    assert store_path(url) == Path(path)


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://host/file", "sqlite:///"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        store_path(url)


def test_what_is_no_log_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.db"):
        AuditLog.open(tmp_path / "absent.db", read_only=True)
    text = tmp_path / "text.db"
    text.write_text("not a database " * 100)
    with pytest.raises(AuditStoreDamaged, match=r"text\.db is not an SQLite database") as refused:
        AuditLog.open(text, read_only=True)
    assert "log verify" not in refused.value.remedy, "there is nothing to verify"
    with pytest.raises(AuditError, match=r"text\.db"):
        AuditLog.open(text)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE t (x)")
    with pytest.raises(AuditStoreDamaged, match="no audit log") as refused:
        AuditLog.open(other, read_only=True)
    assert "audit.db" in refused.value.remedy
    newer = tmp_path / "newer.db"
    sqlite3.connect(newer).execute("PRAGMA user_version = 99")
    with pytest.raises(AuditError, match="format 99"):
        AuditLog.open(newer, read_only=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable):
        AuditLog.open(tmp_path / "file" / "audit.db")


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, countermark.audit.log; print([m for m in ('numpy', 'torch', 'cv2', 'c2pa') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", [".", "/", ""])
def test_a_folder_is_no_log(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for where in (Path(folder), tmp_path):
        with pytest.raises(SettingsInvalid, match="is a folder"):
            AuditLog.open(where, read_only=True)
    assert list(tmp_path.iterdir()) == []
