"""Viewing, holding and erasing: always recorded first, derived from the entries alone, and never at a proof's cost."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest
from tests.unit.audit.altering import alter

from countermark.audit import AuditLog, LogFindingKind, custodian, verify_receipt
from countermark.audit.canonical import canonical_bytes
from countermark.audit.erasure import EVENTS_AN_ENTRY, ErasurePlan
from countermark.audit.hold import read_ledger
from countermark.audit.protected import _commitments_fast, own_fields, parse_protected
from countermark.audit.warrant import Warrant
from countermark.errors import AuditClosed, AuditError, AuditStoreDamaged, KeyUnavailable, NotFound, UsageError
from countermark.model import ActorRef, ErasureRecord, EventType, HoldRecord

MASTER_KEY = bytes(range(32))
ALICE, BOB = (ActorRef(pseudonym=letter * 32, key_id="0123456789abcdef") for letter in "ab")
WHY = Warrant("request 17 of the data protection officer", BOB)


@pytest.fixture
def filled(log: AuditLog, kit: ModuleType) -> AuditLog:
    """Ten entries with prompts, of Alice and Bob by turns."""
    for number in range(10):
        actor = (ALICE, BOB)[number % 2]
        log.append(kit.make_event(number, actor=actor), protected={"prompt": f"cat {number}", "negative_prompt": "dog"})
    return log


def kinds(log: AuditLog, since: int = 10) -> list[str]:
    return [log.event(index).type.value for index in range(since, log.size)]


def wrapped_keys(path: Path) -> dict[str, bytes]:
    store = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return dict(store.execute("SELECT key_id, wrapped_dek FROM secret"))
    finally:
        store.close()


# --- viewing ----------------------------------------------------------------------------------------------------------


def test_viewing_is_recorded_with_who_what_and_why(filled: AuditLog, kit: ModuleType) -> None:
    assert filled.reveal(3, "prompt", reason="complaint 12", actor=BOB) == "cat 3"
    event = filled.event(10)
    assert (event.type, event.actor, event.reasons) == (EventType.ACCESS, BOB, ("complaint 12",))
    assert event.access
    assert (event.access.event_id, event.access.index, event.access.fields) == (
        kit.make_event(3).event_id,
        3,
        ("prompt",),
    )
    assert event.tenant == filled.event(3).tenant
    opened = filled.disclose(3, WHY)
    assert [(one.field, one.text) for one in opened] == [("negative_prompt", "dog"), ("prompt", "cat 3")]
    assert filled.event(11).access.fields == ("negative_prompt", "prompt")  # type: ignore[union-attr]


def test_what_cannot_be_recorded_is_not_shown(filled: AuditLog, tmp_path: Path) -> None:
    with (
        AuditLog.open(tmp_path / "audit.db", read_only=True, master_key=MASTER_KEY) as reader,
        pytest.raises(AuditError, match="open for reading only") as refused,
    ):
        reader.reveal(3, "prompt", reason="curiosity")
    assert "for writing" in refused.value.remedy
    with pytest.raises(UsageError, match="reason"):
        filled.reveal(3, "prompt", reason="  ")
    assert filled.size == 10
    filled.close()
    with pytest.raises(AuditClosed, match="closed"):
        filled.reveal(3, "prompt", reason="too late")


def test_nothing_is_recorded_where_nothing_was_shown(filled: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    filled.append(kit.make_event(20))
    with pytest.raises(NotFound):
        filled.reveal(10, "prompt", reason="no such field")
    filled.close()
    with (
        AuditLog.open(tmp_path / "audit.db", signer=kit.signer()) as log,
        pytest.raises(KeyUnavailable),
    ):
        log.reveal(3, "prompt", reason="no key")
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as log:
        assert log.size == 11


# --- erasing ----------------------------------------------------------------------------------------------------------


def test_an_erased_subject_is_unreadable_and_every_proof_holds(filled: AuditLog, tmp_path: Path) -> None:
    held, receipts = filled.checkpoint(), [filled.receipt(index) for index in range(10)]
    erasure = filled.erase(WHY, subject=ALICE.pseudonym)
    assert erasure.erased == tuple(filled.event(index).event_id for index in range(0, 10, 2))
    assert erasure.entries == (10,)
    event = filled.event(10)
    assert (event.type, event.actor, event.reasons) == (EventType.ERASURE, BOB, (WHY.reason,))
    assert event.erasure
    assert (event.erasure.events, event.erasure.subject, event.erasure.as_of) == (erasure.erased, ALICE.pseudonym, 10)
    for index in range(0, 10, 2):
        with pytest.raises(NotFound, match="erased by entry 10"):
            filled.reveal(index, "prompt", reason="a test")
    assert filled.reveal(1, "prompt", reason="a test") == "cat 1"
    for receipt in receipts:
        assert verify_receipt(receipt, verifier_key=filled.verifier_key)
    assert filled.receipt(2).entry == receipts[2].entry
    assert filled.verify(held).ok
    with pytest.raises(NotFound, match="5 of the events asked for were erased before"):
        filled.erase(WHY, subject=ALICE.pseudonym)


def test_single_events_are_erased_and_unknown_ones_refused(filled: AuditLog, kit: ModuleType) -> None:
    event_id = filled.event(3).event_id
    with pytest.raises(NotFound, match="holds no event"):
        filled.erase(WHY, events=[event_id, "f" * 32])
    assert filled.reveal(3, "prompt", reason="a test") == "cat 3", "all or nothing"
    assert filled.erase(WHY, events=[event_id]).erased == (event_id,)
    filled.append(kit.make_event(30))
    with pytest.raises(NotFound, match="Nothing is left to erase"):
        filled.erase(WHY, events=[kit.make_event(30).event_id])
    with pytest.raises(UsageError):
        filled.erase(WHY)


def test_a_person_of_several_pseudonyms_and_events_named_beside_them_are_erased_in_one_commit(
    filled: AuditLog, kit: ModuleType
) -> None:
    after = ActorRef(pseudonym="c" * 32, key_id="0123456789abcdef")
    filled.append(kit.make_event(10, actor=after), protected={"prompt": "cat 10"})
    ids = [filled.event(index).event_id for index in range(11)]
    held = filled.hold(WHY, events=[ids[2]])
    asked = {"events": [ids[0], ids[1]], "subject": (after.pseudonym, ALICE.pseudonym, "d" * 32)}
    plan = filled.plan_erasure(**asked)
    assert (sorted(plan.erase), plan.held_back) == (sorted(ids[n] for n in (0, 1, 4, 6, 8, 10)), {held.id: [ids[2]]})
    erasure = filled.erase(WHY, **asked)
    assert (erasure.erased, erasure.held_back) == (tuple(plan.erase), {held.id: (ids[2],)})
    told = {}
    for index in erasure.entries:
        record = filled.event(index).erasure
        assert record
        told[record.subject] = record.events
    assert told == {
        after.pseudonym: (ids[10],),
        ALICE.pseudonym: tuple(ids[n] for n in (0, 4, 6, 8)),
        "": (ids[1],),
    }
    assert filled.verify().ok
    with pytest.raises(NotFound, match="1 of the events"):
        filled.erase(WHY, events=[ids[1]], subject=("d" * 32, "e" * 32))


def test_no_byte_of_an_erased_key_is_left_in_any_file(log: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    count = 600
    for start in range(0, count, 60):
        events = [
            (kit.make_event(n, actor=(ALICE, BOB)[n % 2]), {"prompt": f"cat {n}"}) for n in range(start, start + 60)
        ]
        log.append_many(events)
    keys = wrapped_keys(tmp_path / "audit.db")
    assert sum(key in everything(tmp_path) for key in keys.values()) == count
    gone = log.erase(WHY, subject=ALICE.pseudonym).erased
    assert len(gone) == count // 2
    for _ in ("while open", "after closing"):
        content = everything(tmp_path)
        assert [event_id for event_id in gone if keys[event_id] in content] == []
        assert sum(key in content for key in keys.values()) == count // 2
        log.close()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def test_a_reader_in_the_way_delays_the_wiping_until_the_log_is_closed(
    filled: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = wrapped_keys(tmp_path / "audit.db")
    reader = sqlite3.connect(f"{(tmp_path / 'audit.db').as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM secret").fetchone() == (10,)
    gone = filled.erase(WHY, subject=ALICE.pseudonym).erased
    with pytest.raises(NotFound):
        filled.reveal(0, "prompt", reason="a test")
    reader.close()
    filled.close()
    assert [event_id for event_id in gone if keys[event_id] in everything(tmp_path)] == []


def die_between_event_and_deletion(path: Path, kit: ModuleType, how: str) -> None:
    log = AuditLog.open(path, signer=kit.signer(), master_key=MASTER_KEY)
    erase = log._store.erase

    def die(events: list[str]) -> None:
        if how == "after":
            erase(events)
        os._exit(9)

    log._store.erase = die
    log.erase(WHY, subject=ALICE.pseudonym)


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_crash_during_an_erasure_is_completed_by_the_next_start(
    how: str, filled: AuditLog, kit: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "audit.db"
    keys = wrapped_keys(path)
    filled.close()
    child = multiprocessing.get_context("fork").Process(target=die_between_event_and_deletion, args=(path, kit, how))
    child.start()
    child.join()
    assert child.exitcode == 9
    with AuditLog.open(path, read_only=True) as log:
        assert kinds(log) == ["erasure"], "the event is durable before anything is deleted"
        found = {(finding.kind, finding.index) for finding in log.verify().findings}
        pending = {(LogFindingKind.PROTECTED, index) for index in range(0, 10, 2)}
        assert found == (pending if how == "before" else set())
    with AuditLog.open(path, signer=kit.signer(), master_key=MASTER_KEY) as log:
        assert log.verify().ok
        assert set(wrapped_keys(path)) == {log.event(index).event_id for index in range(1, 10, 2)}
        assert [
            key for event_id, key in keys.items() if event_id not in wrapped_keys(path) and key in everything(tmp_path)
        ] == []


def test_keys_brought_back_from_a_copy_are_found_and_deleted_again(
    filled: AuditLog, kit: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "audit.db"
    event_id = filled.event(0).event_id
    key = wrapped_keys(path)[event_id]
    filled.erase(WHY, events=[event_id])
    filled.close()
    alter(path, f"INSERT INTO secret SELECT '{event_id}', master_id, x'{key.hex()}' FROM secret LIMIT 1")
    with AuditLog.open(path, read_only=True) as log:
        (finding,) = log.verify().findings
        assert (finding.kind, finding.index) == (LogFindingKind.PROTECTED, 0)
        assert "erased by entry 10" in finding.message
    with AuditLog.open(path, signer=kit.signer(), master_key=MASTER_KEY) as log:
        assert log.verify().ok
        assert event_id not in wrapped_keys(path)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM secret WHERE key_id = '{}'", "lacks its data key"),
        ("DELETE FROM blob WHERE event_id = '{}' AND field = 'prompt'", "lacks its ciphertext of 'prompt'"),
    ],
)
def test_what_is_gone_without_an_erasure_is_a_finding(
    statement: str, says: str, filled: AuditLog, tmp_path: Path
) -> None:
    alter(tmp_path / "audit.db", statement.format(filled.event(4).event_id))
    (finding,) = filled.verify().findings
    assert (finding.kind, finding.index) == (LogFindingKind.PROTECTED, 4)
    assert says in finding.message
    with pytest.raises(AuditStoreDamaged, match="no erasure is recorded"):
        filled.reveal(4, "prompt", reason="a test")


def test_protected_fields_are_told_without_parsing_as_with(filled: AuditLog, kit: ModuleType) -> None:
    other = filled.event(0).protected
    tricky = kit.make_event(60, reasons=('"protected":[{"field":"prompt","key_id":"' + "0" * 32 + '"}]',))
    filled.append_many([(tricky, None), (kit.make_event(61, protected=other), None)])
    filled.append(kit.make_event(62, reasons=tricky.reasons), protected={"negative_prompt": "]", "prompt": "}"})
    for index in range(filled.size):
        document = parse_protected(filled.entry(index))
        found = _commitments_fast(index, filled.entry(index))
        assert bool(found) == bool(document)
        if found and document:
            event_id, said = found
            own = [one for one in document["protected"] if one["key_id"] == document["event_id"]]
            assert (event_id, said.index, said.fields) == (document["event_id"], index, own_fields(document))
            assert said.commitments.hex() == "".join(one["commitment"].removeprefix("hmac-sha256:") for one in own)
    assert [bool(parse_protected(filled.entry(n))) for n in range(9, 13)] == [True, False, False, True]
    assert filled.verify().ok


def test_a_key_of_nobody_is_a_finding(filled: AuditLog, tmp_path: Path) -> None:
    alter(tmp_path / "audit.db", "INSERT INTO secret VALUES ('stray', 'x', x'00')")
    assert [finding.kind for finding in filled.verify().findings] == [LogFindingKind.PROTECTED]


def test_nothing_is_erased_where_an_entry_was_altered(filled: AuditLog, kit: ModuleType, tmp_path: Path) -> None:
    alter(tmp_path / "audit.db", "UPDATE entry SET body = x'7b7d' WHERE seq = 5")
    for ask in (lambda: filled.erase(WHY, subject=ALICE.pseudonym), filled.holds):
        with pytest.raises(AuditStoreDamaged, match="Entry 5"):
            ask()
    assert len(wrapped_keys(tmp_path / "audit.db")) == 10


def test_an_erasure_does_without_the_index(filled: AuditLog, tmp_path: Path) -> None:
    alter(tmp_path / "audit.db", "UPDATE event_index SET type = 'access', tenant = 'x', attempt = 'y'")
    assert len(filled.erase(WHY, subject=ALICE.pseudonym).erased) == 5


def test_an_erasure_of_many_events_takes_several_entries_that_each_fit(log: AuditLog) -> None:
    plan = ErasurePlan(as_of=1, erase=[f"{n:032x}" for n in range(2 * EVENTS_AN_ENTRY + 1)])
    plan.held_back = {"0" * 32: ["f" * 32]}
    records = plan.records(ALICE.pseudonym)
    assert [len(record.events) for record in records] == [EVENTS_AN_ENTRY, EVENTS_AN_ENTRY, 1]
    assert [len(record.held_back) for record in records] == [1, 0, 0]
    warrant = Warrant("x" * 2000, ALICE)
    log.append_many([(warrant.event(EventType.ERASURE, erasure=record), None) for record in records])
    assert log.size == 3


# --- holding ----------------------------------------------------------------------------------------------------------


def test_what_is_under_hold_is_kept_and_said_so(filled: AuditLog) -> None:
    third = filled.event(2).event_id
    by_event = filled.hold(WHY, events=[third])
    by_query = filled.hold(WHY, query={"actor": ALICE.pseudonym, "since": "2026-11-22T10:00:04"})
    erasure = filled.erase(WHY, subject=ALICE.pseudonym)
    assert erasure.erased == (filled.event(0).event_id,)
    later = tuple(filled.event(index).event_id for index in (4, 6, 8))
    assert erasure.held_back == {by_event.id: (third,), by_query.id: later}
    record = filled.event(12).erasure
    assert record
    assert [(held.hold, held.events) for held in record.held_back] == [(by_event.id, 1), (by_query.id, 3)]
    assert filled.reveal(2, "prompt", reason="a test") == "cat 2"
    filled.release_hold(by_query.id[:8], WHY)
    assert filled.erase(WHY, subject=ALICE.pseudonym).erased == later
    assert filled.erase(WHY, events=[third]).erased == (), "still held; asked for and recorded"
    assert filled.verify().ok
    assert kinds(filled) == ["hold", "hold", "erasure", "access", "hold", "erasure", "erasure"]


def test_holds_are_derived_from_the_entries(filled: AuditLog, tmp_path: Path) -> None:
    placed = filled.hold(Warrant("case 7", BOB), query={"tenant": "default"}, until="2999-01-01")
    released = filled.hold(WHY, query={"type": "generation.released"})
    filled.release_hold(released.id, WHY)
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as reader:
        first, second = reader.holds()
    assert (first, first.reason, first.until) == (placed, "case 7", "2999-01-01")
    assert (second.id, second.index, second.released_at) == (released.id, 11, 12)
    assert first.active("2026-11-22T00:00:00.000Z")
    assert not first.active("2999-01-01T00:00:00.000Z")
    assert not second.active("2026-11-22T00:00:00.000Z")


def test_a_hold_ends_by_itself(filled: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.hold(WHY, query={"since": "2000"}, until="2998-12-31T23:59:59Z")
    assert filled.plan_erasure(subject=ALICE.pseudonym).kept == 5
    monkeypatch.setattr(custodian, "now", lambda: "2998-12-31T23:59:59.001Z")
    assert len(filled.erase(WHY, subject=ALICE.pseudonym).erased) == 5


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"tenant": "tenant-é"}, [4, 9]),
        ({"decision": "block"}, [3, 7]),
        ({"model": "example/tiny"}, list(range(10))),
        ({"policy": "another"}, []),
        ({"category": "violence"}, []),
        ({"until": "2026-11-22T10:00:02"}, [0, 1]),
        ({"actor": ALICE.pseudonym, "type": "generation.released"}, [0, 2, 4, 6, 8]),
    ],
)
def test_each_condition_of_a_query_counts(query: dict[str, str], kept: list[int], filled: AuditLog) -> None:
    filled.hold(WHY, query=query)
    plan = filled.plan_erasure(events=[filled.event(index).event_id for index in range(10)])
    assert [event_id for events in plan.held_back.values() for event_id in events] == [
        filled.event(index).event_id for index in kept
    ]
    assert plan.kept + len(plan.erase) == 10


def test_holds_that_nobody_could_judge_are_refused(filled: AuditLog) -> None:
    for ask in (
        lambda: filled.hold(WHY),
        lambda: filled.hold(WHY, query={"colour": "red"}),
        lambda: filled.hold(WHY, query={"tenant": ""}),
        lambda: filled.hold(WHY, query={"type": "generation.relased"}),
        lambda: filled.hold(WHY, query={"actor": "alice@example.org"}),
        lambda: filled.hold(WHY, query={"since": "yesterday"}),
        lambda: filled.hold(WHY, query={"since": "2027", "until": "2026"}),
        lambda: filled.hold(WHY, query={"text": "–"}),
    ):
        with pytest.raises(UsageError):
            ask()
    assert filled.size == 10
    with pytest.raises(NotFound):
        filled.hold(WHY, events=["f" * 32])
    with pytest.raises(NotFound, match="0 holds"):
        filled.release_hold("abcdef", WHY)
    placed = filled.hold(WHY, query={"tenant": "default"})
    filled.release_hold(placed.id, WHY)
    with pytest.raises(UsageError, match="released by entry 11"):
        filled.release_hold(placed.id, WHY)


@pytest.mark.parametrize("until", ["12/31/2030", "foo", "2020", "2026-11-28T10:00:00Z", "2030-13", ""])
def test_a_hold_that_would_not_be_in_force_is_refused(
    until: str, filled: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custodian, "now", lambda: "2026-11-28T10:00:00.000Z")
    with pytest.raises(UsageError, match=r"until|over already"):
        filled.hold(WHY, query={"tenant": "default"}, until=until)
    assert filled.size == 10
    placed = filled.hold(WHY, query={"tenant": "default"}, until="2026-11-28T10:00:01Z")
    assert placed.until == "2026-11-28T10:00:01.000Z"


def test_what_a_hold_covers_is_counted_from_the_entries(filled: AuditLog, tmp_path: Path) -> None:
    third, gone = filled.event(2).event_id, {"actor": "c" * 32}
    holds = [filled.hold(WHY, events=[third], query=query) for query in ({"actor": ALICE.pseudonym}, gone, None)]
    alter(tmp_path / "audit.db", "UPDATE event_index SET type = 'access', tenant = 'x'")
    assert filled.count_covered(holds) == [5, 1, 1]
    alter(tmp_path / "audit.db", "UPDATE entry SET body = x'7b7d' WHERE seq = 5")
    assert filled.count_covered(holds[2:]) == [1]
    with pytest.raises(AuditStoreDamaged, match="Entry 5"):
        filled.count_covered(holds)


@pytest.mark.parametrize(
    ("until", "query"),
    [
        ("12/31/2030", {"tenant": "default"}),
        ("2020-31-12", {"tenant": "default"}),
        (None, {"since": "yesterday"}),
        (None, {"until": "19/11/22"}),
        (None, {"type": "generation.relased"}),
        (None, {"actor": "carol"}),
        (None, {"text": "–"}),
    ],
)
def test_a_hold_that_an_earlier_version_took_unseen_keeps_rather_than_loses(
    until: str | None, query: dict[str, str], filled: AuditLog
) -> None:
    record = HoldRecord(action="placed", id="e" * 32, query=query, until=until)
    filled.append(WHY.event(EventType.HOLD, event_id="e" * 32, hold=record))
    (found,) = filled.holds()
    assert found.active("2999-01-01T00:00:00.000Z")
    first = filled.event(0)
    assert first.tenant == "default"
    assert filled.erase(WHY, events=[first.event_id]).held_back == {found.id: (first.event_id,)}


def test_a_hold_is_not_released_by_no_name_at_all(filled: AuditLog) -> None:
    placed = filled.hold(WHY, query={"tenant": "default"})
    for cut in ("", placed.id[:5]):
        with pytest.raises(UsageError, match="6 characters"):
            filled.release_hold(cut, WHY)
    assert filled.holds()[0].released_at is None
    filled.release_hold(placed.id[:6], WHY)
    assert filled.holds()[0].released_at == 11


def test_a_condition_of_a_newer_version_keeps_rather_than_loses(filled: AuditLog) -> None:
    hold = filled.hold(WHY, query={"tenant": "default"})
    stranger = type(hold)(id="x", index=0, time="", reason="", query={"invented": "1"})
    document = filled.event(0).model_dump(mode="json")
    assert stranger.covers(document)
    assert hold.covers(document)
    assert not hold.covers({**document, "tenant": "another"})


@pytest.mark.parametrize(
    ("record", "keeps"),
    [
        ({"events": ["b"]}, True),
        ({"events": 5, "query": {"tenant": "t"}}, True),
        ({"events": [["b"], 5, "b"]}, True),
        ({"query": {"tenant": "u"}}, False),
        ({"query": {"tenant": 5}}, True),
        ({"query": "tenant"}, False),
        ({"until": 5, "events": ["b"]}, True),
        ({}, False),
        (5, None),
        ({"action": "invented", "events": ["b"]}, None),
        ({"id": "another", "events": ["b"]}, None),
    ],
)
def test_an_entry_that_is_no_event_stops_no_reader_of_holds(record: object, keeps: bool | None) -> None:
    """Whoever may write to a shared log's inbox can have it hold canonical JSON that no event would be."""
    written = {"id": "a", "action": "placed", **record} if isinstance(record, dict) else record
    document = {"type": "hold", "event_id": "a", "hold": written}
    entry = canonical_bytes({**document, "time": "2026-01-01T00:00:00.000Z", "reasons": ["why"]})
    entry_of_nothing = canonical_bytes({**document, "reasons": 5})
    released = canonical_bytes({"type": "hold", "event_id": "c", "hold": {"action": "released", "id": "a"}})
    event = {"event_id": "b", "time": "2026-01-01T00:00:00.000Z", "type": "access", "tenant": "t", "attempt": ""}
    for one in (entry, entry_of_nothing):
        holds = read_ledger([(0, one)]).active("2026-01-02T00:00:00.000Z")
        assert [hold.covers(event) for hold in holds] == ([] if keeps is None else [keeps])
    assert not read_ledger([(0, entry), (1, released)]).active("2026-01-02T00:00:00.000Z")


