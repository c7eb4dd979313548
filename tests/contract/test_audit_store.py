"""What every store of the audit log must keep: order, uniqueness, durability and proofs, whoever appends and when."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.forks import begin, ended, needs_fork

from countermark.audit import AuditLog, LogFindingKind, NoteSigner, open_checkpoint, verify_receipt
from countermark.audit.query import Filter
from countermark.audit.tree import verify_consistency
from countermark.audit.warrant import Warrant
from countermark.errors import (
    AuditClosed,
    AuditIndexUnusable,
    AuditPoisoned,
    EventInvalid,
    ForkedProcess,
    KeyUnavailable,
    NotFound,
)
from countermark.model import ActorRef, Event

SIGNER = NoteSigner("contract.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
THREADS, EACH = 16, 20
Open = Callable[..., AuditLog]


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "postgres":
        return str(request.getfixturevalue("database"))
    return tmp_path / "audit.db"


@pytest.fixture
def open_log(address: Path | str, tmp_path: Path) -> Iterator[Open]:
    opened: list[AuditLog] = []

    def open_it(**options: object) -> AuditLog:
        given = {"signer": SIGNER, "master_key": bytes(32), "signed": tmp_path / "signed.db", **options}
        log = AuditLog.open(address, **given)  # type: ignore[arg-type]
        opened.append(log)
        return log

    yield open_it
    for log in opened:
        log.close()


def event(attempt: str = "a", **changes: object) -> Event:
    fields = {
        "event_id": secrets.token_hex(16),
        "type": "generation.released",
        "time": "2026-11-22T10:00:00.000Z",
        "source": "contract",
        "nonce": secrets.token_hex(16),
        "tenant": "default",
        "attempt": attempt,
    }
    return Event.model_validate({**fields, **changes})


def in_threads(work: Callable[[int], object], count: int = THREADS) -> list[object]:
    start = threading.Barrier(count)

    def run(number: int) -> object:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_an_attempt_that_cannot_be_recorded_is_refused_and_harms_nothing(open_log: Open) -> None:
    log = open_log()
    with pytest.raises(EventInvalid, match=r"U\+0000"):
        log.begin("a\0b", tenant="t", time="2026-11-22T10:00:00.000Z")
    log.begin("a", tenant="t", time="2026-11-22T10:00:00.000Z")
    assert log.append(event("a")).index == 0


def test_appends_of_many_threads_each_have_an_index_of_their_own_and_are_all_durable(open_log: Open) -> None:
    log = open_log()
    appended: dict[int, Event] = {}

    def work(number: int) -> None:
        for position in range(EACH):
            done = log.append(event(f"{number}/{position}"), protected={"prompt": "p"} if position % 4 == 0 else None)
            assert appended.setdefault(done.index, done.event) is done.event
            assert done.size > done.index

    in_threads(work)
    assert sorted(appended) == list(range(THREADS * EACH))
    held = log.checkpoint()
    log.close()
    log = open_log()
    assert log.verify(held).ok
    for index, recorded in appended.items():
        assert log.event(index) == recorded


def test_entries_of_one_thread_keep_their_order(open_log: Open) -> None:
    log = open_log()
    indices = in_threads(lambda number: [log.append(event(str(number))).index for _ in range(EACH)])
    assert all(own == sorted(own) for own in indices)  # type: ignore[type-var]


def test_many_threads_appending_the_very_same_event_make_one_entry(open_log: Open) -> None:
    log = open_log()
    same = event()
    assert set(in_threads(lambda _: log.append(same).index)) == {0}
    assert log.size == 1


def test_of_many_threads_using_one_id_for_different_events_one_wins(open_log: Open) -> None:
    log = open_log()
    event_id = secrets.token_hex(16)

    def work(number: int) -> str:
        try:
            log.append(event(str(number), event_id=event_id))
        except EventInvalid:
            return "refused"
        return "appended"

    outcomes = in_threads(work)
    assert (outcomes.count("appended"), outcomes.count("refused")) == (1, THREADS - 1)
    assert log.size == 1


def test_many_threads_appending_the_same_protected_event_agree_or_are_refused_and_nothing_breaks(
    open_log: Open,
) -> None:
    log = open_log()
    same = event()
    assert set(in_threads(lambda _: log.append(same, protected={"prompt": "a cat"}).index)) == {0}
    assert log.reveal(0, "prompt", reason="a test") == "a cat"
    assert log.verify().ok


def test_an_event_made_earlier_than_those_recorded_is_recorded_once(open_log: Open) -> None:
    names = [f"{number:032x}" for number in (5, 9, 3, 7, 1)]
    events = [event(event_id=name) for name in names]
    log = open_log()
    assert [log.append(one).index for one in (*events, *events)] == [*range(5), *range(5)]
    log.close()
    log = open_log()
    late = event(event_id=f"{4:032x}")
    batch = [*events, late, event(event_id=f"{12:032x}"), late, events[1]]
    assert [one.index for one in log.append_many([(one, None) for one in batch])] == [*range(5), 5, 6, 5, 1]
    with pytest.raises(EventInvalid, match="already entry 5"):
        log.append(event(event_id=late.event_id))
    assert log.size == 7
    assert log.verify().ok


def test_a_log_whose_index_goes_while_it_is_open_says_so_and_loses_nothing(open_log: Open, address: Path | str) -> None:
    log = open_log()
    log.append_many([(event(), None) for _ in range(300)])
    drop_index(address)
    with pytest.raises(AuditPoisoned) as refused:
        log.append(event(event_id="f" * 32))
    assert isinstance(refused.value.__cause__, AuditIndexUnusable)
    log.close()
    assert AuditLog.reindex(address) == 300
    log = open_log()
    assert log.append(event()).index == 300
    assert log.verify().ok


def test_readers_prove_entries_while_writers_append(open_log: Open) -> None:
    log = open_log()
    log.append(event())
    reader = open_log(read_only=True)
    writing = threading.Event()
    writing.set()

    def read() -> int:
        proved, old = 0, open_checkpoint(reader.checkpoint(), SIGNER.verifier_key)
        while writing.is_set() or proved < 3:
            new = open_checkpoint(reader.checkpoint(), SIGNER.verifier_key)
            verify_consistency(old.size, new.size, old.root, new.root, reader.consistency(old.size, new.size))
            receipt = reader.receipt(new.size - 1)
            assert verify_receipt(receipt, verifier_key=SIGNER.verifier_key).checkpoint.size >= new.size
            assert reader.verify().ok
            proved, old = proved + 1, new
        return proved

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(lambda: [log.append(event()) for _ in range(30)]) for _ in range(4)]
        for writer in writers:
            writer.result()
        writing.clear()
        assert all(r.result() >= 3 for r in readers)
    assert reader.size == 121


def test_a_batch_larger_than_one_commit_keeps_its_order(open_log: Open) -> None:
    log = open_log()
    events = [event(str(number)) for number in range(2100)]
    appended = log.append_many([(one, None) for one in events])
    assert [a.index for a in appended] == list(range(2100))
    assert log.event(1500) == events[1500]
    log.close()
    reader = open_log(read_only=True)
    assert reader.verify().ok


def test_a_log_carries_on_across_restarts_and_tile_borders(open_log: Open) -> None:
    held, count = "", 0
    for batch in (1, 254, 1, 1, 255, 300):
        log = open_log()
        log.append_many([(event(), None) for _ in range(batch)])
        count += batch
        assert log.size == count
        assert log.verify(held or None).ok
        held = log.checkpoint()
        log.close()


def test_every_store_finds_and_lists_the_same(open_log: Open) -> None:
    log = open_log()
    check = {
        "stage": "prompt",
        "category": "violence",
        "state": "assessed",
        "severity": 4,
        "detector": "d",
        "detector_version": "1",
    }
    model = {"id": "m", "version": "1", "type": "c2pa.types.model"}
    events = [
        event("a", tenant="x", time="2026-11-22T10:00:00.000Z"),
        event("b", tenant="y", time="2026-11-22T11:00:00.000Z", type="generation.refused", decision="block"),
        event("c", tenant="x", time="2026-11-23T10:00:00.000Z", checks=[check], reasons=["Too much 100%_violence"]),
        event("d", tenant="Y", model=model, policy={"id": "p", "version": "2", "digest": "0" * 64}),
        event("e", tenant="x", policy={"id": "pp", "version": "2", "digest": "0" * 64}, reasons=["too little"]),
    ]
    log.append_many([(one, None) for one in events])
    asked: list[tuple[Filter, list[int]]] = [
        (Filter(), [4, 3, 2, 1, 0]),
        (Filter(before=3), [2, 1, 0]),
        (Filter(tenant="x"), [4, 2, 0]),
        (Filter(tenant="y"), [1]),
        (Filter(type="generation.refused"), [1]),
        (Filter(decision="block"), [1]),
        (Filter(since="2026-11-22T11", until="2026-11-23"), [1]),
        (Filter(since="2026-11-23"), [2]),
        (Filter(category="violence"), [2]),
        (Filter(category="hate"), []),
        (Filter(model="m"), [3]),
        (Filter(policy="p"), [3]),
        (Filter(policy="pp@2"), [4]),
        (Filter(policy="p@1"), []),
        (Filter(text="TOO"), [4, 2]),
        (Filter(text="too much"), [2]),
        (Filter(text="to"), []),
        (Filter(text="100"), [2]),
        (Filter(text="too", tenant="x", category="violence"), [2]),
        (Filter(attempt="a", tenant="x"), [0]),
    ]
    with log._store.reader() as reader:
        for wanted, expected in asked:
            assert reader.search(wanted) == expected, wanted
            assert reader.search(wanted, limit=1) == expected[:1], wanted
    assert [index for index, _ in log.list(limit=2, before=3)] == [2, 1]
    assert log.find(attempt="c") == (2,)
    assert log.find(event_id=events[3].event_id) == (3,)
    assert log.find(event_id="0" * 32) == ()


def test_fingerprints_are_listed_in_the_order_of_their_entries(open_log: Open) -> None:
    log = open_log()
    output = {
        "sha256": "0" * 64,
        "media_type": "image/png",
        "width": 1,
        "height": 1,
        "size": 1,
        "watermark": "w",
        "watermark_payload": "0" * 11 + "7",
        "manifest_sha256": "1" * 64,
    }
    marked = [event(output={**output, "fingerprint": f"{number:064x}"}) for number in range(3)]
    log.append_many([(one, None) for one in (marked[0], event(), *marked[1:])])
    assert list(log.fingerprints()) == [(0, f"{0:064x}"), (2, f"{1:064x}"), (3, f"{2:064x}")]
    assert list(log.fingerprints(after=2)) == [(3, f"{2:064x}")]
    assert log.find(record_id=7) == log.find(output_sha256="0" * 64) == log.find(manifest_sha256="1" * 64) == (3, 2, 0)
    assert log.record_id_taken(7)
    assert not log.record_id_taken(8)


def test_an_attempt_that_is_begun_again_and_concluded_by_the_same_event_is_not_interrupted(open_log: Open) -> None:
    log, outcome = open_log(), event("retried")
    for _ in range(2):
        log.begin("retried", tenant="t", time=outcome.time)
        assert log.append(outcome).index == 0
    log.close()
    assert open_log().unfinished() == ()


def test_what_was_begun_is_unfinished_for_others_until_its_outcome(open_log: Open) -> None:
    log = open_log()
    for attempt in ("lost", "kept"):
        log.begin(attempt, tenant="t", time="2026-11-22T10:00:00.000Z")
    log.append(event("kept"))
    assert log.unfinished() == ()
    log.close()
    log = open_log()
    while [(one.attempt, one.tenant) for one in log.unfinished()] != [("lost", "t")]:
        time.sleep(0.01)  # a server may take a moment to notice that a writer is gone
    log.append(event("lost"))
    assert log.unfinished() == ()


def test_clocks_that_go_back_change_no_order_and_no_search(open_log: Open) -> None:
    log = open_log()
    times = [f"2026-11-22T10:00:{second:02d}.000Z" for second in (30, 40, 5, 6, 50)]
    assert [log.append(event(time=time)).index for time in times] == [0, 1, 2, 3, 4]
    assert [log.event(index).time for index in range(5)] == times
    assert [index for index, _ in log.list(since="2026-11-22T10:00:10.000Z", until="2026-11-22T10:00:45.000Z")] == [
        1,
        0,
    ]
    assert log.verify().ok


def test_a_master_key_rotated_in_mid_stream_opens_what_came_before_and_after(open_log: Open) -> None:
    old, new = bytes(32), bytes(range(32))
    log = open_log(master_key=old)
    log.append(event(), protected={"prompt": "before"})
    log.close()
    log = open_log(master_key=new, older_master_keys=[old])
    log.append(event(), protected={"prompt": "after"})
    assert [log.reveal(index, "prompt", reason="a test") for index in (0, 1)] == ["before", "after"]
    assert log.verify().ok
    log.close()
    with pytest.raises(KeyUnavailable):
        open_log(master_key=old)  # it would go on under a key that was replaced
    log = open_log(master_key=new)
    assert log.reveal(1, "prompt", reason="a test") == "after"
    with pytest.raises(KeyUnavailable, match="wrapped under master key"):
        log.reveal(0, "prompt", reason="a test")


def test_what_is_erased_is_gone_what_is_held_stays_and_every_proof_holds(open_log: Open) -> None:
    alice = ActorRef(pseudonym="a" * 32, key_id="01234567")
    why = Warrant("request 17")
    log = open_log()
    recorded = [log.append(event(actor=alice), protected={"prompt": f"cat {n}"}).event for n in range(4)]
    log.append(event(), protected={"prompt": "somebody else's"})
    receipts, held = [log.receipt(index) for index in range(5)], log.checkpoint()
    hold = log.hold(why, events=[recorded[1].event_id])
    erasure = log.erase(why, subject=alice.pseudonym)
    assert erasure.erased == tuple(recorded[n].event_id for n in (0, 2, 3))
    assert erasure.held_back == {hold.id: (recorded[1].event_id,)}
    log.close()
    log = open_log()
    for index, gone in enumerate([True, False, True, True, False]):
        if gone:
            with pytest.raises(NotFound, match="erased"):
                log.reveal(index, "prompt", reason="a test")
        else:
            assert log.reveal(index, "prompt", reason="a test")
    with log._store.reader() as reader:
        keys, ciphertexts = reader.sealed()
    assert not (keys | {event_id for event_id, _ in ciphertexts}) & set(erasure.erased)
    assert log.verify(held).ok
    for receipt in receipts:
        verify_receipt(receipt, verifier_key=log.verifier_key)


@pytest.mark.parametrize("what", ["ciphertext", "wrapped_dek", "master_id"])
def test_what_cannot_be_opened_any_more_is_found(what: str, open_log: Open, address: Path | str) -> None:
    log = open_log()
    log.append_many([(event(str(n)), {"prompt": f"cat {n}", "negative_prompt": "dog"}) for n in range(3)])
    assert log.verify().ok
    log.close()
    if what == "ciphertext":
        change = "UPDATE blob SET ciphertext = (SELECT ciphertext FROM blob ORDER BY 1 LIMIT 1) WHERE field = 'prompt'"
    elif what == "wrapped_dek":
        change = "UPDATE secret SET wrapped_dek = (SELECT wrapped_dek FROM secret ORDER BY 1 LIMIT 1)"
    else:
        change = "UPDATE secret SET master_id = 'another'"
    execute(address, change)
    findings = open_log(read_only=True).verify().findings
    assert {finding.kind for finding in findings} == {LogFindingKind.PROTECTED}
    assert len({finding.index for finding in findings}) >= 2


def test_the_index_can_be_made_anew(open_log: Open, address: Path | str) -> None:
    log = open_log()
    log.append_many([(event(str(number)), None) for number in range(300)])
    log.close()
    assert AuditLog.reindex(address) == 300
    log = open_log()
    assert log.verify().ok
    assert log.find(attempt="299") == (299,)
    assert log.append(event()).index == 300


def execute(address: Path | str, statements: str) -> None:
    """As the database's administrator."""
    if isinstance(address, str):
        psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")
        with psycopg.connect(address, autocommit=True) as server:
            server.execute(statements)
        return
    store = sqlite3.connect(address)
    store.executescript(statements)
    store.close()


