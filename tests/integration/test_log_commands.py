"""``countermark log`` as reviewer and auditor use it: every deed on the record, and refused where it must be."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner
from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.warrant import Warrant
from countermark.cli.main import run
from countermark.compose import Home
from countermark.model import EventType
from countermark.settings import load_settings

VERIFIER = Path(__file__).parents[2] / "audit" / "verify_log.py"
Log = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An installation whose log has six entries with prompts, three of them Alice's."""
    place = Home(load_settings({"home": tmp_path / "home"}).settings)
    place.make()
    with place.open_log() as log:
        for number in range(6):
            actor = place.pseudonym(("alice@example.org", "bob@example.org")[number % 2])
            event = Warrant("asked", actor).event(EventType.REFUSED, tenant="acme", event_id=f"{number:032x}")
            log.append(event, protected={"prompt": f"cat {number}"})
    return place


@pytest.fixture
def log(home: Home, capsys: pytest.CaptureFixture[str]) -> Log:
    def call(*arguments: object) -> tuple[int, Any, str]:
        code = run(["log", *map(str, arguments), "--home", str(home.folder), "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out.strip() else None, told.err

    return call


@pytest.fixture
def rotate(home: Home, capsys: pytest.CaptureFixture[str]) -> Callable[[], None]:
    """Gives everybody a new pseudonym, on the record."""

    def call() -> None:
        assert run(["keys", "rotate", "pseudonym", "--reason", "yearly", "--home", str(home.folder)]) == 0
        capsys.readouterr()

    return call


def test_a_prompt_is_shown_only_for_a_reason_and_on_the_record(log: Log) -> None:
    assert "prompt" not in json.dumps(log("show", 2)[1]["reasons"])
    code, _, complaint = log("show", 2, "--reveal")
    assert (code, "--reason" in complaint) == (2, True)
    code, shown, _ = log("show", 2, "--reveal", "--reason", "complaint 9", "--actor", "carol")
    assert (code, shown["revealed"]) == (0, {"prompt": "cat 2"})
    (newest,) = log("list", "-n", 1)[1]
    assert (newest["index"], newest["type"], newest["reasons"]) == (6, "access", ["complaint 9"])
    assert newest["access"]["index"] == 2
    assert "carol" not in json.dumps(newest)


def test_a_subject_is_erased_except_what_is_under_hold(log: Log, home: Home) -> None:
    code, placed, _ = log("hold", "add", "--event", 2, "--reason", "case 7")
    (placed,) = placed
    assert (code, placed["events"]) == (0, [f"{2:032x}"])
    code, _, complaint = log("erase", "--subject", "alice@example.org", "--reason", "request 1")
    assert (code, "--yes" in complaint) == (2, True)
    code, erased, _ = log("erase", "--subject", "alice@example.org", "--reason", "request 1", "--yes")
    assert (code, erased["erased"]) == (0, [f"{0:032x}", f"{4:032x}"])
    assert erased["held_back"] == {placed["id"]: [f"{2:032x}"]}
    assert log("show", 0, "--reveal", "--reason", "x")[0] == 2
    assert log("show", 1, "--reveal", "--reason", "x")[1]["revealed"] == {"prompt": "cat 1"}
    assert [one["id"] for one in log("hold", "list")[1]] == [placed["id"]]
    assert log("hold", "release", placed["id"][:10], "--reason", "case closed")[0] == 0
    assert log("hold", "list")[1] == []
    (ended,) = log("hold", "list", "--all")[1]
    assert (ended["active"], ended["reason"]) == (False, "case 7")
    pseudonym = home.pseudonym("alice@example.org")
    assert pseudonym
    assert log("erase", "--subject", pseudonym.pseudonym, "--reason", "request 1", "--yes")[1]["erased"] == [
        f"{2:032x}"
    ]
    assert log("verify")[1]["intact"]


def test_holds_by_subject_and_query(log: Log) -> None:
    assert log("hold", "add", "--subject", "bob@example.org", "--query", "tenant=acme", "--reason", "x")[0] == 0
    code, erased, _ = log("erase", "--event", 0, "--event", 1, "--reason", "x", "--yes")
    assert (code, erased["erased"], len(erased["held_back"])) == (0, [f"{0:032x}"], 1)
    for wrong in (("--query", "colour=red"), ("--query", "tenant"), ()):
        assert log("hold", "add", *wrong, "--reason", "x")[0] == 2
    assert run(["log", "hold", "add", "--query", "tenant=acme"]) == 2, "a reason is required"


@pytest.mark.parametrize(
    "wrong",
    [
        ["--until", "12/31/2030"],
        ["--until", "2020"],
        ["--query", "type=generation.relased"],
        ["--query", "since=yesterday"],
        ["--query", "actor=bob@example.org"],
        ["--subject", ""],
        ["--event", ""],
    ],
)
def test_a_hold_is_in_force_or_refused(wrong: list[str], log: Log) -> None:
    assert log("hold", "add", "--subject", "alice@example.org", *wrong, "--reason", "x")[0] == 2
    assert log("hold", "list", "--all")[1] == []


def test_a_hold_says_how_many_events_it_covers_and_names_people_as_requests_do(
    log: Log, home: Home, rotate: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (placed,) = log("hold", "add", "--query", "actor=bob@example.org", "--query", "type=generation.refused",
                    "--reason", "x")[1]  # fmt: skip
    bob = home.pseudonym("bob@example.org")
    assert bob
    assert (placed["covers"], placed["query"]) == (3, {"type": "generation.refused", "actor": bob.pseudonym})
    assert log("erase", "--subject", "bob@example.org", "--reason", "x", "--yes")[0] == 21
    at = ["--home", str(home.folder)]
    assert run(["log", "hold", "add", "--subject", "caroll", "--until", "2999", "--reason", "x", *at]) == 0
    told = capsys.readouterr().out
    assert "covers 0 of the events" in told
    assert "No event is covered yet" in told
    rotate()
    assert run(["log", "hold", "add", "--subject", "bob@example.org", "--reason", "x", *at]) == 0
    told = capsys.readouterr().out
    assert "2 pseudonyms, because the key behind them was rotated" in told
    assert "No event is covered yet" not in told


def test_a_hold_is_placed_where_an_entry_is_damaged_too(log: Log, home: Home) -> None:
    store = sqlite3.connect(home.audit_db)
    store.execute("UPDATE entry SET body = x'7b7d' WHERE seq = 4")
    store.commit()
    store.close()
    code, placed, complaint = log("hold", "add", "--query", "tenant=acme", "--reason", "x")
    assert (code, placed[0]["covers"], "cannot be counted" in complaint) == (0, None, True)


def test_an_empty_name_names_nothing(log: Log) -> None:
    assert log("hold", "add", "--query", "tenant=acme", "--reason", "x")[0] == 0
    for words in (["proof", ""], ["show", ""], ["show", " "], ["picture", "", "--reason", "x"]):
        assert log(*words)[0] == 2
    assert log("hold", "release", "", "--reason", "oops")[0] == 2
    assert log("erase", "--subject", "", "--event", 1, "--reason", "x", "--yes")[0] == 2
    assert len(log("hold", "list")[1]) == 1


def test_an_erasure_of_which_nothing_is_left_by_holds_is_no_success(
    log: Log, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log("hold", "add", "--event", 1, "--reason", "x")[0] == 0
    code, erased, _ = log("erase", "--event", 1, "--reason", "x", "--yes")
    assert (code, erased["erased"], list(erased["held_back"].values())) == (21, [], [[f"{1:032x}"]])
    assert run(["log", "erase", "--event", "1", "--reason", "x", "--yes", "--home", str(home.folder)]) == 21
    assert "nothing was erased" in capsys.readouterr().out
    assert log("erase", "--event", 1, "--event", 2, "--reason", "x", "--yes")[0] == 0


def test_what_was_erased_is_told_where_a_person_of_several_pseudonyms_has_no_events(
    log: Log, rotate: Callable[[], None]
) -> None:
    rotate()
    words = ["--subject", "someone@example.org", "--event", 3, "--event", 0, "--reason", "x", "--yes"]
    code, erased, _ = log("erase", *words)
    assert (code, erased["erased"], len(erased["entries"])) == (0, [f"{0:032x}", f"{3:032x}"], 1)
    assert log("erase", *words)[0] == 2
    code, erased, _ = log("erase", "--subject", "alice@example.org", "--event", 2, "--reason", "x", "--yes")
    assert (code, erased["erased"]) == (0, [f"{2:032x}", f"{4:032x}"])


@pytest.mark.parametrize(
    "nonsense",
    [
        ["--since", "garbage"],
        ["--since", "2026-13"],
        ["--since", "2027", "--until", "2026"],
        ["--type", "foo"],
        ["--decision", "foo"],
        ["--category", "nope"],
        ["--model", ""],
        ["--actor", ""],
        ["--before", "-5"],
    ],
)
def test_a_filter_that_no_entry_could_meet_is_refused(nonsense: list[str], log: Log) -> None:
    assert run(["log", "list", *nonsense]) == 2


def test_entries_of_a_person_are_listed_by_name_whatever_the_pseudonym(
    log: Log, home: Home, rotate: Callable[[], None]
) -> None:
    def of_alice(*more: object) -> list[int]:
        return [row["index"] for row in log("list", "--actor", "alice@example.org", *more)[1]]

    assert of_alice() == [4, 2, 0]
    rotate()
    assert log("show", 1, "--reveal", "--reason", "x", "--actor", "alice@example.org")[0] == 0
    assert of_alice() == [7, 4, 2, 0]
    assert of_alice("-n", 2) == [7, 4]
    assert of_alice("-n", 2, "--before", 4) == [2, 0]
    assert of_alice("--type", "access") == [7]
    pseudonym = home.pseudonym("alice@example.org")
    assert pseudonym
    assert [row["index"] for row in log("list", "--actor", pseudonym.pseudonym)[1]] == [7]


def test_keys_rotate_on_the_record_and_nobody_escapes_an_erasure_by_it(
    log: Log, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    for purpose in ("pseudonym", "master", "watermark"):
        assert run(["keys", "rotate", purpose, "--reason", "yearly", "--home", str(home.folder), "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        (newest,) = log("list", "-n", 1)[1]
        assert (newest["type"], newest["reasons"]) == ("key.rotated", ["yearly"])
        said = newest["params"]
        assert (said["purpose"], said["epoch"], said["key_id"]) == (purpose, "1", made["key_id"])
        assert said["before_key_id"] == home.keys.key_id(purpose, 0) != made["key_id"]
    with home.open_log() as opened:
        alice = home.pseudonym("alice@example.org")
        event = Warrant("asked", alice).event(EventType.REFUSED, tenant="acme", event_id=f"{6:032x}")
        opened.append(event, protected={"prompt": "cat 6"})
    assert log("show", 0, "--reveal", "--reason", "x")[1]["revealed"] == {"prompt": "cat 0"}, "under the older key"
    placed = log("hold", "add", "--subject", "alice@example.org", "--reason", "case 8")[1]
    assert len({one["query"]["actor"] for one in placed}) == 2
    for one in placed:
        assert log("hold", "release", one["id"], "--reason", "closed")[0] == 0
    code, erased, _ = log("erase", "--subject", "alice@example.org", "--reason", "request 2", "--yes")
    assert (code, sorted(erased["erased"])) == (0, [f"{number:032x}" for number in (0, 2, 4, 6)])
    assert log("verify")[1]["intact"]
    assert run(["keys", "rotate", "audit-log", "--reason", "x", "--home", str(home.folder)]) == 2


def test_an_export_continues_a_checkpoint_and_verifies_offline(log: Log, home: Home, tmp_path: Path) -> None:
    held, bundle = tmp_path / "held", tmp_path / "bundle.zip"
    assert log("checkpoint", "-o", held)[0] == 0
    log("show", 1, "--reveal", "--reason", "x")
    code, exported, _ = log("export", "-o", bundle, "--since", held, "--format", "csv")
    assert (code, exported["first"], exported["end"], exported["export_entry"]) == (0, 6, 7, 7)
    with home.open_log(read_only=True) as opened:
        key = opened.verifier_key
    command = [sys.executable, str(VERIFIER), str(bundle), "--key", key, "--checkpoint", str(held)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert log("export", "-o", bundle)[0] == 2, "never over what is there"
    assert log("export", "-o", tmp_path / "x", "--reveal")[0] == 2
    code, exported, _ = log("export", "-o", tmp_path / "told", "--to", 4, "--reveal", "--reason", "court order")
    assert (code, exported["disclosed"], exported["end"]) == (0, 4, 4)
    assert (tmp_path / "told" / "disclosed.jsonl").read_text().count("cat ") == 4
    assert log("export", "-o", tmp_path / "never", "--from", "2999-01-01")[0] == 2
    assert log("export", "-o", tmp_path / "ever", "--from", "2020-01-01")[1]["first"] == 0


def test_a_checkpoint_of_another_history_is_not_continued(log: Log, tmp_path: Path) -> None:
    held = tmp_path / "held"
    assert log("checkpoint", "-o", held)[0] == 0
    held.write_text(held.read_text().replace("\n6\n", "\n5\n"))
    code, _, complaint = log("export", "-o", tmp_path / "bundle", "--since", held)
    assert (code, "is damaged" in complaint, "receipt" in complaint) == (2, True, False)
    assert not (tmp_path / "bundle").exists()


@pytest.fixture
def other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A checkpoint of another log."""
    place = Home(load_settings({"home": tmp_path / "other-home"}).settings)
    place.make()
    with place.open_log() as opened:
        opened.append(Warrant("asked").event(EventType.REFUSED))
    path = tmp_path / "other"
    assert run(["log", "checkpoint", "-o", str(path), "--home", str(place.folder)]) == 0
    capsys.readouterr()
    return path


def test_a_checkpoint_of_another_log_says_nothing_about_this_one(log: Log, other: Path, tmp_path: Path) -> None:
    for command in (["verify"], ["export", "-o", tmp_path / "bundle"]):
        code, _, complaint = log(*command, "--since", other)
        assert (code, "of the log 'countermark.local/" in complaint, "receipt" in complaint) == (2, True, False)


def test_a_log_put_in_the_place_of_another_is_found_by_its_checkpoint(log: Log, home: Home, tmp_path: Path) -> None:
    held = tmp_path / "held"
    assert log("checkpoint", "-o", held)[0] == 0
    name = home.origin
    for path in (home.audit_db, home.folder / "signed.db", home.folder / "keys" / "audit-log-00.key"):
        path.unlink()
    home.keys.ensure()
    signer = NoteSigner(name, home.keys.ed25519("audit-log"))
    with AuditLog.open(home.audit_db, signer=signer) as forged:
        forged.append(Warrant("asked").event(EventType.REFUSED))
    assert log("verify", "--checkpoint", held)[0] == 13
    assert log("export", "-o", tmp_path / "bundle", "--since", held)[0] == 1


def test_every_checkpoint_given_is_compared_and_named(
    log: Log, home: Home, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in ("first", "second", "third")]
    backup = {name: (home.folder / name).read_bytes() for name in ("audit.db", "signed.db")}
    for path in paths:
        assert log("checkpoint", "-o", path)[0] == 0
        assert log("show", 0, "--reveal", "--reason", "x")[0] == 0
    given = ["--checkpoint", paths[1], "--since", paths[2], "--checkpoint", paths[0]]
    code, told, _ = log("verify", *given)
    assert (code, told["intact"]) == (0, True)
    assert [(one["file"], one["size"], one["continued"]) for one in told["held_checkpoints"]] == [
        (str(paths[1]), 7, True),
        (str(paths[2]), 8, True),
        (str(paths[0]), 6, True),
    ]
    assert log("verify", *given, "--checkpoint", other)[0] == 2
    # A restored backup, carried on: it continues the oldest checkpoint and neither of the others.
    for name, content in backup.items():
        (home.folder / name).write_bytes(content)
    with home.open_log() as carried_on:
        for number in range(10, 13):
            carried_on.append(Warrant("asked").event(EventType.REFUSED, tenant="acme", event_id=f"{number:032x}"))
    code, told, _ = log("verify", *given)
    assert (code, [one["continued"] for one in told["held_checkpoints"]]) == (13, [False, False, True])
    assert [(finding["kind"], finding["last"]) for finding in told["findings"]] == [("rewritten", 7), ("rewritten", 6)]
    assert str(paths[1]) in told["findings"][1]["detail"]
    assert run(["log", "verify", *map(str, given), "--home", str(home.folder)]) == 13
    shown = capsys.readouterr().out
    assert [f"contradicts the held checkpoint {path} " in shown for path in paths] == [False, True, True]
    assert f"continues the held checkpoint {paths[0]} " in shown


def test_a_store_may_be_named_by_its_folder(
    log: Log, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log("verify", "--store", home.folder)[0] == 0
    monkeypatch.chdir(home.folder)
    assert log("verify", "--store", ".")[1]["size"] == 6
    monkeypatch.chdir(tmp_path)
    code, told, complaint = log("verify", "--store", ".")
    assert (code, told["error"]["code"], "audit.db" in complaint) == (2, "not_found", True)


def test_remedies_mend_what_is_wrong(log: Log, home: Home, tmp_path: Path) -> None:
    for words in (["--from", 5, "--to", 2], ["--from", 7], ["--from", "2999-01"], ["--from", "x"], ["--to", ""]):
        code, _, complaint = log("export", "-o", tmp_path / "bundle", *words)
        assert (code, "name or path" in complaint) == (2, False)
    lock = home.audit_db.with_name("audit.db.lock")
    lock.unlink()
    lock.mkdir()  # cannot be opened for writing, not even by root
    for words in (["hold", "add", "--event", 1, "--reason", "x"], ["reindex"]):
        code, _, complaint = log(*words)
        assert (code, "-o FILE" in complaint, "its folder" in complaint) == (2, False, True)
    lock.rmdir()
    for name in ("audit-log", "master", "pseudonym"):
        key = home.folder / "keys" / f"{name}-00.key"
        content = key.read_bytes()
        key.unlink()
        code, _, complaint = log("hold", "add", "--event", 1, "--reason", "x")
        assert (code, "keys init" in complaint, "from a copy" in complaint) == (1, False, True), name
        assert log("verify")[0] == 0
        key.write_bytes(content)
        key.chmod(0o600)


def test_a_number_is_an_index_and_a_year_needs_a_month(log: Log, tmp_path: Path) -> None:
    code, _, complaint = log("export", "-o", tmp_path / "bundle", "--to", 2026)
    assert (code, "2026 is taken as an index" in complaint) == (2, True)
    code, exported, complaint = log("export", "-o", tmp_path / "bundle", "--from", "2026-01", "--to", 5)
    assert (code, exported["first"], exported["end"], complaint) == (0, 0, 5, "")


def test_the_command_that_is_told_verifies_the_bundle(
    log: Log, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "held"
    assert log("checkpoint", "-o", held)[0] == 0
    at = ["--home", str(home.folder)]

    def told(*words: object) -> list[str]:
        assert run(["log", *map(str, words), *at]) == 0
        shown = capsys.readouterr().out
        line = next(line for line in shown.splitlines() if "verify_log.py" in line)
        python, kit, *rest = shlex.split(line[line.index("python") :])
        assert (python, kit) == ("python", "audit/verify_log.py")
        return rest

    for words in (
        told("export", "-o", tmp_path / "a bundle", "--since", held),
        [*told("export", "-o", tmp_path / "whole"), "--checkpoint", str(held)],
        told("proof", 3, "-o", tmp_path / "receipt.json"),
    ):
        assert "--key" in words
        checked = subprocess.run([sys.executable, str(VERIFIER), *words], capture_output=True, check=False)
        assert checked.returncode == 0, (words, checked.stdout)


def test_a_file_that_is_no_checkpoint_is_no_sign_of_an_altered_log(log: Log, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("buy milk\n")
    for command in (["verify"], ["export", "-o", tmp_path / "bundle"]):
        code, _, complaint = log(*command, "--since", tmp_path / "note")
        assert (code, "is not a checkpoint" in complaint) == (2, True)


def test_a_log_that_a_program_began_is_carried_on_by_the_commands(log: Log, home: Home) -> None:
    for path in (home.audit_db, home.folder / "signed.db"):
        path.unlink()
    with AuditLog.open(home.audit_db) as begun:
        begun.append(Warrant("asked").event(EventType.REFUSED, tenant="acme", event_id=f"{9:032x}"))
    assert log("hold", "add", "--subject", "alice@example.org", "--reason", "court")[0] == 0
    assert log("verify")[1]["intact"]


def test_a_dropped_index_is_worked_around_and_rebuilt(log: Log, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    store = sqlite3.connect(home.audit_db)
    store.executescript("DROP TABLE event_index; DROP TABLE posting; DROP TABLE locator;")
    store.close()
    assert log("show", 3)[1]["event_id"] == f"{3:032x}"
    code, rows, warning = log("list", "--tenant", "acme")
    assert (code, [row["index"] for row in rows], "log reindex" in warning) == (0, [5, 4, 3, 2, 1, 0], True)
    code, told, _ = log("verify")
    assert (code, [finding["kind"] for finding in told["findings"]]) == (13, ["index"])
    assert run(["log", "verify", "--home", str(home.folder)]) == 13
    assert "its entries are what was signed" in capsys.readouterr().out
    assert log("reindex")[1] == {"entries": 6}
    assert log("verify")[0] == 0


def test_a_log_with_an_older_index_is_read_and_proved_and_the_commands_say_what_is_missing(
    log: Log, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = sqlite3.connect(home.audit_db)
    store.executescript("DROP TABLE event_index; DROP TABLE posting; DROP TABLE locator; PRAGMA user_version = 2;")
    store.close()
    assert log("show", 3)[1]["event_id"] == f"{3:032x}"
    assert log("proof", 3)[0] == 0
    assert log("checkpoint", "-o", tmp_path / "held")[0] == 0
    code, told, _ = log("verify", "--since", tmp_path / "held")
    assert (code, told["intact"], "index" in told["compared"]) == (0, True, False)
    assert run(["log", "verify", "--home", str(home.folder)]) == 0
    assert "older version and was not compared" in capsys.readouterr().out
    code, rows, warning = log("list", "--tenant", "acme")
    assert (code, len(rows), "log reindex" in warning) == (0, 6, True)
    for words in (["show", f"{3:032x}"], ["hold", "add", "--event", 3, "--reason", "x"]):
        code, told, complaint = log(*words)
        assert (code, told["error"]["code"], "log reindex" in complaint) == (1, "audit_index_outdated", True)
    assert log("reindex")[0] == 0
    assert "index" in log("verify")[1]["compared"]


@pytest.mark.parametrize("how", ["lost", "brought back"])
def test_a_log_whose_record_is_gone_is_carried_on_on_the_word_of_a_checkpoint_kept_elsewhere(
    how: str, log: Log, home: Home, tmp_path: Path
) -> None:
    record, why = home.folder / "signed.db", ("--reason", "the disk of signed.db died")
    older = record.read_bytes()
    assert log("hold", "add", "--event", 0, "--reason", "x")[0] == 0
    assert log("checkpoint", "-o", tmp_path / "held")[0] == 0
    assert log("vouch", "--checkpoint", tmp_path / "held", *why)[0] == 2, "nothing is wrong yet"
    for name in ("signed.db", "signed.db-wal", "signed.db-shm"):
        (home.folder / name).unlink(missing_ok=True)
    if how == "brought back":
        record.write_bytes(older)
    code, _, complaint = log("hold", "list", "--all")
    assert code == 0
    code, _, complaint = log("hold", "add", "--event", 1, "--reason", "x")
    assert (code, "log vouch --checkpoint" in complaint) == (1, True)
    (tmp_path / "other").write_text((tmp_path / "held").read_text().replace("\n7\n", "\n6\n"))
    assert log("vouch", "--checkpoint", tmp_path / "other", *why)[0] == 1, "a forged checkpoint vouches for nothing"
    assert log("vouch", "--checkpoint", tmp_path / "held", *why)[1] == {"vouched": 7, "entries": 7, "recorded": 7}
    (newest,) = log("list", "-n", 1)[1]
    assert (newest["type"], newest["params"]) == ("checkpoint.gap", {"vouched": "7", "entries": "7"})
    assert log("verify", "--checkpoint", tmp_path / "held")[1]["intact"]


def test_what_is_no_audit_store_is_said_to_be_none(log: Log, tmp_path: Path) -> None:
    (tmp_path / "photo.db").write_bytes(b"\x89PNG" * 999)
    code, told, complaint = log("verify", "--store", tmp_path / "photo.db")
    assert (code, told["error"]["code"]) == (1, "audit_store_damaged")
    assert "not an SQLite database" in complaint
    assert "log verify" not in complaint
    code, _, complaint = log("verify", "--store", tmp_path / "absent.db")
    assert (code, "Generate" in complaint) == (2, False)


def test_a_store_that_cannot_be_opened_is_not_sent_round_in_a_circle(log: Log, home: Home) -> None:
    with home.audit_db.open("r+b") as file:  # the schema itself no longer parses
        content = file.read()
        file.seek(content.index(b"CREATE TABLE entry"))
        file.write(b"\xff" * 16)
    code, _, complaint = log("verify")
    assert (code, "log verify" in complaint, "restore" in complaint) == (1, False, True)


def test_a_damaged_entry_is_listed_as_damaged(log: Log, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    store = sqlite3.connect(home.audit_db)
    store.execute("UPDATE entry SET body = x'7b7d' WHERE seq = 4")
    store.commit()
    store.close()
    code, rows, _ = log("list")
    assert (code, ["damage" in row for row in rows]) == (0, [False, True, False, False, False, False])
    assert run(["log", "list", "--home", str(home.folder)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        [],
        ["list"],
        ["show"],
        ["export"],
        ["hold"],
        ["hold", "add"],
        ["erase"],
        ["reindex"],
        ["verify"],
        ["vouch"],
    ):
        assert run(["log", *words, "--help"]) == 0
    assert "legal hold" in capsys.readouterr().out


def test_a_log_whose_key_was_replaced_in_its_store_is_found_by_the_ring(
    log: Log, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody without the log's key rewrites an entry, signs it with a key of his own and names that in the store."""
    thief = NoteSigner(home.origin, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    (home.folder / "signed.db").unlink()
    store = sqlite3.connect(home.audit_db)
    store.execute("UPDATE meta SET value = ? WHERE key = 'verifier_key'", (thief.verifier_key,))
    size, root = store.execute("SELECT size, root FROM head").fetchone()
    store.execute("UPDATE head SET note = ?", (sign_checkpoint(thief, size, root),))
    store.commit()
    store.close()
    code, told, _ = log("verify")
    assert (code, {finding["kind"] for finding in told["findings"]}) == (13, {"checkpoint"})
    assert run(["log", "verify", "--store", str(home.audit_db), "--home", str(home.folder)]) == 0
    shown = capsys.readouterr().out
    assert "which names its key itself" in " ".join(shown.split())
    assert "record of what was signed is not here" in " ".join(shown.split())
