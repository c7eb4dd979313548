"""A witness that listens: every answer of C2SP tlog-witness, hostile requests, races and restarts."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from tests.unit.audit.witnessing import LOG, ORIGIN, Story, key, make_witness, post, serving

from countermark.audit.checkpoint import open_checkpoint
from countermark.audit.note import NoteSigner, parse_note, signature_line
from countermark.audit.witness import CosignatureSigner, WitnessServer, WitnessState, cosigned_by, server
from countermark.audit.witness.protocol import MAX_REQUEST_BYTES, checkpoint_path, format_submission
from countermark.errors import KeyUnavailable, NotFound, OutputUnwritable

STORY = Story.of(40)
FORK = Story.of(40, forked_at=20)
NAME = "witness.example/w1"
VERIFIER = CosignatureSigner(NAME, key(NAME)).verifier


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessServer]:
    with serving(make_witness(tmp_path)) as server:
        yield server


def submit(server: WitnessServer, old: int, new: int, story: Story = STORY) -> tuple[int, str, str]:
    return post(server.url, format_submission(old, story.prove(old, new), story.note(new)))


def test_a_log_that_only_grows_is_cosigned_at_every_size(witness: WitnessServer) -> None:
    for old, new in [(0, 0), (0, 1), (1, 1), (1, 8), (8, 13), (13, 40), (40, 40)]:
        status, media_type, line = submit(witness, old, new)
        assert (status, media_type) == (200, "text/plain; charset=utf-8")
        assert set(cosigned_by(STORY.note(new) + line, [VERIFIER])) == {NAME}


def test_another_old_size_is_answered_with_the_one_that_counts(witness: WitnessServer) -> None:
    assert submit(witness, 3, 9) == (409, "text/x.tlog.size", "0\n")
    assert submit(witness, 0, 9)[0] == 200
    assert submit(witness, 0, 12) == (409, "text/x.tlog.size", "9\n")


def test_a_rollback_is_409_and_names_the_size_that_was_cosigned(witness: WitnessServer) -> None:
    submit(witness, 0, 30)
    assert submit(witness, 20, 20) == (409, "text/x.tlog.size", "30\n")
    assert submit(witness, 0, 20) == (409, "text/x.tlog.size", "30\n")
    assert submit(witness, 30, 31)[0] == 200


def test_a_fork_is_422_and_what_convicts_the_log_is_kept(witness: WitnessServer, tmp_path: Path) -> None:
    state = WitnessState(tmp_path / "witness.example-w1.db") if submit(witness, 0, 25)[0] == 200 else None
    assert state
    assert submit(witness, 25, 40, FORK)[0] == 422
    assert submit(witness, 25, 40, FORK)[0] == 422
    (refused,) = state.unproved(ORIGIN)
    assert open_checkpoint(refused.note, LOG.verifier_key).root == FORK.root(40)
    assert state.evidence(ORIGIN) == [], "nobody showed yet that the two are not one history"
    assert submit(witness, 25, 40)[0] == 200
    assert (state.evidence(ORIGIN), state.unproved(ORIGIN)) == ([refused], []), "now there are two trees of 40 entries"


def test_a_stranger_with_a_wrong_proof_makes_no_evidence_against_an_honest_log(
    witness: WitnessServer, tmp_path: Path
) -> None:
    state = WitnessState(tmp_path / "witness.example-w1.db")
    for old, new in [
        (0, 25),
        (25, 25),
    ]:  # of the first tree, and of the one that was cosigned, there is nothing to prove
        assert post(witness.url, format_submission(old, [bytes(32)], STORY.note(new)))[0] == 422
        assert submit(witness, old, new)[0] == 200
    assert state.unproved(ORIGIN) == []
    for size in (30, 40):
        assert post(witness.url, format_submission(25, [bytes(32)] * 5, STORY.note(size)))[0] == 422
    assert ([one.size for one in state.unproved(ORIGIN)], state.evidence(ORIGIN)) == ([30, 40], [])
    assert submit(witness, 25, 40)[0] == 200
    assert ([one.size for one in state.unproved(ORIGIN)], state.evidence(ORIGIN)) == ([30], [])


def test_what_is_unproved_is_bounded_and_crowds_out_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from countermark.audit.witness import state as module

    monkeypatch.setattr(module, "MAX_UNPROVED", 5)
    with serving(make_witness(tmp_path)) as witness:
        submit(witness, 0, 20)
        for size in range(21, 35):
            post(witness.url, format_submission(20, [bytes(32)], STORY.note(size)))
        assert submit(witness, 20, 20, Story.of(20, forked_at=3))[0] == 409
        state = WitnessState(tmp_path / "witness.example-w1.db")
    assert [one.size for one in state.unproved(ORIGIN)] == [30, 31, 32, 33, 34]
    assert [one.size for one in state.evidence(ORIGIN)] == [20]


def test_a_state_of_an_earlier_version_is_brought_up_to_date_and_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "witness.example-w1.db"
    with serving(make_witness(tmp_path)) as witness:
        submit(witness, 0, 25)
    fork = Story.of(40, forked_at=3)
    with sqlite3.connect(path) as store:
        store.execute("DROP TABLE unproved")
        store.execute("PRAGMA user_version = 1")
        for story, size in ((STORY, 25), (fork, 25), (STORY, 30), (FORK, 30)):
            row = (ORIGIN, size, story.root(size), 1000, story.note(size))
            store.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", row)
    store.close()
    for _ in range(2):
        state = WitnessState(path)
        assert [(one.size, one.root) for one in state.evidence(ORIGIN)] == [(25, fork.root(25))]
        assert {one.root for one in state.unproved(ORIGIN)} == {STORY.root(30), FORK.root(30)}
        assert state.all_seen()[ORIGIN].root == STORY.root(25)
    with serving(make_witness(tmp_path)) as witness:
        assert submit(witness, 0, 30) == (409, "text/x.tlog.size", "25\n")
        assert submit(witness, 25, 30)[0] == 200
    assert [(one.size, one.root) for one in state.evidence(ORIGIN)] == [(25, fork.root(25)), (30, FORK.root(30))]
    assert state.unproved(ORIGIN) == []


def test_another_tree_of_the_same_size_is_409_and_kept(witness: WitnessServer, tmp_path: Path) -> None:
    submit(witness, 0, 25)
    status, media_type, _ = submit(witness, 25, 25, FORK)
    assert (status, media_type) == (409, "text/plain; charset=utf-8")
    assert len(WitnessState(tmp_path / "witness.example-w1.db").evidence(ORIGIN)) == 1


@pytest.mark.parametrize("change", ["drop", "add", "flip", "from zero"])
def test_a_proof_that_does_not_fit_is_422(witness: WitnessServer, change: str) -> None:
    submit(witness, 0, 0 if change == "from zero" else 25)
    old = 0 if change == "from zero" else 25
    proof = STORY.prove(25, 40)
    proof = {"drop": proof[1:], "add": [*proof, bytes(32)], "flip": [bytes(32), *proof[1:]]}.get(change, proof)
    assert post(witness.url, format_submission(old, proof, STORY.note(40)))[0] == 422


def test_an_empty_log_has_one_root(witness: WitnessServer) -> None:
    from countermark.audit.checkpoint import sign_checkpoint

    assert post(witness.url, format_submission(0, [], sign_checkpoint(LOG, 0, bytes(32))))[0] == 422


def test_a_checkpoint_that_the_logs_key_did_not_sign_is_403(witness: WitnessServer) -> None:
    thief = NoteSigner(ORIGIN, key("another key under the log's name"))
    assert post(witness.url, format_submission(0, [], STORY.note(5, thief)))[0] == 403
    line = parse_note(STORY.note(5)).signatures[0]
    wrong = parse_note(STORY.note(5)).text + "\n" + signature_line(line.name, line.key_id, bytes(64))
    assert post(witness.url, format_submission(0, [], wrong))[0] == 403


def test_an_unknown_log_is_404(witness: WitnessServer) -> None:
    stranger = NoteSigner("stranger.example/log", key("log"))
    assert post(witness.url, format_submission(0, [], STORY.note(5, stranger)))[0] == 404


def test_another_address_is_404(witness: WitnessServer) -> None:
    assert post(witness.url, b"", "/add-checkpoint/")[0] == 404
    assert post(witness.url, b"x" * 100, "/")[0] == 404


GOOD = format_submission(0, [], STORY.note(5))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"old 0\n",
        b"old 0\n\n",
        GOOD.replace(b"old 0", b"old -1"),
        GOOD.replace(b"old 0", b"old 00"),
        GOOD.replace(b"old 0", b"old  0"),
        GOOD.replace(b"old 0", "old ٠".encode()),
        GOOD.replace(b"old 0", b"old 9999999999999999999"),
        GOOD.replace(b"old 0", b"old 6"),
        GOOD.replace(b"old 0", b"new 0"),
        GOOD.replace(b"\n\n", b"\nAAAA\n\n", 1),
        GOOD.replace(b"\n\n", b"\nnot base64\n\n", 1),
        GOOD.replace(b"\n\n", b"\n" + b"A" * 43 + b"=\n" * 1 + b"A" * 42 + b"B=\n\n", 1),
        GOOD.replace(b"\n\n", b"\n" + (b"A" * 43 + b"=\n") * 64 + b"\n", 1),
        GOOD.replace(b"\n5\n", b"\n05\n"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD[:-1],
        GOOD + b"\n",
    ],
)
def test_a_malformed_request_is_400_and_changes_nothing(witness: WitnessServer, tmp_path: Path, body: bytes) -> None:
    assert post(witness.url, body)[0] == 400
    assert WitnessState(tmp_path / "witness.example-w1.db").all_seen() == {}


def test_an_oversized_body_is_413_before_it_is_read(witness: WitnessServer) -> None:
    assert post(witness.url, b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
    assert _raw(
        witness, b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", half=True
    ).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"411"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"411"),
        (b"Content-Length: 4\r\nContent-Length: 5\r\n", b"411"),
        (b"Content-Length: +4\r\n", b"411"),
        (b"Content-Length: 1" + b"0" * 5000 + b"\r\n", b"411"),
        (b"", b"411"),
        (b"X: y\r\n" * 200, b"431"),
    ],
)
def test_a_request_without_one_plain_length_is_refused(witness: WitnessServer, head: bytes, status: bytes) -> None:
    answer = _raw(
        witness, b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n" + head + b"\r\nold 0\n\nGET / HTTP/1.1\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1  # what follows is never taken for another request


def test_a_request_that_trickles_is_cut_off(witness: WitnessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    with socket.create_connection(_address(witness), timeout=10) as connection:
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 50\r\n\r\nold")
        assert connection.recv(1000) == b""
    assert submit(witness, 0, 5)[0] == 200


def test_more_connections_than_there_are_places_are_closed_and_the_others_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    with serving(make_witness(tmp_path)) as small:
        held = [socket.create_connection(_address(small), timeout=10) for _ in range(2)]
        for connection in held:  # accepted in order, and waited for: both places are taken when the third comes
            connection.sendall(b"POST / HTTP/1.1\r\n")
        with socket.create_connection(_address(small), timeout=10) as third:
            assert third.recv(10) == b""
        for connection in held:
            connection.close()


def test_connections_are_kept_alive(witness: WitnessServer) -> None:
    import http.client

    connection = http.client.HTTPConnection(*_address(witness), timeout=10)
    for old, new in [(0, 3), (3, 7)]:
        connection.request("POST", "/add-checkpoint", format_submission(old, STORY.prove(old, new), STORY.note(new)))
        with connection.getresponse() as answer:
            assert answer.status == 200
            answer.read()
    connection.close()


def test_anyone_may_ask_what_was_cosigned_last(witness: WitnessServer) -> None:
    address = witness.url + checkpoint_path(ORIGIN)
    with pytest.raises(OSError, match="404"):
        urlopen(address, timeout=10)
    stranger = CosignatureSigner("stranger.example/w", key("s")).cosign(parse_note(STORY.note(9)).text, 1)
    post(witness.url, format_submission(0, [], STORY.note(9) + stranger))
    with urlopen(address, timeout=10) as answer:
        note = answer.read().decode()
    assert open_checkpoint(note, LOG.verifier_key).size == 9
    assert set(cosigned_by(note, [VERIFIER])) == {NAME}
    assert "stranger" not in note  # nobody can have a witness repeat what it did not verify


# --- state -----------------------------------------------------------------------------------------------------------


def test_what_was_cosigned_is_remembered_over_a_restart(tmp_path: Path) -> None:
    with serving(make_witness(tmp_path)) as first:
        submit(first, 0, 25)
    with serving(make_witness(tmp_path)) as second:
        assert submit(second, 0, 30, FORK) == (409, "text/x.tlog.size", "25\n")
        assert submit(second, 25, 30, FORK)[0] == 422
        assert submit(second, 25, 30)[0] == 200


def test_a_state_is_made_once_and_never_by_serving(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no witness's state"):
        WitnessState(tmp_path / "witness.db")
    make_witness(tmp_path)
    with pytest.raises(OutputUnwritable):
        WitnessState.create(tmp_path / "witness.example-w1.db", VERIFIER.vkey)


def test_a_state_that_vanishes_under_a_running_witness_does_not_come_back_empty(tmp_path: Path) -> None:
    with serving(make_witness(tmp_path)) as witness:
        submit(witness, 0, 25)
        for path in tmp_path.glob("witness.example-w1.db*"):
            path.unlink()
        assert submit(witness, 0, 30, FORK)[0] == 503
    assert not (tmp_path / "witness.example-w1.db").exists()


def test_a_state_goes_with_its_key(tmp_path: Path) -> None:
    from countermark.audit.witness import Witness

    state = WitnessState.create(tmp_path / "w.db", VERIFIER.vkey)
    with pytest.raises(KeyUnavailable):
        Witness(state, CosignatureSigner(NAME, key("another")), {})


def test_a_clock_that_went_back_stops_cosigning_instead_of_contradicting_itself(tmp_path: Path) -> None:
    now = [1000.0]
    with serving(make_witness(tmp_path, clock=lambda: now[0])) as witness:
        assert submit(witness, 0, 5)[0] == 200
        now[0] = 999.0
        assert submit(witness, 5, 9)[0] == 503
        now[0] = 1000.0
        assert submit(witness, 5, 9)[0] == 200


def test_one_tree_is_one_tree_whatever_the_bytes_of_its_note(witness: WitnessServer, tmp_path: Path) -> None:
    submit(witness, 0, 9)
    stranger = CosignatureSigner("stranger.example/w", key("s")).cosign(parse_note(STORY.note(9)).text, 1)
    assert post(witness.url, format_submission(9, [], STORY.note(9) + stranger))[0] == 200
    for extra in ("", stranger):
        post(witness.url, format_submission(9, FORK.prove(9, 40), FORK.note(40) + extra))
        post(witness.url, format_submission(40, [], Story.of(40, forked_at=1).note(40) + extra))
    with sqlite3.connect(tmp_path / "witness.example-w1.db") as store:
        assert store.execute("SELECT count(*) FROM seen").fetchone() == (1,)
        assert store.execute("SELECT count(*) FROM evidence").fetchone() == (1,)


@pytest.mark.parametrize("trial", range(25))
def test_of_two_forks_that_race_exactly_one_is_cosigned(tmp_path: Path, trial: int) -> None:
    with serving(make_witness(tmp_path)) as witness:
        submit(witness, 0, 20)
        ready = threading.Barrier(8)

        def race(number: int) -> int:
            story = (STORY, FORK)[number % 2]
            body = format_submission(20, story.prove(20, 30), story.note(30))
            ready.wait(10)
            return number % 2 if post(witness.url, body)[0] == 200 else -1

        with ThreadPoolExecutor(8) as pool:
            winners = [winner for winner in pool.map(race, range(8)) if winner >= 0]
    assert len(winners) == 1
    seen = WitnessState(tmp_path / "witness.example-w1.db").all_seen()[ORIGIN]
    assert seen.root == (STORY, FORK)[winners[0]].root(30)


def _address(witness: WitnessServer) -> tuple[str, int]:
    parts = urlsplit(witness.url)
    return parts.hostname or "", parts.port or 0


def _raw(witness: WitnessServer, data: bytes, *, half: bool = False) -> bytes:
    """Everything that comes back for raw bytes; ``half`` closes our side after them."""
    answer = b""
    with socket.create_connection(_address(witness), timeout=10) as connection:
        connection.sendall(data)
        if half:
            connection.shutdown(socket.SHUT_WR)
        try:
            while block := connection.recv(65536):
                answer += block
        except ConnectionError:
            pass
    return answer