def drop_index(address: Path | str) -> None:
    execute(address, "DROP TABLE event_index; DROP TABLE posting;")
    if isinstance(address, Path):
        execute(address, "DROP TABLE locator;")


def test_without_its_index_entries_are_read_and_proved_and_the_index_is_made_anew(
    open_log: Open, address: Path | str
) -> None:
    log = open_log()
    events = [event(str(number)) for number in range(300)]
    log.append_many([(one, None) for one in events])
    log.close()
    drop_index(address)
    log = open_log(read_only=True)
    assert log.event(7) == events[7]
    verify_receipt(log.receipt(7), verifier_key=SIGNER.verifier_key)
    assert [row.index for row in log.page(Filter(attempt="7")).rows] == [7]
    with pytest.raises(AuditIndexUnusable) as refused:
        log.find(attempt="7")
    assert "log reindex" in refused.value.remedy
    assert [finding.kind for finding in log.verify(log.checkpoint()).findings] == [LogFindingKind.INDEX]
    assert AuditLog.reindex(address) == 300
    assert log.find(attempt="7") == (7,)
    assert log.verify().ok


def test_a_closed_log_takes_nothing_more(open_log: Open) -> None:
    log = open_log()
    log.close()
    with pytest.raises(AuditClosed, match="closed"):
        log.append(event())


@needs_fork
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_appends_nothing_and_its_parent_goes_on(open_log: Open) -> None:
    log = open_log()
    log.append(event())

    def in_the_child() -> None:
        for attempt in (lambda: log.append(event()), lambda: log.begin("a", tenant="t", time="now")):
            with pytest.raises(ForkedProcess, match="before this process was forked"):
                attempt()
        log.close()

    assert ended(begin(in_the_child)) == 0
    assert log.append(event()).index == 1
    assert log.verify().ok
