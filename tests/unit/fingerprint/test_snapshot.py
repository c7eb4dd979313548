from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from countermark.fingerprint.hamming import LANES
from countermark.fingerprint.snapshot import MAGIC, Snapshot, SnapshotUnusable, read_snapshot, write_snapshot

ORIGIN = "test.countermark.example/log"
HEADER = len(MAGIC) + 32


def snapshot(count: int = 3, **changed: object) -> Snapshot:
    packed = np.random.default_rng(3).integers(0, 2**64, (count, LANES), np.uint64)
    fields = {"origin": ORIGIN, "covered": 2 * count, "root": b"r" * 32, "references": np.arange(count) * 2}
    return Snapshot(**{**fields, "packed": packed, **changed})  # type: ignore[arg-type]


def read(path: Path, at_most: int = 100) -> Snapshot:
    return read_snapshot(path, origin=ORIGIN, at_most=at_most)


def resealed(data: bytes) -> bytes:
    """As whoever wants to deceive would: with a digest that fits."""
    return MAGIC + hashlib.sha256(data[HEADER:]).digest() + data[HEADER:]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fingerprints.idx"


@pytest.mark.parametrize("count", [0, 1, 50])
def test_what_is_written_is_read(path, count):
    written = snapshot(count)
    write_snapshot(path, written)
    found = read(path)
    assert (found.origin, found.covered, found.root) == (ORIGIN, 2 * count, b"r" * 32)
    assert np.array_equal(found.references, written.references)
    assert np.array_equal(found.packed, written.packed)
    assert [file.name for file in path.parent.iterdir()] == ["fingerprints.idx"]
    assert path.stat().st_mode & 0o077 == 0


def test_the_format_is_the_documented_one(path):
    write_snapshot(path, snapshot(1))
    data = path.read_bytes()
    assert data[:16] == b"countermark-pdq\x01"
    assert data[48:56] == (256).to_bytes(8, "little")
    assert data[56:80] == b"".join(n.to_bytes(8, "little") for n in (len(ORIGIN), 1, 2))
    assert data[80:112] == b"r" * 32
    assert data[112:].startswith(ORIGIN.encode())
    assert data[-32:] == snapshot(1).packed.tobytes()


def test_a_file_cut_anywhere_is_refused(path):
    write_snapshot(path, snapshot())
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(SnapshotUnusable):
            read(path)


def test_a_file_with_a_bit_flipped_in_any_byte_is_refused(path):
    write_snapshot(path, snapshot())
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 7):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(SnapshotUnusable):
            read(path)


def test_a_file_with_a_bit_flipped_and_a_fitting_digest_never_breaks_the_reader(path):
    write_snapshot(path, snapshot())
    data = path.read_bytes()
    for bit in range(8 * HEADER, 8 * len(data), 3):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(resealed(bytes(flipped)))
        try:
            found = read(path)
        except SnapshotUnusable:
            continue
        assert len(found.references) == len(found.packed) == 3
        assert found.covered <= 100
        assert all(0 <= reference < found.covered for reference in found.references)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "another.example/log"},
        {"covered": 101},
        {"covered": 2},
        {"references": np.array([0, 4, 2])},
        {"references": np.array([0, 2, 2])},
        {"references": np.array([-1, 2, 4])},
        {"references": np.array([0, 2, 6])},
    ],
    ids=["origin", "more than the log", "less than itself", "disorder", "twice", "negative", "beyond"],
)
def test_what_no_log_would_say_is_refused(path, changed):
    write_snapshot(path, snapshot(**changed))
    with pytest.raises(SnapshotUnusable):
        read(path)


def test_what_follows_the_end_is_refused(path):
    write_snapshot(path, snapshot())
    path.write_bytes(resealed(path.read_bytes() + bytes(40)))
    with pytest.raises(SnapshotUnusable):
        read(path)


def test_an_enormous_file_is_not_read_whole(path):
    """A sparse file of a terabyte: no more is read than a log of that size could fill."""
    write_snapshot(path, snapshot())
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(SnapshotUnusable):
        read(path)


@pytest.mark.skipif(os.name == "nt", reason="named pipes are made otherwise on Windows")
def test_what_is_no_file_is_refused(path):
    with pytest.raises(SnapshotUnusable):
        read(path)
    os.mkfifo(path)
    with pytest.raises(SnapshotUnusable):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SnapshotUnusable):
        read(path)


def test_a_write_that_fails_leaves_nothing_behind(path):
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_snapshot(path, snapshot())
    assert list(path.parent.iterdir()) == [path]


def test_what_a_dead_writer_left_is_swept_and_what_another_writes_is_not(path):
    abandoned, running = path.with_name(f"{path.name}.a.tmp"), path.with_name(f"{path.name}.b.tmp")
    abandoned.touch()
    running.touch()
    os.utime(abandoned, (0, 0))
    write_snapshot(path, snapshot())
    assert not abandoned.exists()
    assert running.exists()
