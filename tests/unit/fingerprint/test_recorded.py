"""The fingerprints of a real log, kept in a file beside it."""

from __future__ import annotations

import base64
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner
from countermark.errors import AuditStoreDamaged
from countermark.fingerprint import MATCH, Fingerprint, Hit, RecordedFingerprints
from countermark.fingerprint.snapshot import read_snapshot
from countermark.model import Event, OutputRecord

SIGNER = NoteSigner("test.countermark.example/log", Ed25519PrivateKey.generate())


def output(fingerprint: str) -> OutputRecord:
    return OutputRecord(
        sha256=secrets.token_hex(32),
        media_type="image/png",
        width=64,
        height=64,
        size=1,
        watermark="lattice/1",
        watermark_payload=secrets.token_hex(6),
        fingerprint=fingerprint,
        manifest_sha256=secrets.token_hex(32),
    )


def event(fingerprint: str | None) -> Event:
    return Event.model_validate(
        {
            "event_id": secrets.token_hex(16),
            "type": "generation.released" if fingerprint else "generation.refused",
            "time": "2026-11-22T10:00:00.000Z",
            "source": "test",
            "nonce": secrets.token_hex(16),
            "tenant": "default",
            "attempt": secrets.token_hex(16),
            "decision": "allow" if fingerprint else "block",
            "output": output(fingerprint) if fingerprint else None,
        }
    )


def hashes(count: int, seed: int = 1) -> list[str]:
    generator = np.random.default_rng(seed)
    return [generator.bytes(32).hex() for _ in range(count)]


def fill(log: AuditLog, fingerprints: list[str]) -> None:
    """A release for each, with a refusal before every one."""
    log.append_many([(event(which), None) for bits in fingerprints for which in (None, bits)])


def looked_up(recorded: RecordedFingerprints, bits: str) -> list[Hit]:
    return recorded.nearest([Fingerprint(bits, 100)], within=MATCH)


@pytest.fixture
def make_log(tmp_path: Path) -> Iterator[Callable[[str], AuditLog]]:
    opened: list[AuditLog] = []

    def make(folder: str = "log") -> AuditLog:
        (tmp_path / folder).mkdir()
        opened.append(AuditLog.open(tmp_path / folder / "audit.db", signer=SIGNER))
        return opened[-1]

    yield make
    for log in opened:
        log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fingerprints.idx"


def without_fingerprints(log: AuditLog, tmp_path: Path) -> None:
    """Take them out of the log's look-up index, so that only a file can still know them."""
    with sqlite3.connect(tmp_path / "log" / "audit.db") as store:
        store.execute("UPDATE event_index SET fingerprint = NULL")
    store.close()


def test_it_follows_the_log(make_log):
    log = make_log()
    recorded = RecordedFingerprints(log, None)
    first, second = hashes(2)
    fill(log, [first])
    assert looked_up(recorded, first) == [Hit(0, 1)]
    assert looked_up(recorded, second) == []
    fill(log, [second])
    assert looked_up(recorded, second) == [Hit(0, 3)]


def test_the_next_process_reads_the_file_and_only_what_is_new_from_the_log(make_log, path, tmp_path):
    log = make_log()
    old = hashes(20)
    fill(log, old)
    looked_up(RecordedFingerprints(log, path, keep_from=20), old[0])
    without_fingerprints(log, tmp_path)
    (new,) = hashes(1, seed=2)
    fill(log, [new])
    recorded = RecordedFingerprints(log, path, keep_from=20)
    assert [looked_up(recorded, bits) for bits in old] == [[Hit(0, 2 * n + 1)] for n in range(20)]
    assert looked_up(recorded, new) == [Hit(0, 41)]


