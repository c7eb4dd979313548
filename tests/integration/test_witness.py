"""Witnesses beside a real log: collecting, the quorum, the insider who has the log's key, and processes that die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from tests.unit.audit.witnessing import LOG, ORIGIN, Story, client_of, key, make_witness, post, serving

from countermark import Countermark
from countermark.audit import AuditLog, LogFindingKind, verify_receipt
from countermark.audit.checkpoint import open_checkpoint
from countermark.audit.note import NoteSigner
from countermark.audit.witness import (
    Collector,
    CosignatureVerifier,
    KeptCheckpoints,
    Witness,
    WitnessClient,
    WitnessPolicy,
    WitnessServer,
    WitnessState,
    compare_witnessed,
    witnessed,
)
from countermark.audit.witness.protocol import format_submission
from countermark.audit.witness.state import Seen
from countermark.cli.main import run
from countermark.compose import Home, open_sources, read_trust, trust_document
from countermark.credentials import Anchors
from countermark.errors import UsageError, WitnessRefused
from countermark.model import Event, EventType
from countermark.settings import AuditSettings, Settings, WitnessSettings
from countermark.verification import Sources, Trust
from countermark.verification.resolve import Record, prove

NAMES = ("witness.example/a", "witness.example/b", "witness.example/c")
POLICY = WitnessPolicy.parse(
    [CosignatureVerifier(name, key(name).public_key().public_bytes_raw()).vkey for name in NAMES], 2
)
MASTER = bytes(range(32))


def event(number: int, story: str = "") -> Event:
    return Event(
        event_id=f"{number:032x}",
        type=EventType.REFUSED,
        time=f"2026-11-22T10:00:{number % 60:02d}.000Z",
        source=f"test{story}",
        nonce=f"{number:032x}",
        tenant="default",
        attempt=f"{number:032x}",
    )


def open_log(folder: Path) -> AuditLog:
    folder.mkdir(exist_ok=True)
    return AuditLog.open(folder / "audit.db", signer=LOG, master_key=MASTER)


def grow(log: AuditLog, count: int, story: str = "") -> None:
    log.append_many([(event(log.size + i, story), None) for i in range(count)])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with open_log(tmp_path / "log") as log:
        yield log


@pytest.fixture
def witnesses(tmp_path: Path) -> Iterator[list[WitnessServer]]:
    with ExitStack() as running:
        yield [running.enter_context(serving(make_witness(tmp_path, name))) for name in NAMES]


def clients(servers: list[WitnessServer]) -> list[WitnessClient]:
    return [client_of(server, name) for server, name in zip(servers, NAMES, strict=True)]


@pytest.fixture
def kept(tmp_path: Path) -> KeptCheckpoints:
    return KeptCheckpoints(tmp_path / "checkpoints")


# --- collecting ------------------------------------------------------------------------------------------------------


def test_a_round_collects_every_cosignature_and_keeps_one_note(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    grow(log, 300)
    collector = Collector(log, clients(witnesses), kept)
    outcome = collector.collect()
    assert outcome.cosigned_by == NAMES
    assert not outcome.failures
    note = kept.newest()
    assert note == outcome.note
    assert note is not None
    assert open_checkpoint(note, LOG.verifier_key).size == 300
    assert witnessed(note, POLICY.witnesses, 3) == NAMES
    assert len(list(kept.folder.iterdir())) == 2  # the newest, and this day's
    receipt = log.receipt(7, under=note)
    assert verify_receipt(receipt, verifier_key=LOG.verifier_key).index == 7
    grow(log, 20)
    assert collector.collect().size == 320


def test_two_of_three_are_a_quorum_with_one_witness_down_and_one_is_none(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    collector = Collector(log, clients(witnesses), kept, quorum=2)
    _stop(witnesses[0])
    grow(log, 5)
    outcome = collector.collect()
    assert outcome.cosigned_by == NAMES[1:]
    assert list(outcome.failures) == [NAMES[0]]
    assert compare_witnessed(log, [outcome.note], POLICY).findings == ()

    _stop(witnesses[1])
    grow(log, 5)
    outcome = collector.collect()
    assert outcome.cosigned_by == NAMES[2:]
    assert [f.kind for f in compare_witnessed(log, [outcome.note], POLICY).findings] == [LogFindingKind.UNWITNESSED]
    note = kept.newest()
    assert note is not None
    assert open_checkpoint(note, LOG.verifier_key).size == 5  # the one with its quorum was not displaced by less
    comparison = compare_witnessed(log, [note, outcome.note], POLICY)
    assert (comparison.findings, comparison.size, comparison.names) == ((), 5, NAMES[1:])


def _stop(server: WitnessServer) -> None:
    server.shutdown()
    server.server_close()


def test_a_collector_that_starts_again_asks_only_for_what_it_lacks(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    grow(log, 5)
    Collector(log, clients(witnesses), kept).collect()
    for server in witnesses:
        _stop(server)
    outcome = Collector(log, clients(witnesses), kept).collect()
    assert (outcome.cosigned_by, outcome.failures) == (NAMES, {})


def test_appending_goes_on_while_a_witness_hangs_and_closing_does_not_wait_for_it(
    log: AuditLog, kept: KeptCheckpoints
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as hanging:  # accepts into its backlog and never answers
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        collector = Collector(log, [WitnessClient(url, POLICY.witnesses[0], timeout=30)], kept)
        collector.start()
        collector.wake()
        connection, _ = hanging.accept()  # the collector is waiting now
        grow(log, 50)
        assert log.size == 50
        collector.stop(timeout=0.1)
        connection.close()
    assert kept.newest() is None


def test_the_background_thread_collects_when_woken_and_once_more_when_stopped(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    collector = Collector(log, clients(witnesses), kept, interval=3600)
    collector.start()
    grow(log, 3)
    collector.wake()
    _until(lambda: kept.newest() is not None)
    grow(log, 4)
    collector.stop(timeout=30)
    note = kept.newest()
    assert note is not None
    assert open_checkpoint(note, LOG.verifier_key).size == 7


def _until(reached: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(600):
        if reached():
            return
        pause.wait(0.05)
    raise AssertionError("never happened")


def test_a_witness_that_fails_is_left_alone_for_a_while_and_found_again(
    log: AuditLog, tmp_path: Path, kept: KeptCheckpoints
) -> None:
    with serving(make_witness(tmp_path, NAMES[0])) as server:
        port = server.server_address[1]
    client = client_of(server, NAMES[0])
    collector = Collector(log, [client], kept, interval=3600)
    assert list(collector.collect().failures) == [NAMES[0]]
    again = WitnessServer(("127.0.0.1", port), make_witness(tmp_path, NAMES[0]))
    thread = threading.Thread(target=again.serve_forever, args=(0.01,))
    thread.start()
    assert collector.collect(patient=True).cosigned_by == ()  # too early
    assert collector.collect().cosigned_by == NAMES[:1]  # asked by hand
    _stop(again)
    thread.join()


class _Behind:
    """A writer's view of a log that other writers moved on: its first look is an old one."""

    def __init__(self, log: AuditLog, old: str) -> None:
        self._log, self._looks = log, iter([old])
        self.verifier_key, self.consistency, self.root = log.verifier_key, log.consistency, log.root

    def checkpoint(self) -> str:
        return next(self._looks, None) or self._log.checkpoint()


