"""Durable, signed appends a second to a log in PostgreSQL, by writers in several processes.

``python -m benchmarks.audit_postgres`` starts a server of its own in a temporary folder (never as root) and measures,
in this order and each ``--repeats`` times: one writer; 24 writers as threads of one process, of four, and as 24
processes; 24 writers that each take a lock and commit alone, as the peer without an inbox; batches of 1,000 beside
plain inserts of bodies alone, and of all the bytes that the log stores of them into the same tables and indices, row by
row as applications do and by the log's own statements. Medians are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.postgres_server import Server, running

from benchmarks.audit import fresh_id
from countermark.audit import AuditLog, NoteSigner
from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import append_entry
from countermark.audit.query import INDEX_COLUMNS
from countermark.audit.stores.postgres.reindex import INSERT_INDEX
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


PEERS = ("bodies only", "the same rows and indices", "the same, by the log's own statements")
INSERT_ROW = "INSERT INTO event_index VALUES (%s, %s" + ", %s" * len(INDEX_COLUMNS) + ")"


def batches(url: str, new_database: Callable[[], str], signed: str, seconds: float) -> list[float]:
    """Seconds of a batch of 1,000, medians, in turns: the log's and those of :data:`PEERS`.

    Bytes and look-up columns are made beforehand for all. The same rows go into the log's own tables and indices in
    other databases: B-trees over what is looked up and listed by, as an ordinary application would have them, without
    hashes, inbox or signature. Once with psycopg's ``executemany``, once a column an array, as the log itself does.
    """
    rows_url, arrays_url = new_database(), new_database()
    for one in (rows_url, arrays_url):
        AuditLog.migrate(one)
    taken: list[list[float]] = []
    with (
        AuditLog.open(url, signer=SIGNER, signed=signed) as log,
        psycopg.connect(url, autocommit=True) as plain,
        psycopg.connect(rows_url, autocommit=True) as same,
        psycopg.connect(arrays_url, autocommit=True) as arrays,
        plain.cursor() as cursor,
        same.cursor() as rows_cursor,
    ):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            documents = [event_document(event()) for _ in range(BATCH)]
            numbers = list(range(len(taken) * BATCH, (len(taken) + 1) * BATCH))
            bodies = [canonical_bytes(document) for document in documents]
            assert log._writer is not None
            items = [append_entry(*one) for one in zip(documents, bodies, strict=True)]
            leaves = [bytes(32)] * BATCH
            rows = [(number, leaf, *item.row) for number, leaf, item in zip(numbers, leaves, items, strict=True)]
            columns = [list(column) for column in zip(*(item.row for item in items), strict=True)]
            began = time.perf_counter()
            log._writer.submit(items)
            logged = time.perf_counter()
            with plain.transaction():
                cursor.executemany("INSERT INTO plain VALUES (%s, %s)", list(zip(numbers, bodies, strict=True)))
            inserted = time.perf_counter()
            with same.transaction():
                rows_cursor.executemany("INSERT INTO entry VALUES (%s, %s)", list(zip(numbers, bodies, strict=True)))
                rows_cursor.executemany(INSERT_ROW, rows)
            by_row = time.perf_counter()
            with arrays.transaction():
                arrays.execute(INSERT_ENTRY, (numbers, bodies))
                arrays.execute(INSERT_INDEX, (numbers, leaves, *columns))
            by_array = time.perf_counter()
            taken.append([logged - began, inserted - logged, by_row - inserted, by_array - by_row])
    return [statistics.median(column) for column in zip(*taken, strict=True)]


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
    for name, runs in results.items():
        first, second = (round(statistics.median(column), 1) for column in zip(*runs, strict=True))
        print(json.dumps({"what": name, "per_s": first, "median_ms": second}))
    ours, *others = [statistics.median(column) for column in zip(*of_batches, strict=True)]
    print(json.dumps({"what": "batches of 1,000", "per_s": round(BATCH / ours, 1)}))
    for name, theirs in zip(PEERS, others, strict=True):
        rate, share = round(BATCH / theirs, 1), round(theirs / ours, 2)
        print(json.dumps({"what": f"plain inserts: {name}", "per_s": rate, "the log takes": share}))


if __name__ == "__main__":
    main()