def test_a_file_is_written_only_when_it_is_worth_it(make_log, path):
    log = make_log()
    bits = hashes(9)
    recorded = RecordedFingerprints(log, path, keep_from=4)
    fill(log, bits[:3])
    looked_up(recorded, bits[0])
    assert not path.exists()
    fill(log, bits[3:4])
    looked_up(recorded, bits[0])
    assert read_snapshot(path, origin=log.origin, at_most=8).covered == 8
    fill(log, bits[4:7])
    looked_up(recorded, bits[0])
    assert read_snapshot(path, origin=log.origin, at_most=8).covered == 8
    fill(log, bits[7:])
    looked_up(recorded, bits[0])
    assert read_snapshot(path, origin=log.origin, at_most=18).covered == 18


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:-7], lambda d: d[:90] + b"?" + d[91:], lambda d: d * 2])
def test_a_damaged_file_is_made_again(make_log, path, damage):
    log = make_log()
    bits = hashes(20)
    fill(log, bits)
    looked_up(RecordedFingerprints(log, path, keep_from=4), bits[0])
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    recorded = RecordedFingerprints(log, path, keep_from=4)
    assert looked_up(recorded, bits[7]) == [Hit(0, 15)]
    assert path.read_bytes() == whole


def test_a_file_from_before_the_log_was_rolled_back_is_made_again(make_log, path):
    """The same origin and size, another history."""
    lost, kept = make_log("lost"), make_log("kept")
    first, second = hashes(10), hashes(10, seed=2)
    fill(lost, first)
    fill(kept, second)
    looked_up(RecordedFingerprints(lost, path, keep_from=4), first[0])
    recorded = RecordedFingerprints(kept, path, keep_from=4)
    assert looked_up(recorded, first[3]) == []
    assert looked_up(recorded, second[3]) == [Hit(0, 7)]
    assert looked_up(RecordedFingerprints(kept, path, keep_from=4), second[3]) == [Hit(0, 7)]


def test_a_file_is_bound_to_the_signed_tree(make_log, path):
    log = make_log()
    for count in (4, 3):
        fill(log, hashes(count, seed=count))
        looked_up(RecordedFingerprints(log, path, keep_from=1), hashes(1)[0])
        kept = read_snapshot(path, origin=log.origin, at_most=log.size)
        signed = log.checkpoint().splitlines()
        assert (signed[1], signed[2]) == (str(kept.covered), base64.b64encode(kept.root).decode())


def test_without_a_place_to_write_it_works_from_memory(make_log, tmp_path):
    log = make_log()
    bits = hashes(10)
    fill(log, bits)
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere" / "fingerprints.idx", tmp_path / "file" / "fingerprints.idx"):
        recorded = RecordedFingerprints(log, path, keep_from=4)
        assert looked_up(recorded, bits[4]) == [Hit(0, 9)]
        assert looked_up(recorded, bits[4]) == [Hit(0, 9)]
        assert not path.exists()


def test_many_writers_at_once_leave_a_whole_file(make_log, path, tmp_path):
    log = make_log()
    bits = hashes(200)
    fill(log, bits)
    answers: list[list[Hit]] = []

    def work() -> None:
        with AuditLog.open(tmp_path / "log" / "audit.db", read_only=True) as mine:
            for _ in range(5):
                answers.append(looked_up(RecordedFingerprints(mine, path, keep_from=1), bits[100]))
                path.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[Hit(0, 201)]] * 20
    looked_up(RecordedFingerprints(log, path, keep_from=1), bits[0])
    assert len(read_snapshot(path, origin=log.origin, at_most=400).references) == 200
    assert [file.name for file in tmp_path.glob("*.tmp")] == []


def test_a_look_up_index_with_what_is_no_fingerprint_is_damage(make_log, tmp_path):
    log = make_log()
    fill(log, hashes(3))
    with sqlite3.connect(tmp_path / "log" / "audit.db") as store:
        store.execute("UPDATE event_index SET fingerprint = 'x' WHERE seq = 3")
    store.close()
    recorded = RecordedFingerprints(log, None)
    for _ in range(2):
        with pytest.raises(AuditStoreDamaged, match="no fingerprint"):
            looked_up(recorded, hashes(1)[0])