@pytest.mark.parametrize(
    ("record", "erased"), [({"events": ["b", 5]}, ["b"]), ({"events": 5}, []), ({}, []), (5, []), ([], [])]
)
def test_an_erasure_that_is_no_event_stops_nobody_either(record: object, erased: list[str]) -> None:
    entry = canonical_bytes({"type": "erasure", "event_id": "a", "erasure": record})
    assert list(read_ledger([(7, entry)]).erased) == erased


def test_an_erasure_in_spite_of_a_hold_is_a_finding(filled: AuditLog) -> None:
    kept, free = (filled.event(index).event_id for index in (5, 6))
    filled.hold(WHY, events=[kept])
    for event_id in (kept, free):  # as somebody would who may append, and passes over what the log would refuse
        record = ErasureRecord(events=(event_id,), subject="", held_back=(), as_of=10)
        filled.append(WHY.event(EventType.ERASURE, erasure=record))
    filled._store.erase([kept, free])
    (finding,) = filled.verify().findings
    assert (finding.kind, finding.index) == (LogFindingKind.PROTECTED, 11)
    assert finding.message == "Entry 11 erased entry 5, which the hold of entry 10 kept."


def test_a_hold_that_nobody_can_judge_accuses_no_erasure_of_its_time(filled: AuditLog) -> None:
    kept = filled.event(5).event_id
    for until, query in (("12/31/2026", {}), (None, {"category": "Sexual"})):  # an earlier version took anything
        hold_id = secrets.token_hex(16)
        record = HoldRecord(action="placed", id=hold_id, events=(kept,) if until else (), query=query, until=until)
        filled.append(WHY.event(EventType.HOLD, event_id=hold_id, hold=record))
    record = ErasureRecord(events=(kept,), subject="", held_back=(), as_of=10)
    filled.append(WHY.event(EventType.ERASURE, erasure=record))
    filled._store.erase([kept])
    assert filled.verify().ok
