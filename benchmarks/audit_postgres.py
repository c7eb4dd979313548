"""Durable, signed appends a second to a log in PostgreSQL, by writers in several processes.

``python -m benchmarks.audit_postgres`` starts a server of its own in a temporary folder (never as root) and measures,
in this order and each ``--repeats`` times: one writer; 24 writers as threads of one process, of four, and as 24
processes; 24 writers that each take a lock and commit alone, as the peer without an inbox; batches of 1,000 beside
plain inserts (:data:`PEERS`). Then it fills a log with ``--entries`` and asks for proofs and for a page of each kind of
filter. Medians are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.postgres_server import Server, running

from benchmarks.audit import ORDINARY, QUERIES, fill, fresh_id, median, timed
from countermark.audit import AuditLog, NoteSigner
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import append_entry
from countermark.audit.query import INDEX_COLUMNS, Filter
from countermark.audit.stores.postgres.look_ups import INSERT_INDEX
from countermark.audit.stores.postgres.store import INSERT_ENTRY
from countermark.model import Event

SIGNER = NoteSigner("benchmark.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
SHAPES = {"1 writer": (1, 1), "24 threads": (1, 24), "4 processes of 6": (4, 6), "24 processes": (24, 1)}
BATCH = 1000
PADDING = "x" * 1200


def event() -> Event:
    """An event of about 1.6 kB, as long as a released image's."""
    name = fresh_id()
    fields = {
        "event_id": name,
        "type": "generation.released",
        "time": "2026-11-22T10:00:00.000Z",
        "source": "benchmark",
        "nonce": name,
        "tenant": "t",
        "attempt": name,
        "params": {"padding": PADDING},
    }
    return Event.model_validate(fields)


def writing(append: Callable[[], object], threads: int, seconds: float) -> None:
    """Append from threads after a line on stdin; print how often, and the median latency in ms."""
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.perf_counter() + seconds
    took: list[float] = []

    def work() -> None:
        while (began := time.perf_counter()) < until:
            append()
            took.append(time.perf_counter() - began)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(len(took), statistics.median(took) * 1000, flush=True)
    sys.stdin.readline()


def child(kind: str, url: str, signed: str, threads: int, seconds: float) -> None:
    """One writing process."""
    if kind == "log":
        with AuditLog.open(url, signer=SIGNER, signed=signed) as log:
            writing(lambda: log.append(event()), threads, seconds)
        return
    with psycopg.connect(url, autocommit=True) as connection:

        def alone() -> None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(1)")
                (last,) = connection.execute("SELECT coalesce(max(seq), -1) FROM plain").fetchall()[0]
                connection.execute("INSERT INTO plain VALUES (%s, %s)", (last + 1, _body()))

        writing(alone, threads, seconds)


def measure(kind: str, url: str, signed: str, shape: tuple[int, int], seconds: float) -> tuple[float, float]:
    """Appends a second of all processes together, and the median latency in ms."""
    processes, threads = shape
    command = [sys.executable, "-m", "benchmarks.audit_postgres", "--child", kind, url, signed, str(threads)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, str(seconds)], **pipes) for _ in range(processes)]  # type: ignore[call-overload]
    for one in children:
        one.stdout.readline()
    for one in children:
        print("go", file=one.stdin, flush=True)
    began = time.perf_counter()
    said = [one.stdout.readline().split() for one in children]
    took = time.perf_counter() - began
    for one in children:
        one.communicate("done\n")
    return sum(int(count) for count, _ in said) / took, statistics.median(float(latency) for _, latency in said)


PEERS = (
    "bodies only",
    "an ordinary table's B-trees",
    "the log's own tables, without postings",
    "the same, a column an array, as the log sends them",
)
"""Plain inserts: of bodies; of bodies and look-up columns with an index for whatever a page is filtered by; of the same
into the log's own tables, which leaves out postings, hashes, inbox and signature."""
Plain = psycopg.Connection[tuple[Any, ...]]
INSERT_ROW = "INSERT INTO event_index VALUES (%s, %s" + ", %s" * len(INDEX_COLUMNS) + ")"


def ordinary_indices() -> list[str]:
    """What an application without postings would have: B-trees over what it filters by, and sets of words."""
    sets = [name for name in ORDINARY if name in ("categories", "words")]
    plain = [name for name in ORDINARY if name not in sets]
    indices = [f"CREATE INDEX plain_{name} ON event_index ({name}, seq) WHERE {name} IS NOT NULL" for name in plain]
    words = "CREATE INDEX plain_{0} ON event_index USING gin (string_to_array({0}, ' '))"
    return indices + [words.format(name) for name in sets]


