"""Group commit: batches form while the disk is busy, failures reach everybody, nobody waits for one who left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from countermark.audit.commit import MAX_BATCH, BeginAttempt, GroupCommit, Submission
from countermark.errors import AuditClosed, AuditPoisoned


class Disk:
    """Records batches; busy until let go."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.writing = threading.Event()
        self.free = threading.Event()

    def commit(self, batch: Sequence[Submission]) -> None:
        self.writing.set()
        assert self.free.wait(10)
        self.batches.append(len(batch))


def attempt() -> BeginAttempt:
    return BeginAttempt("a", "t", "2026-11-22T10:00:00.000Z")


def wait_for(queue: GroupCommit, waiting: int) -> None:
    while len(queue._waiting) < waiting:
        threading.Event().wait(0.001)


def test_what_comes_while_the_disk_is_busy_goes_together() -> None:
    disk = Disk()
    queue = GroupCommit(disk.commit)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(queue.submit, [attempt()])
        assert disk.writing.wait(10)
        others = [pool.submit(queue.submit, [attempt()]) for _ in range(8)]
        wait_for(queue, 8)
        disk.free.set()
        for done in (first, *others):
            done.result()
    assert disk.batches == [1, 8]


def test_a_long_list_is_cut_into_batches() -> None:
    disk = Disk()
    disk.free.set()
    GroupCommit(disk.commit).submit([attempt() for _ in range(2 * MAX_BATCH + 1)])
    assert disk.batches == [MAX_BATCH, MAX_BATCH, 1]


def test_a_failure_reaches_the_batch_and_all_who_come_later() -> None:
    free = threading.Event()
    calls = []

    def fail(batch: Sequence[Submission]) -> None:
        calls.append(len(batch))
        assert free.wait(10)
        raise OSError("no space left")

    queue = GroupCommit(fail)
    with ThreadPoolExecutor(4) as pool:
        submitted = [pool.submit(queue.submit, [attempt()]) for _ in range(4)]
        wait_for(queue, 3)
        free.set()
        for one in submitted:
            with pytest.raises(AuditPoisoned, match="no space left"):
                one.result()
    with pytest.raises(AuditPoisoned, match="no space left"):
        queue.submit([attempt()])
    assert calls == [1], "after a failure nothing more is committed"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers to interrupt a waiting caller")
def test_an_interrupted_caller_leaves_the_queue_in_order() -> None:
    disk = Disk()
    queue = GroupCommit(disk.commit)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(queue.submit, [attempt()])
            assert disk.writing.wait(10)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                queue.submit([attempt()])
            last = pool.submit(queue.submit, [attempt()])
            wait_for(queue, 1)
            disk.free.set()
            first.result(10)
            last.result(10)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert disk.batches == [1, 1]


def test_closing_waits_for_the_commit_that_runs_and_refuses_the_next() -> None:
    disk = Disk()
    queue = GroupCommit(disk.commit)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(queue.submit, [attempt()])
        assert disk.writing.wait(10)
        closing = pool.submit(queue.close)
        assert not closing.done()
        disk.free.set()
        running.result(10)
        closing.result(10)
    with pytest.raises(AuditClosed, match="closed"):
        queue.submit([attempt()])
    assert disk.batches == [1]