def test_a_writer_that_others_overtook_does_not_cry_rollback(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints, tmp_path: Path
) -> None:
    grow(log, 5)
    old = log.checkpoint()
    grow(log, 5)
    Collector(log, clients(witnesses), KeptCheckpoints(tmp_path / "others")).collect()
    slow = Collector(_Behind(log, old), clients(witnesses), kept)
    assert slow.collect().failures == {}
    assert slow.collect().cosigned_by == NAMES
    note = kept.newest()
    assert note is not None
    assert open_checkpoint(note, LOG.verifier_key).size == 10


# --- the insider -----------------------------------------------------------------------------------------------------


def test_the_insider_with_the_stolen_log_key_is_found_by_what_the_witnesses_hold(
    tmp_path: Path, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    with open_log(tmp_path / "log") as log:
        grow(log, 30)
        early = Collector(log, clients(witnesses), kept).collect().note
        grow(log, 10)
        Collector(log, clients(witnesses), kept).collect()
    with open_log(tmp_path / "rewritten") as forged:  # same key, same origin, every store and record anew
        grow(forged, 30)
        grow(forged, 12, story=" with one entry told differently")
        assert forged.verify().ok  # the log alone cannot tell

        asked = [note for c in clients(witnesses) if (note := c.latest(LOG.verifier_key))]
        kinds = [f.kind for f in compare_witnessed(forged, asked, POLICY).findings]
        assert kinds == [LogFindingKind.REWRITTEN, LogFindingKind.UNWITNESSED]
        # An older, genuine note put in place of the newest hides it: only asking the witnesses does not depend on that.
        assert compare_witnessed(forged, [early], POLICY).findings == ()
        assert LogFindingKind.REWRITTEN in {f.kind for f in compare_witnessed(forged, [early, *asked], POLICY).findings}

        # No witness cosigns the forgery, and what is kept is not overwritten by it.
        outcome = Collector(forged, clients(witnesses), KeptCheckpoints(tmp_path / "none")).collect()
        assert outcome.cosigned_by == ()
        assert {type(error) for error in outcome.failures.values()} == {WitnessRefused}
        before = kept.newest()
        with pytest.raises(WitnessRefused, match="rolled back or rewritten"):
            Collector(forged, clients(witnesses), kept).collect()
        assert kept.newest() == before


def test_a_log_cut_back_is_behind_what_the_witnesses_hold(
    tmp_path: Path, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    with open_log(tmp_path / "log") as log:
        grow(log, 30)
        note = Collector(log, clients(witnesses), kept).collect().note
    with open_log(tmp_path / "cut") as cut:
        grow(cut, 20)
        assert cut.verify().ok
        kinds = [f.kind for f in compare_witnessed(cut, [note], POLICY).findings]
        assert kinds == [LogFindingKind.TRUNCATED, LogFindingKind.UNWITNESSED]


def test_notes_that_differ_in_signatures_alone_count_together(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    grow(log, 5)
    single = [Collector(log, [c], KeptCheckpoints(kept.folder / c.name)).collect().note for c in clients(witnesses)]
    assert compare_witnessed(log, single[:1], POLICY).findings
    assert compare_witnessed(log, single[:2], POLICY).names == NAMES[:2]
    assert compare_witnessed(log, ["garbage"], WitnessPolicy()).findings[0].kind is LogFindingKind.CHECKPOINT


# --- a reader's trust ------------------------------------------------------------------------------------------------


def test_a_receipt_counts_only_with_the_quorum_that_the_reader_demands(
    log: AuditLog, witnesses: list[WitnessServer], kept: KeptCheckpoints
) -> None:
    grow(log, 9)
    notes = [log.checkpoint(), Collector(log, clients(witnesses)[:1], kept).collect().note]
    notes.append(Collector(log, clients(witnesses), kept).collect().note)
    sources = Sources(Trust(Anchors(), (LOG.verifier_key,), {LOG.verifier_key: POLICY}))
    states = []
    for note in notes:
        evidence = prove(Record(log.event(4), log.receipt(4, under=note), "file digest"), sources)
        states.append((evidence.state, len(evidence.witnesses)))
    assert states == [("not_checked", 0), ("not_checked", 1), ("proved", 3)]
    line = next(line for line in notes[2].split("\n") if NAMES[0] in line)
    spoilt = notes[2].replace(line, line[:-8] + ("A" if line[-8] != "A" else "B") + line[-7:])
    assert prove(Record(log.event(4), log.receipt(4, under=spoilt), "file digest"), sources).state == "failed"


def _settings(home: Path, servers: list[WitnessServer], quorum: int = 2) -> Settings:
    chosen = tuple(
        WitnessSettings(name=w.name, url=s.url, vkey=w.vkey) for w, s in zip(POLICY.witnesses, servers, strict=True)
    )
    return Settings(home=home, audit=AuditSettings(witnesses=chosen, witness_quorum=quorum, witness_interval=3600))


def test_the_layer_collects_what_a_reader_then_demands(
    tmp_path: Path, build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    home = Home(Settings(home=tmp_path / "home"))
    home.make()
    with ExitStack() as running:
        servers = [
            running.enter_context(serving(make_witness(tmp_path, name, log=home.note_signer().verifier)))
            for name in NAMES
        ]
        settings = _settings(home.folder, servers)
        with build(settings=settings) as cm:
            result = cm.mark(photo, model="test/camera")
            assert result.data is not None
            before = cm.verify(result.data)
        after = cm.verify(result.data)
    assert (before.evidence.audit.state, before.evidence.audit.witnesses) == ("not_checked", ())
    assert (after.evidence.audit.state, after.evidence.audit.witnesses) == ("proved", NAMES)
    assert any("cosigned by witness.example/a" in reason for reason in after.reasons)

    trust = read_trust(trust_document(settings), "trust.json")
    assert trust.witnessing == {home.note_signer().verifier_key: POLICY}
    stranger = open_sources(Settings(home=tmp_path / "stranger"), trust=trust)
    assert stranger.trust.witnessing == trust.witnessing
    document = json.loads(trust_document(settings))
    for change in ({"witnesses": ["nonsense"]}, {"witness_quorum": 4}, {"witnesses": document["witnesses"][:1] * 2}):
        with pytest.raises(UsageError):
            read_trust(json.dumps({**document, **change}).encode(), "trust.json")


# --- processes -------------------------------------------------------------------------------------------------------

_DIES_BEFORE_ANSWERING = """
import os, signal, sys
from pathlib import Path
from countermark.audit.witness import Witness, WitnessServer
from tests.unit.audit.witnessing import make_witness

class Dies(Witness):
    def add_checkpoint(self, body):
        super().add_checkpoint(body)  # committed when this returns
        os.kill(os.getpid(), signal.SIGKILL)

witness = make_witness(Path(sys.argv[1]))
witness.__class__ = Dies
server = WitnessServer(("127.0.0.1", 0), witness)
print(server.url, flush=True)
server.serve_forever()
"""


def test_a_witness_killed_between_commit_and_answer_gives_the_same_cosignature_when_asked_again(tmp_path: Path) -> None:
    make_witness(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", _DIES_BEFORE_ANSWERING, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with pytest.raises((ConnectionError, OSError)):
        post(url, format_submission(0, [], Story.of(9).note()))
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    with serving(make_witness(tmp_path)) as server:
        story, fork = Story.of(9), Story.of(9, forked_at=3)
        client = client_of(server)
        assert witnessed(story.note() + client.cosign(story.note(), story.prove), [client.verifier], 1)
        with pytest.raises(WitnessRefused):
            client_of(server).cosign(fork.note(), fork.prove)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts ``countermark witness serve`` on a free port; returns the process and its address."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Path, keys: Path) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "countermark", "witness", "serve", "--home", str(home), "--log", str(keys)]
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        assert process.stdout is not None
        lines = ""
        while not lines.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "the witness ended before it listened"
            lines += line
        return process, json.loads(lines)["url"]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_two_processes_with_one_state_let_exactly_one_of_two_forks_win_every_time(
    tmp_path: Path, spawn: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    home, keys = tmp_path / "witness", tmp_path / "keys.txt"
    assert run(["witness", "init", "--name", "witness.example/w1", "--home", str(home)]) == 0
    signers = [NoteSigner(f"{ORIGIN}/{number}", key(f"log {number}")) for number in range(30)]
    keys.write_text("# logs\n" + "".join(f"{signer.verifier_key}\n" for signer in signers))
    processes = [spawn(home, keys) for _ in range(2)]
    stories = [Story.of(8), Story.of(8, forked_at=4)]
    for signer in signers:
        ready = threading.Barrier(2)
        statuses = [0, 0]

        def race(
            side: int, signer: NoteSigner = signer, ready: threading.Barrier = ready, statuses: list[int] = statuses
        ) -> None:
            body = format_submission(0, [], stories[side].note(8, signer))
            ready.wait(10)
            statuses[side] = post(processes[side][1], body)[0]

        threads = [threading.Thread(target=race, args=(side,)) for side in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409]
        seen = WitnessState(home / "witness.db").all_seen()[signer.name]
        assert seen.root == stories[statuses.index(200)].root(8)
    processes[0][0].send_signal(signal.SIGTERM)
    assert processes[0][0].wait(30) == 0


def test_from_a_new_witness_to_a_verified_log_on_the_command_line(
    tmp_path: Path, spawn: Callable[..., tuple[subprocess.Popen[str], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(Settings(home=tmp_path / "home"))
    home.make()
    with home.open_log() as log:
        grow(log, 6)
        keys = tmp_path / "log.vkey"
        keys.write_text(log.verifier_key)
    at = ["--home", str(tmp_path / "witness")]
    capsys.readouterr()
    assert run(["witness", "init", "--name", "witness.example/w1", *at]) == 0
    vkey = capsys.readouterr().out.strip()
    assert run(["witness", "init", "--name", "witness.example/w2", *at]) == 1  # one key, one state
    _, url = spawn(tmp_path / "witness", keys)
    (tmp_path / "countermark.toml").write_text(
        f'home = "{home.folder}"\n[audit]\nwitness_quorum = 1\n'
        f'[[audit.witnesses]]\nname = "witness.example/w1"\nurl = "{url}"\nvkey = "{vkey}"\n'
    )
    assert run(["log", "verify"]) == 13  # nothing is cosigned yet
    assert "unwitnessed" in capsys.readouterr().out
    assert run(["log", "proof", "2", "--witnessed"]) == 2
    assert run(["witness", "collect"]) == 0
    assert run(["log", "verify", "--quorum", "1", "--ask-witnesses"]) == 0
    assert run(["log", "verify", "--quorum", "2"]) == 2  # there is one witness
    capsys.readouterr()
    assert run(["log", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["witnessed"]["by"] == ["witness.example/w1"]
    assert run(["log", "proof", "2", "--witnessed", "-o", "receipt.json"]) == 0
    kit = Path(__file__).parents[2] / "audit" / "verify_log.py"
    checked = subprocess.run(
        [sys.executable, str(kit), "receipt.json", "--key", keys.read_text()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, "VERIFIED" in checked.stdout) == (0, True), checked.stdout
    assert run(["witness", "show", *at]) == 0
    assert "6 entries" in capsys.readouterr().out


# --- asking ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """``log verify --ask-witnesses`` of a log with six entries, with these witnesses and this quorum configured."""
    home = Home(Settings(home=tmp_path / "home"))
    home.make()
    with home.open_log() as log:
        grow(log, 6)

    def call(servers: list[WitnessServer], quorum: int, *words: str) -> tuple[int, dict[str, Any], str]:
        named = [
            f'[[audit.witnesses]]\nname = "{w.name}"\nurl = "{s.url}"\nvkey = "{w.vkey}"\n'
            for w, s in zip(POLICY.witnesses, servers, strict=False)
        ]
        text = f'home = "{home.folder}"\n[audit]\nwitness_quorum = {quorum}\n{"".join(named)}'
        (tmp_path / "countermark.toml").write_text(text)
        code = run([*(words or ("log", "verify", "--ask-witnesses")), "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out), told.err

    return call


def _of_home(folder: Path, name: str) -> Witness:
    """A witness of the log that :func:`asking` verifies."""
    return make_witness(folder, name, log=Home(Settings(home=folder / "home")).note_signer().verifier)


def test_asking_nobody_is_an_error(asking: Callable[..., tuple[int, dict[str, Any], str]]) -> None:
    code, told, complaint = asking([], 0)
    assert (code, told["error"]["code"], "audit.witnesses" in complaint) == (2, "settings_invalid", True)


def test_what_no_witness_said_is_not_taken_for_their_word(
    tmp_path: Path, asking: Callable[..., tuple[int, dict[str, Any], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as running:
        servers = [running.enter_context(serving(_of_home(tmp_path, name))) for name in NAMES[:2]]
        code, told, complaint = asking(servers, 0)
        assert (code, told["intact"], "cosigned no checkpoint" in complaint) == (3, None, True)
        assert told["asked"] == {"showed": [], "cosigned_none": list(NAMES[:2]), "silent": {}, "needed": 1}
        assert asking(servers, 2, "witness", "collect")[0] == 0
        code, told, _ = asking(servers, 2)
        assert (code, told["intact"], told["asked"]["showed"]) == (0, True, list(NAMES[:2]))
    again = WitnessServer(("127.0.0.1", servers[0].server_address[1]), _of_home(tmp_path, NAMES[0]))
    thread = threading.Thread(target=again.serve_forever, args=(0.01,))
    thread.start()
    try:  # one of two is down, and what is kept has the cosignatures of both
        assert asking(servers, 1)[0] == 0
        code, told, _ = asking(servers, 2)
        assert (code, told["intact"], told["findings"], told["witnessed"]["by"]) == (3, None, [], list(NAMES[:2]))
        assert (told["asked"]["showed"], list(told["asked"]["silent"])) == ([NAMES[0]], [NAMES[1]])
        assert told["asked"]["silent"][NAMES[1]]["code"] == "witness_unavailable"
    finally:
        _stop(again)
        thread.join()
    assert asking(servers, 0)[0] == 3
    assert run(["log", "verify", "--ask-witnesses"]) == 3
    assert "INCONCLUSIVE 0 of 2 witnesses" in capsys.readouterr().out
    assert asking(servers, 0, "log", "verify")[0] == 0, "what is kept was asked for, and holds"


def test_what_lacks_cosignatures_is_not_called_altered(
    tmp_path: Path, asking: Callable[..., tuple[int, dict[str, Any], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(_of_home(tmp_path, NAMES[0])) as server:
        assert asking([server], 1, "log", "verify")[0] == 13
        assert run(["log", "verify"]) == 13
    shown = capsys.readouterr().out
    assert ("NOT WITNESSED" in shown, "was altered" in shown) == (True, False)


def test_a_failure_is_told_once_by_hand_and_logged_in_the_background(
    tmp_path: Path,
    asking: Callable[..., tuple[int, dict[str, Any], str]],
    log: AuditLog,
    kept: KeptCheckpoints,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(_of_home(tmp_path, NAMES[0])) as server:
        pass
    asking([server], 0, "log", "verify")
    assert run(["witness", "collect"]) == 1
    told = capsys.readouterr()
    assert (told.out + told.err).count("cannot be reached") == 1
    assert "no_cosignature" not in told.err
    grow(log, 1)
    collector = Collector(log, [client_of(server, NAMES[0])], kept, interval=3600)
    collector.start()
    collector.stop(timeout=30)
    assert capsys.readouterr().err.count("no_cosignature") == 1


def test_a_witness_that_could_not_be_made_leaves_nothing_in_the_way_of_the_next_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--home", str(tmp_path / "witness")]
    assert run(["witness", "init", "--name", "bad name", *at]) == 2
    assert run(["witness", "init", "--name", "w", "--state", str(tmp_path / "absent" / "state.db"), *at]) == 2
    assert "--state FILE" in capsys.readouterr().err
    assert run(["witness", "init", "--name", "witness.example/w1", *at]) == 0
    vkey = capsys.readouterr().out.strip()
    assert run(["witness", "init", "--name", "witness.example/w2", *at]) == 1
    assert WitnessState(tmp_path / "witness" / "witness.db").vkey == vkey
    assert run(["witness", "show", *at]) == 0
    assert capsys.readouterr().out.strip() == vkey


def test_what_a_witness_refused_is_shown_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "witness"
    assert run(["witness", "init", "--name", "witness.example/w1", "--home", str(home)]) == 0
    state = WitnessState(home / "witness.db")
    story = Story.of(30)
    with state.turn(ORIGIN) as turn:
        turn.put(Seen(20, story.root(20), 1, story.note(20)))
        turn.keep_unproved(Seen(30, story.root(30), 2, story.note(30)))
    capsys.readouterr()
    assert run(["witness", "show", "--home", str(home)]) == 0
    assert f"{ORIGIN}: 20 entries, 1 unproved\n" in capsys.readouterr().out
    assert run(["witness", "show", "--home", str(home), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["logs"]
    assert (told["refused"], told["unproved"]) == ([], [story.note(30)])


def test_help_is_there() -> None:
    from countermark.cli.witness import command

    for name in ("init", "serve", "show", "collect"):
        assert CliRunner().invoke(command, [name, "--help"]).exit_code == 0