def batches(url: str, new_database: Callable[[], str], signed: str, seconds: float) -> list[float]:
    """Seconds of a batch of 1,000, medians, in turns: the log's and those of :data:`PEERS`, each in its own database.

    Bytes and look-up columns are made beforehand for all. Rows go in with psycopg's ``executemany``.
    """
    places = [new_database() for _ in PEERS[1:]]
    for one in places:
        AuditLog.migrate(one)
    taken: list[list[float]] = []
    with ExitStack() as opened:
        log = opened.enter_context(AuditLog.open(url, signer=SIGNER, signed=signed))
        bodies_only, ordinary, own, arrays = (
            opened.enter_context(psycopg.connect(one, autocommit=True)) for one in (url, *places)
        )
        for statement in ordinary_indices():
            ordinary.execute(statement.encode())
        assert log._writer is not None
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            documents = [event_document(event()) for _ in range(BATCH)]
            numbers = list(range(len(taken) * BATCH, (len(taken) + 1) * BATCH))
            bodies = [canonical_bytes(document) for document in documents]
            items = [append_entry(*one) for one in zip(documents, bodies, strict=True)]
            leaves = [bytes(32)] * BATCH
            entries = list(zip(numbers, bodies, strict=True))
            rows = [(number, leaf, *item.row) for number, leaf, item in zip(numbers, leaves, items, strict=True)]
            columns = [list(column) for column in zip(*(item.row for item in items), strict=True)]
            works = (
                partial(log._writer.submit, items),
                partial(insert, bodies_only, ("plain", entries, [])),
                partial(insert, ordinary, ("entry", entries, rows)),
                partial(insert, own, ("entry", entries, rows)),
                partial(insert_columns, arrays, (numbers, bodies), (numbers, leaves, *columns)),
            )
            taken.append([timed(work) for work in works])
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def insert(connection: Plain, batch: tuple[str, list[Any], list[Any]]) -> None:
    """Entries into a table, and their look-up columns, row by row in one durable transaction."""
    table, entries, rows = batch
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)".encode(), entries)
        if rows:
            cursor.executemany(INSERT_ROW.encode(), rows)


def insert_columns(connection: Plain, entries: tuple[Any, ...], columns: tuple[Any, ...]) -> None:
    """The same by the log's own statements."""
    with connection.transaction():
        connection.execute(INSERT_ENTRY, entries)
        connection.execute(INSERT_INDEX, columns)


def large_log(url: str, signed: str, entries: int) -> dict[str, float]:
    """Milliseconds of an inclusion proof, and of a page of 50 entries for each kind of filter, each entry checked."""
    with AuditLog.open(url, signer=SIGNER, signed=signed) as log:
        fill(log, entries)
        picks = [secrets.randbelow(entries) for _ in range(200)]
        proof = median(lambda: [log.inclusion(index, entries) for index in picks]) / len(picks)
        asked = {name: partial(log.page, Filter(**conditions)) for name, conditions in QUERIES.items()}
        pages = {f"page: {name}": median(work) * 1000 for name, work in asked.items()}
    return {"inclusion proof": proof * 1000, **pages, "slowest page": max(pages.values())}


def _body() -> bytes:
    return canonical_bytes(event_document(event()))


def _new(server: Server) -> str:
    url = server.new_database()
    server.execute("CREATE TABLE plain (seq bigint PRIMARY KEY, body bytea NOT NULL)", url)
    return url


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log that pages are asked of")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, url, signed, threads, seconds = options.child
        child(kind, url, signed, int(threads), float(seconds))
        return
    results: dict[str, list[tuple[float, float]]] = {}
    of_batches: list[list[float]] = []
    with running() as server, tempfile.TemporaryDirectory() as folder:
        for number in range(options.repeats):
            signed = str(Path(folder) / f"{number}.db")
            for name, shape in SHAPES.items():
                measured = measure("log", _new(server), f"{signed}{name}", shape, options.seconds)
                results.setdefault(name, []).append(measured)
            peer = measure("alone", _new(server), signed, (24, 1), options.seconds)
            results.setdefault("24 processes, a lock and a commit each, unsigned", []).append(peer)
            of_batches.append(batches(_new(server), server.new_database, signed, options.seconds))
        large = large_log(server.new_database(), str(Path(folder) / "large.db"), options.entries)
    for name, runs in results.items():
        first, second = (round(statistics.median(column), 1) for column in zip(*runs, strict=True))
        print(json.dumps({"what": name, "per_s": first, "median_ms": second}))
    ours, *others = [statistics.median(column) for column in zip(*of_batches, strict=True)]
    print(json.dumps({"what": "batches of 1,000", "per_s": round(BATCH / ours, 1)}))
    for name, theirs in zip(PEERS, others, strict=True):
        rate, share = round(BATCH / theirs, 1), round(theirs / ours, 2)
        print(json.dumps({"what": f"plain inserts: {name}", "per_s": rate, "the log takes": share}))
    for name, milliseconds in large.items():
        print(json.dumps({"what": f"{options.entries:,} entries, {name}", "ms": round(milliseconds, 2)}))


if __name__ == "__main__":
    main()
