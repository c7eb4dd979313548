"""The audit log: durable appends, proofs, full verification and queries, each beside its peer in the same run.

    python benchmarks/audit.py [--entries N] [--folder DIR] [--quick]

Prints one line for each figure: the median of several rounds, and the ratio to the peer where there is one. The disk
decides the durable figures, so run it where the log will be (``--folder``). A million entries take some 12 GB there:
the log, and three copies of it for plain inserts to go on with.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import secrets
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner, verify_receipt
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import AppendEntry
from countermark.audit.query import INDEX_COLUMNS, Filter, IndexRow, index_row
from countermark.audit.stores.sqlite_schema import SCHEMA, connect_writer
from countermark.model import Event, ModelRef, OutputRecord, PolicyRef

Made = tuple[str, bytes, IndexRow]
ROUNDS = 5
YEAR = 1_735_689_600  # the first second of 2025
BATCH = 1000
SIGNER = NoteSigner("bench.countermark.example/log", Ed25519PrivateKey.generate())
PROMPT = "a lighthouse at dusk, oil on canvas, warm light " * 4
REASONS = {
    "violence": "The prompt asks for graphic violence.",
    "sexual": "The picture shows nudity beyond what the policy allows.",
    "hate": "The prompt insults a protected group.",
}


def id_of(milliseconds: int, chance: int) -> str:
    """An id that begins with its time, as the pipeline's do (RFC 9562, UUID version 7): the index grows at its end.

    Made here, for processes that verify import this file, and would import the pipeline with it.
    """
    return f"{milliseconds:012x}7{chance:019x}"


def fresh_id() -> str:
    """An id of now."""
    return id_of(time.time_ns() // 1_000_000, secrets.randbits(76))


def make_event() -> Event:
    """An event of the usual size, about 2 kB with its checks."""
    checks = [
        {"stage": stage, "category": category, "state": "assessed", "score_ppm": 1200, "severity": 0,
         "detector": "example", "detector_version": "1"}
        for stage in ("prompt", "image")
        for category in ("sexual", "violence", "hate")
    ]  # fmt: skip
    return Event.model_validate(
        {
            "event_id": fresh_id(),
            "type": "generation.released",
            "time": "2026-11-22T10:00:00.000Z",
            "source": "bench",
            "nonce": secrets.token_hex(16),
            "tenant": "default",
            "attempt": fresh_id(),
            "actor": {"pseudonym": secrets.token_hex(16), "key_id": "1"},
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


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Events of 2025 as plain data: 40 tenants, 5,000 users, 5 models, 3 policies; 12 % refused, with reasons."""
    dice = random.Random(1)
    template = event_document(make_event())
    output = template["output"]
    for number in range(count):
        day, second = divmod(number * 31_536_000 // count, 86_400)
        date = time.strftime("%Y-%m-%d", time.gmtime(YEAR + day * 86_400))
        document = {
            **template,
            "event_id": id_of((YEAR + day * 86_400 + second) * 1000, dice.getrandbits(76)),
            "nonce": f"{dice.getrandbits(128):032x}",
            "attempt": f"{number:032x}",
            "time": f"{date}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z",
            "tenant": f"tenant-{int(dice.paretovariate(0.8)) % 40}",
            "actor": {"pseudonym": f"{dice.randrange(5000):032x}", "key_id": "1"},
            "model": {**template["model"], "id": f"example/model-{dice.randrange(5)}"},
            "policy": {**template["policy"], "version": str(1 + 3 * number // count)},
        }
        if dice.random() < 0.12:
            category = dice.choice(sorted(REASONS))
            checks = [{**c, "severity": 6 if c["category"] == category else 0} for c in template["checks"]]
            case = f"Case {number}." if number % 1000 == 0 else ""
            document |= {"type": "generation.refused", "decision": "block", "checks": checks}
            document["reasons"] = [reason for reason in (REASONS[category], case) if reason]
            del document["output"]
        else:
            document["output"] = {
                **output,
                "sha256": f"{dice.getrandbits(256):064x}",
                "manifest_sha256": f"{dice.getrandbits(256):064x}",
                "watermark_payload": f"{dice.getrandbits(48):012x}",
            }
        yield document


def fill(log: AuditLog, count: int) -> None:
    """Append documents as they are, without the models around them: a million events in minutes."""
    made = documents(count)
    assert log._writer is not None
    while batch := list(islice(made, BATCH)):
        log._writer.submit([AppendEntry(d["event_id"], canonical_bytes(d), index_row(d)) for d in batch])


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median seconds of several rounds."""
    return statistics.median(timed(work) for _ in range(rounds))


def medians(works: list[Callable[[], object]], rounds: int = 3) -> list[float]:
    """Median seconds of each work, the rounds interleaved so that whatever else the machine does meets them alike."""
    seconds = [[timed(work) for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*seconds, strict=True)]


def report(name: str, value: float, unit: str, note: str = "") -> None:
    print(f"{name:<46} {value:>12,.2f} {unit:<10} {note}".rstrip(), flush=True)


# --- appending ------------------------------------------------------------------------------------------------------


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
    """Durable appends a second by the number of callers, beside a commit for each append."""
    with AuditLog.open(folder / "appends" / "audit.db", signer=SIGNER, master_key=bytes(32)) as log:
        one_at_a_time = threading.Lock()

        def append_in_turn(event: Event) -> None:
            with one_at_a_time:
                log.append(event)

        def rate(callers: int, count: int, append: Callable[[Event], object]) -> float:
            with ThreadPoolExecutor(callers) as pool:
                seconds = []
                for _ in range(3):
                    made = [[make_event() for _ in range(count)] for _ in range(callers)]
                    seconds.append(timed(lambda made=made: list(pool.map(partial(each, append), made))))  # type: ignore[misc]
                return callers * count / statistics.median(seconds)

        for callers, count in ((1, 300), (8, 100), (64, 80)):
            together = rate(callers, count, log.append)
            alone = rate(callers, count // 8, append_in_turn)
            note = f"{together / alone:.1f} times one commit each ({alone:,.0f} per s)" if callers > 1 else ""
            report(f"durable appends, {callers} callers", together, "per s", note)
        events = [make_event() for _ in range(300)]
        cpu = time.process_time()
        for event in events:
            log.append(event, protected={"prompt": PROMPT})
        report("CPU of one append with a protected prompt", (time.process_time() - cpu) / 300 * 1000, "ms")


ORDINARY = ("time", "type", "tenant", "actor", "decision", "model", "policy", "categories", "words")
"""What ``log list`` filters by, beside the values that are looked up alone."""
LOOKED_UP = ("attempt", "output_sha256", "manifest_sha256", "watermark_payload")
INSERT_ROW = f"INSERT INTO event_index VALUES (?, ?{', ?' * len(INDEX_COLUMNS)})"


class Plain:
    """Durable inserts of entries, and of their look-up rows if asked, with the log's own settings of SQLite.

    What they leave out: hashes, tree, looking for repeats, bitmaps and locators, signature, record of what was signed.
    """

    def __init__(self, path: Path, schema: str, *, rows: bool) -> None:
        self._connection = connect_writer(path)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(schema)
        (newest,) = self._connection.execute("SELECT ifnull(max(seq), -1) FROM entry").fetchone()
        self._next, self._rows = newest + 1, rows

    def insert(self, batch: list[Made]) -> None:
        """One durable transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        bodies = ((index, body) for index, (_, body, _) in enumerate(batch, self._next))
        self._connection.executemany("INSERT INTO entry VALUES (?, ?)", bodies)
        if self._rows:
            rows = ((index, bytes(32), *row) for index, (_, _, row) in enumerate(batch, self._next))
            self._connection.executemany(INSERT_ROW, rows)
        self._connection.execute("COMMIT")
        self._next += len(batch)

    def close(self) -> None:
        self._connection.close()


def ordinary_schema() -> str:
    """What an application without our index would do: B-trees over what it filters by. None finds a single word."""
    indices = [f"CREATE INDEX IF NOT EXISTS plain_{name} ON event_index ({name}, seq);" for name in ORDINARY]
    indices += [f"CREATE INDEX IF NOT EXISTS plain_{name} ON event_index ({name});" for name in LOOKED_UP]
    return "".join(indices)


def batches(folder: Path, log: AuditLog | None, store: Path | None, rounds: int) -> None:
    """Batches of 1,000 into an empty log or, given one and its file, into a large one, beside plain inserts.

    Each figure is of whole stretches of 20 batches, for a database does part of its work in some commits only.
    """
    stretch, size = 20, 0
    folder.mkdir(parents=True)
    if log is None:
        own = log = AuditLog.open(folder / "log" / "audit.db", signer=SIGNER)
    else:
        own, size = None, log.size
        for name in ("bodies.db", "same.db", "ordinary.db"):
            copied(store, folder / name)
    plain = {
        "bodies only": Plain(folder / "bodies.db", "" if store else SCHEMA, rows=False),
        "the same rows and indices": Plain(folder / "same.db", "" if store else SCHEMA, rows=True),
        "an ordinary table's B-trees": Plain(
            folder / "ordinary.db", ("" if store else SCHEMA) + ordinary_schema(), rows=True
        ),
    }
    writer = log._writer
    assert writer is not None
    works: list[Callable[[list[Made]], object]] = [
        *(one.insert for one in plain.values()),
        lambda batch: writer.submit([AppendEntry(*one) for one in batch]),
    ]
    seconds: list[list[float]] = []
    for _ in range(rounds):
        made = [[[prepared() for _ in range(BATCH)] for _ in range(stretch)] for _ in works]
        seconds.append([timed(partial(each, work, mine)) for work, mine in zip(works, made, strict=True)])
    *others, ours = [statistics.median(column) for column in zip(*seconds, strict=True)]
    rate = stretch * BATCH
    report(f"batches of 1000 into a log of {size:,} entries", rate / ours, "per s", "durable, hashed, signed")
    for name, theirs in zip(plain, others, strict=True):
        report(f"  plain inserts: {name}", rate / theirs, "per s", f"the log takes {theirs / ours:.2f} of that")
    if not size:
        models = [[(make_event(), None) for _ in range(BATCH)] for _ in range(stretch)]
        report("  the log, from event models", rate / timed(partial(each, log.append_many, models)), "per s")
    for one in (*plain.values(), own):
        if one:
            one.close()


def prepared() -> Made:
    """An event's id, bytes and look-up columns."""
    document = event_document(make_event())
    return document["event_id"], canonical_bytes(document), index_row(document)


def each(work: Callable[[Any], object], batch: list[Any]) -> None:
    for one in batch:
        work(one)


def copied(store: Path | None, target: Path) -> None:
    """A copy of a store that is open, for plain inserts to go on with."""
    assert store is not None
    source, copy = sqlite3.connect(store), sqlite3.connect(target)
    source.backup(copy)
    source.close()
    copy.close()


# --- proving and verifying ------------------------------------------------------------------------------------------


def proofs(log: AuditLog, entries: int) -> float:
    """Inclusion and consistency proofs and receipts; gives the seconds of an inclusion proof."""
    picks = [secrets.randbelow(entries) for _ in range(200)]
    ours = median(lambda: [log.inclusion(index, entries) for index in picks]) / len(picks)
    report(f"inclusion proof, {entries:,} entries", ours * 1000, "ms")
    extends = median(lambda: [log.consistency(index + 1, entries) for index in picks]) / len(picks)
    report(f"consistency proof, {entries:,} entries", extends * 1000, "ms")
    receipts = [log.receipt(index) for index in picks]
    make = median(lambda: [log.receipt(index) for index in picks]) / len(picks)
    report("receipt, made and checked", make * 1000, "ms")
    check = median(lambda: [verify_receipt(r, verifier_key=log.verifier_key) for r in receipts]) / len(picks)
    report("receipt, verified offline", check * 1000, "ms")
    return ours


def verification(log: AuditLog, entries: int, rounds: int) -> None:
    """Full verification beside bare SHA-256 of the same bytes, read from the same store and from memory."""

    def bare_from_store() -> None:
        with log._store.snapshot() as reader:
            for page in reader.pages(0, entries):
                for _, body in page:
                    hashlib.sha256(body).digest()

    def bare_from_memory() -> None:
        for body in bodies:
            hashlib.sha256(body).digest()

    def verify(**options: Any) -> Callable[[], None]:
        def run() -> None:
            assert log.verify(log.checkpoint(), **options).ok

        return run

    sample = min(entries, 100_000)
    with log._store.reader() as reader:
        bodies = [body for page in reader.pages(0, sample) for _, body in page]
    tree_only = {"index": False, "protected": False}
    stored, memory, tree, tree_twice, whole, whole_twice = medians(
        [
            bare_from_store,
            bare_from_memory,
            verify(**tree_only),
            verify(**tree_only, jobs=2),
            verify(),
            verify(jobs=2),
        ],
        rounds,
    )
    memory *= entries / sample
    size = statistics.mean(map(len, bodies))
    report(f"bare SHA-256 of {size:.0f} B entries, from memory", entries / memory, "per s")
    report("bare SHA-256 of the same, read from the store", entries / stored, "per s")
    report(
        "full verification: entries, tree, checkpoints",
        entries / tree,
        "per s",
        f"{stored / tree:.2f} of bare SHA-256 from the store, {memory / tree:.2f} from memory; one process",
    )
    report("  in two processes", entries / tree_twice, "per s", f"{tree / tree_twice:.2f} times one process")
    report("  and look-up index and protected fields", entries / whole, "per s", "one process")
    report(
        "  the same in two processes", entries / whole_twice, "per s", f"{whole / whole_twice:.2f} times one process"
    )


def opened_fields(folder: Path, entries: int = 20_000) -> None:
    """Full verification where every entry has an encrypted prompt, each opened and compared with its commitment."""
    with AuditLog.open(folder / "protected" / "audit.db", signer=SIGNER, master_key=bytes(32)) as log:
        for _ in range(entries // BATCH):
            log.append_many([(make_event(), {"prompt": PROMPT}) for _ in range(BATCH)])
        report("  and each with an encrypted prompt, opened", entries / median(log.verify, 3), "per s", "one process")


def pymerkle_beside(folder: Path, log: AuditLog, ours: float) -> None:
    """Pymerkle's SqliteTree: the same entries, appended in one batch and proved."""
    try:
        from pymerkle import SqliteTree
    except ImportError:
        print("pymerkle is not installed (extra 'dev'): no comparison")
        return
    with log._store.reader() as reader:
        bodies = [body for page in reader.pages(0, 20_000) for _, body in page]
    with SqliteTree(str(folder / "pymerkle.db"), algorithm="sha256") as tree:
        seconds = timed(lambda: tree.append_entries(bodies))
        report("pymerkle SqliteTree, appends in one batch", len(bodies) / seconds, "per s", "no signature, no look-ups")
        # Fresh entries each time: it remembers the subtrees of earlier proofs.
        theirs = median(lambda: tree.prove_inclusion(1 + secrets.randbelow(len(bodies))))
        note = f"{theirs / ours:,.0f} times ours; {len(bodies):,} entries"
        report("pymerkle SqliteTree, inclusion proof", theirs * 1000, "ms", note)


# --- looking up -----------------------------------------------------------------------------------------------------

QUERIES: dict[str, dict[str, Any]] = {
    "newest": {},
    "tenant": {"tenant": "tenant-1"},
    "one user": {"actor": f"{7:032x}"},
    "refusals of a tenant for a category": {"tenant": "tenant-3", "type": "generation.refused", "category": "hate"},
    "model, policy and decision": {"model": "example/model-2", "policy": "default@1", "decision": "block"},
    "a picture's digest": {"output_sha256": "0" * 64},
    "an old week": {"since": "2025-02-01", "until": "2025-02-08"},
    "an old week of a user": {"actor": f"{7:032x}", "since": "2025-02-01", "until": "2025-02-08"},
    "common words in the reasons": {"text": "graphic violence"},
    "a rare word in the reasons": {"text": "case 1000"},
    "two common things that never meet": {"type": "generation.released", "decision": "block"},
    "three common things that never meet": {"tenant": "tenant-1", "decision": "allow", "category": "violence"},
}


def queries(log: AuditLog, entries: int) -> None:
    """A page of 50 entries for each kind of filter, each entry read and checked against the tree and the filter."""
    slowest = 0.0
    for name, conditions in QUERIES.items():
        wanted = Filter(**conditions)
        found = len(log.page(wanted).rows)
        seconds = median(partial(log.page, wanted))
        slowest = max(slowest, seconds)
        report(f"page: {name}", seconds * 1000, "ms", f"{found} found")
    report(f"slowest filtered page of {entries:,} entries", slowest * 1000, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large log (default 1,000,000)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--quick", action="store_true", help="70,000 entries, one round of verification")
    options = parser.parse_args()
    entries = 70_000 if options.quick else options.entries
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="countermark-bench-"))
    try:
        report("the disk itself: 4 KiB write and fsync", fsyncs(folder), "per s")
        report("size of an entry", len(canonical_bytes(event_document(make_event()))), "bytes")
        appends(folder)
        batches(folder / "into-empty", None, None, 5)
        with AuditLog.open(folder / "large" / "audit.db", signer=SIGNER) as log:
            report(f"a log of {entries:,} entries, written in", timed(lambda: fill(log, entries)), "s")
            batches(folder / "into-large", log, folder / "large" / "audit.db", 3)
            entries = log.size
            ours = proofs(log, entries)
            queries(log, entries)
            verification(log, entries, 1 if options.quick else 3)
            opened_fields(folder)
            pymerkle_beside(folder, log, ours)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
