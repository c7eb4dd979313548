"""The audit log: durable appends, proofs and full verification, with pymerkle and bare hashing in the same run.

    python benchmarks/audit.py [--entries N] [--folder DIR]

Prints one line for each figure: the median of several rounds, and the ratio to the peer where there is one. The disk
decides the durable figures, so run it where the log will be (``--folder``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner, verify_receipt
from countermark.model import Event, ModelRef, OutputRecord, PolicyRef

ROUNDS = 5
SIGNER = NoteSigner("bench.countermark.example/log", Ed25519PrivateKey.generate())
PROMPT = "a lighthouse at dusk, oil on canvas, warm light " * 4


def make_event() -> Event:
    """An event of the usual size, about 1.6 kB with its checks."""
    checks = [
        {"stage": stage, "category": category, "state": "assessed", "score_ppm": 1200, "severity": 0,
         "detector": "example", "detector_version": "1"}
        for stage in ("prompt", "image")
        for category in ("sexual", "violence", "hate")
    ]  # fmt: skip
    return Event.model_validate(
        {
            "event_id": secrets.token_hex(16),
            "type": "generation.released",
            "time": "2026-11-22T10:00:00.000Z",
            "source": "bench",
            "nonce": secrets.token_hex(16),
            "tenant": "default",
            "attempt": secrets.token_hex(16),
            "model": ModelRef(id="example/tiny", digest="0" * 64),
            "policy": PolicyRef(id="default", version="1", digest="0" * 64),
            "checks": checks,
            "decision": "allow",
            "output": OutputRecord(
                sha256=secrets.token_hex(32),
                media_type="image/png",
                width=1024,
                height=1024,
                size=1_000_000,
                watermark="lattice/1",
                watermark_payload=secrets.token_hex(6),
                fingerprint=secrets.token_hex(32),
                manifest_sha256=secrets.token_hex(32),
            ),
            "latency_us": {"generate": 1_000_000},
        }
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median seconds of several rounds."""
    return statistics.median(timed(work) for _ in range(rounds))


def report(name: str, value: float, unit: str, note: str = "") -> None:
    print(f"{name:<46} {value:>12,.2f} {unit:<10} {note}".rstrip())


def fsyncs(folder: Path) -> float:
    """How many small durable writes a second the disk itself allows."""
    path = folder / "fsync"
    with path.open("wb") as file:

        def write() -> None:
            for _ in range(50):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())

        seconds = median(write)
    path.unlink()
    return 50 / seconds


def appends(folder: Path) -> None:
    """Durable appends a second, by the number of callers, with and without a protected prompt."""
    with AuditLog.open(folder / "appends" / "audit.db", signer=SIGNER, master_key=bytes(32)) as log:
        cpu = time.process_time()
        for callers, each in ((1, 100), (8, 40), (64, 20)):
            with ThreadPoolExecutor(callers) as pool:

                def work(_: int, each: int = each) -> None:
                    for _ in range(each):
                        log.append(make_event())

                def run(pool: ThreadPoolExecutor = pool, callers: int = callers) -> None:
                    list(pool.map(work, range(callers)))

                seconds = median(run, 3)
            report(f"durable appends, {callers} callers", callers * each / seconds, "per s")
        events = [make_event() for _ in range(300)]
        cpu = time.process_time()
        for event in events:
            log.append(event, protected={"prompt": PROMPT})
        report("CPU of one append with a protected prompt", (time.process_time() - cpu) / 300 * 1000, "ms")
        batches = [[(make_event(), None) for _ in range(1000)] for _ in range(ROUNDS)]
        seconds = median(lambda: log.append_many(batches.pop()))
        report("durable appends, batches of 1000", 1000 / seconds, "per s", "event models built beforehand")


def proofs_and_verification(folder: Path, entries: int) -> None:
    """Inclusion proofs and full verification over a log of ``entries``, beside pymerkle and bare SHA-256."""
    with AuditLog.open(folder / "proofs" / "audit.db", signer=SIGNER) as log:
        for start in range(0, entries, 1000):
            log.append_many([(make_event(), None) for _ in range(min(1000, entries - start))])
        picks = [secrets.randbelow(entries) for _ in range(200)]
        ours = median(lambda: [log.inclusion(index, entries) for index in picks]) / len(picks)
        report(f"inclusion proof, {entries:,} entries", ours * 1000, "ms")
        receipts = [log.receipt(index) for index in picks]
        make = median(lambda: [log.receipt(index) for index in picks]) / len(picks)
        report("receipt, made and checked", make * 1000, "ms")
        check = median(lambda: [verify_receipt(r, verifier_key=log.verifier_key) for r in receipts]) / len(picks)
        report("receipt, verified offline", check * 1000, "ms")
        bodies = [log.entry(index) for index in range(entries)]
        bare = median(lambda: [hashlib.sha256(b"\0" + body).digest() for body in bodies], 3)
        full = median(lambda: log.verify(log.checkpoint()), 3)
        size = statistics.mean(map(len, bodies))
        report(
            "full verification", entries / full, "per s", f"{bare / full:.2f} of bare SHA-256 ({size:.0f} B entries)"
        )
    pymerkle_beside(folder, bodies, ours)


def pymerkle_beside(folder: Path, bodies: list[bytes], ours: float) -> None:
    """Pymerkle's SqliteTree: the same entries, appended in one batch and proved."""
    try:
        from pymerkle import SqliteTree
    except ImportError:
        print("pymerkle is not installed (extra 'dev'): no comparison")
        return
    with SqliteTree(str(folder / "pymerkle.db"), algorithm="sha256") as tree:
        seconds = timed(lambda: tree.append_entries(bodies))
        report("pymerkle SqliteTree, appends in one batch", len(bodies) / seconds, "per s", "no signature, no look-ups")
        # Fresh entries each time: it remembers the subtrees of earlier proofs.
        theirs = median(lambda: tree.prove_inclusion(1 + secrets.randbelow(len(bodies))))
        report("pymerkle SqliteTree, inclusion proof", theirs * 1000, "ms", f"{theirs / ours:,.0f} times ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="countermark-bench-"))
    try:
        report("the disk itself: 4 KiB write and fsync", fsyncs(folder), "per s")
        report("size of an entry", len(json.dumps(make_event().model_dump(mode="json", exclude_none=True))), "bytes")
        appends(folder)
        proofs_and_verification(folder, options.entries)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
