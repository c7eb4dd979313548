"""The command line as a new user meets it: results on stdout, the rest on stderr, exit codes that scripts rely on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, photograph

from countermark.audit.proof import TlogProof
from countermark.cli.demo_attacks import edit_pixels_keep_manifest, repost
from countermark.cli.main import run
from countermark.errors import OutputUnwritable

RUSSIAN = "кошка сидит на столе"


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(photograph("coffee")).save(path)
    return path


@pytest.fixture
def marked(photo_file: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["mark", str(photo_file), "--model", "test/model"]) == 0
    capsys.readouterr()
    return photo_file.with_name("photo-marked.png")


def json_of(capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_mark_then_verify_then_every_attack(marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(marked), "--json"]) == 0
    report = json_of(capsys)
    assert report["schema"] == "countermark.verification/1"
    assert report["verdict"] == "verified"
    assert report["file"] == str(marked)
    assert set(report["evidence"]) >= {"manifest", "watermark", "fingerprint", "audit"}
    assert report["evidence"]["watermark"]["payload"]
    attacked = tmp_path / "attacked.jpg"
    attacked.write_bytes(repost(marked.read_bytes()))
    assert run(["verify", str(attacked)]) == 15
    assert "RECOVERED" in capsys.readouterr().out
    edited = tmp_path / "edited.png"
    edited.write_bytes(edit_pixels_keep_manifest(marked.read_bytes()))
    assert run(["verify", str(edited)]) == 11
    other = tmp_path / "other.jpg"
    Image.fromarray(photograph("chelsea")).save(other)
    assert run(["verify", str(other)]) == 10
    capsys.readouterr()
    assert run(["verify", str(marked), str(attacked), "--json"]) == 15
    assert [r["verdict"] for r in json.loads(capsys.readouterr().out)] == ["verified", "recovered"]


def test_verify_goes_on_after_a_file_that_cannot_be_read(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"not a picture")
    shutil.copy(marked, folder / "b.png")
    for arguments in (["none.png", str(folder / "a.png"), str(marked)], ["--recursive", "none.png", str(folder)]):
        assert run(["verify", *arguments, "--json"]) == 2
        missing, broken, whole = json_of(capsys)
        assert [missing["file"], missing["error"]["code"]] == ["none.png", "not_found"]
        assert [broken["file"], broken["error"]["code"]] == [str(folder / "a.png"), "asset_invalid"]
        assert {missing["schema"], broken["schema"]} == {"countermark.error/1"}
        assert whole["verdict"] == "verified"
        assert run(["verify", *arguments]) == 2
        told = capsys.readouterr()
        assert "VERIFIED" in told.out
        assert "none.png: There is no file" in told.err
        assert "is not a PNG" in told.err
    assert run(["verify", "--recursive", str(marked), "--json"]) == 0
    assert len(json_of(capsys)) == 1, "an array wherever several might have been found"


def test_a_file_that_is_closed_to_us_keeps_no_other_from_being_verified(
    marked: Path, photo_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    access, opened = os.access, Path.open
    monkeypatch.setattr(os, "access", lambda path, *more: Path(path) != photo_file and access(path, *more))

    def refuse(path: Path, *more: Any, **named: Any) -> Any:
        if path == photo_file:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, *more, **named)

    monkeypatch.setattr(Path, "open", refuse)
    assert run(["verify", str(photo_file), str(marked), "--json"]) == 2
    closed, other = json_of(capsys)
    assert "Permission denied" in closed["error"]["message"]
    assert other["verdict"] == "verified"


def test_verify_leaves_nothing_of_a_folder_out_without_a_word(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run(["verify", "--recursive", str(folder)]) == 2
    assert "no image" in capsys.readouterr().err
    shutil.copy(marked, folder / "a.png")
    (folder / "b.png").symlink_to(folder / "nowhere.png")
    assert run(["verify", "--recursive", str(folder), "--json"]) == 2
    whole, broken = json_of(capsys)
    assert (whole["verdict"], broken["file"]) == ("verified", str(folder / "b.png"))


def test_what_the_system_does_not_give_is_no_fault_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "x.png", "--receipt", "y" * 300]) == 1
    told = capsys.readouterr().err
    assert "cannot be used: File name too long" in told
    assert "internal error" not in told


def test_the_input_is_never_written_over(photo_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo_file.read_bytes()
    assert run(["mark", str(photo_file), "-o", str(photo_file), "--force"]) == 2
    assert "must stay" in capsys.readouterr().err
    assert photo_file.read_bytes() == before


def test_an_existing_output_is_kept(marked: Path, photo_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = marked.read_bytes()
    assert run(["mark", str(photo_file)]) == 2
    assert "--force" in capsys.readouterr().err
    assert marked.read_bytes() == before


def test_a_link_that_leads_nowhere_is_seen_before_any_work(
    photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.png").symlink_to("nowhere")
    assert run(["mark", str(photo_file), "-o", str(tmp_path / "link.png")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_released_file_that_cannot_be_written_is_kept_and_said_where(
    photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputUnwritable("out.png cannot be written: No space left on device.")

    monkeypatch.setattr("countermark.pipeline.context.write_new", full)
    assert run(["mark", str(photo_file), "-o", str(tmp_path / "out.png"), "--json"]) == 2
    error = json_of(capsys)["error"]
    assert "recorded as entry 0" in error["message"]
    kept = Path(error["remedy"].rpartition(": ")[2])
    monkeypatch.undo()
    monkeypatch.setenv("COUNTERMARK_HOME", str(tmp_path / "home"))
    shutil.copy(kept, tmp_path / "out.png")
    assert run(["verify", str(tmp_path / "out.png")]) == 0


def test_check_names_category_severity_stage_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--prompt", UNSAFE_PROMPT, "--json"]) == 20
    answer = json_of(capsys)
    assert answer["schema"] == "countermark.check/1"
    assert 0.5 < answer["risk"] <= 1
    decision = answer["decision"]
    assert decision["outcome"] == "block"
    assert decision["category"] in ("violence", "graphic")
    assert decision["stage"] == "prompt"
    assert decision["rule"].startswith(decision["category"])
    assert UNSAFE_PROMPT not in json.dumps(answer)
    assert {f["state"] for f in answer["findings"]} <= {"assessed", "not_assessed"}
    assert run(["check", "--prompt", CLEAN_PROMPT]) == 0


def test_check_goes_on_after_a_bad_line_and_says_where_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    good = [json.dumps({"text": CLEAN_PROMPT}), json.dumps({"prompt": UNSAFE_PROMPT}), json.dumps(CLEAN_PROMPT)]
    bad = ["not json", "", '{"no": "text"}', '{"text": ""}', f'"{"x" * 2_000_000}"']
    prompts.write_bytes("\n".join([good[0], *bad, *good[1:], ""]).encode() + b'"\xff"')
    assert run(["check", "--prompts", str(prompts), "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 4, 5, 6, 7, 8, 9]  # the third is empty
    assert {line["file"] for line in lines} == {str(prompts)}
    outcomes = {line["line"]: line["decision"]["outcome"] for line in lines if "decision" in line}
    assert outcomes == {1: "allow", 7: "block", 8: "allow"}
    codes = {line["line"]: line["error"]["code"] for line in lines if "error" in line}
    assert codes == {2: "usage", 4: "usage", 5: "prompt_invalid", 6: "usage", 9: "usage"}

    assert run(["check", "--prompts", str(prompts)]) == 2
    shown = capsys.readouterr()
    assert f"{prompts}:2: The line is no prompt" in shown.err
    assert UNSAFE_PROMPT not in shown.out + shown.err
    (stopped,) = [line.split() for line in shown.out.splitlines() if line.startswith("block")]
    assert stopped[1] in ("violence", "graphic")
    assert stopped[2:4] == ["6", "prompt"]
    assert stopped[4].startswith(f"{stopped[1]}.prompt")


def test_check_a_folder_of_prompts_and_one_of_images(
    tmp_path: Path, photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"text": CLEAN_PROMPT}) + "\n")
    (folder / "b.txt").write_text(f"{CLEAN_PROMPT}\n\n{UNSAFE_PROMPT}")
    assert run(["check", "--prompts", str(folder), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    places = [(Path(line["file"]).name, line["line"], line["decision"]["outcome"]) for line in lines]
    assert places == [("a.jsonl", 1, "allow"), ("b.txt", 1, "allow"), ("b.txt", 3, "block")]

    (photo_file.parent / "broken.png").write_bytes(b"not a picture")
    assert run(["check", "--images", str(photo_file.parent), "--json"]) == 2
    broken, photo = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert broken["error"]["code"] == "asset_invalid"
    assert photo["file"].endswith("photo.png")
    assert photo["decision"]["outcome"] == "allow"
    for missing in ("--prompts", "--images"):
        assert run(["check", missing, str(tmp_path / "none")]) == 2
        assert "There is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "a cat", "n": ' + "9" * 10_000 + "}", "allow"),
        ('{"text": "", "prompt": "a cat"}', "allow"),
        ('{"text": null, "prompt": "a cat"}', "allow"),
        ('{"text": "a cat", "prompt": "a cat"}', "allow"),
        ('{"text": "a cat", "prompt": "a dog"}', "only one can be meant"),
        ('{"text": 7}', "neither a JSON string"),
        ('{"text": "", "prompt": ""}', "The prompt is empty"),
    ],
    ids=lambda given: given[:40],
)
def test_no_field_of_a_line_is_dropped_unsaid(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(f'{line}\n{{"text": "a dog"}}\n')
    assert run(["check", "--prompts", str(prompts), "--json"]) == (0 if said == "allow" else 2)
    first, second = (json.loads(told) for told in capsys.readouterr().out.splitlines())
    assert said in (first["decision"]["outcome"] if "decision" in first else first["error"]["message"])
    assert second["decision"]["outcome"] == "allow"


@pytest.mark.parametrize(("option", "ending"), [("--prompts", ".txt"), ("--images", ".png")])
def test_what_cannot_be_looked_into_gets_a_line(
    option: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mixed"
    (folder / "closed").mkdir(parents=True)
    (folder / f"dangling{ending}").symlink_to("nowhere")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / f"pipe{ending}")
    scan = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)  # for root, no folder is closed
    assert run(["check", option, str(folder), "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {Path(line["file"]).name: line["error"]["message"] for line in lines} == {
        "closed": "The folder cannot be read: Permission denied.",
        f"dangling{ending}": "The file cannot be read: it is a link that leads nowhere.",
        "linked": "A link to a folder is not followed.",
        f"pipe{ending}": "The file cannot be read: it is a pipe, not a file.",
    }


def test_a_pipe_by_itself_is_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for option in ("--image", "--prompts"):
        assert run(["check", option, str(tmp_path / "pipe")]) == 2
        assert "it is a pipe, not a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", "\n\n", "The file holds no prompt."),
        ("a.txt", "", "The file holds no prompt."),
        ("a.json", '[\n  {"text": "a cat"}\n]\n', "The file is one JSON document, not JSON lines."),
        ("a.json", '\n{\n  "text": "a cat"\n}\n', "The file is one JSON document, not JSON lines."),
    ],
)
def test_a_file_without_a_line_of_prompts_is_a_fault(
    name: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert run(["check", "--prompts", str(tmp_path / name), "--json"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["message"] == said


def test_a_refusal_for_what_was_not_looked_at_is_shown_under_no_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "--prompt", RUSSIAN]) == 20
    assert "blocked: not assessed, stage prompt, rule on_not_assessed.prompt" in capsys.readouterr().out
    (tmp_path / "russian.txt").write_text(RUSSIAN)
    assert run(["check", "--prompts", str(tmp_path / "russian.txt")]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split() == ["block", "not", "assessed", "–", "prompt", "on_not_assessed.prompt", "1"]


def test_what_policy_does_not_name_is_said_to_stop_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("countermark.toml").write_text('[safety.prompt]\nentities = ["public_figure"]\n')
    assert run(["check", "--prompt", "a photo of Barack Obama eating an apple"]) == 0
    assert "public_figure was found in the prompt; policy does not name it there" in capsys.readouterr().out


def test_what_a_folder_holds_besides_images_is_told(
    tmp_path: Path, photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert run(["check", "--images", str(folder)]) == 2
    assert "There is no image in" in capsys.readouterr().err
    shutil.copy(photo_file, folder / "again.JFIF")
    (folder / "picture.heic").write_bytes(b"")
    assert run(["check", "--images", str(folder), "--json"]) == 0
    told = capsys.readouterr()
    assert Path(json.loads(told.out)["file"]).name == "again.JFIF"
    assert "Not looked at: 1 other files" in told.err


def test_the_log_can_be_read_proved_and_verified(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", "list", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["type"] == "generation.released"
    for name in ("0", entry["event_id"], entry["output"]["watermark_payload"], entry["output"]["sha256"]):
        assert run(["log", "show", name, "--json"]) == 0
        assert json_of(capsys)["event_id"] == entry["event_id"]
    checkpoint, receipt = tmp_path / "held.txt", tmp_path / "receipt.json"
    assert run(["log", "checkpoint", "-o", str(checkpoint)]) == 0
    assert run(["log", "proof", "0", "-o", str(receipt)]) == 0
    assert run(["verify", str(marked), "--receipt", str(receipt)]) == 0
    assert run(["log", "verify", "--checkpoint", str(checkpoint)]) == 0
    bare = tmp_path / "entry.tlog-proof"
    assert run(["log", "proof", "0", "--format", "tlog-proof", "-o", str(bare)]) == 0
    made = json.loads(receipt.read_text())
    assert TlogProof.parse(bare.read_text()).verify(made["entry"].encode(), made["log_key"]).size == 1
    capsys.readouterr()
    with sqlite3.connect(Path(os.environ["COUNTERMARK_HOME"]) / "audit.db") as db:
        (body,) = db.execute("SELECT body FROM entry WHERE seq = 0").fetchone()
        db.execute("UPDATE entry SET body = ?", (bytes(body).replace(b"test/model", b"test/other"),))
    assert run(["log", "verify", "--json"]) == 13
    found = json_of(capsys)
    assert found["intact"] is False
    assert any(f["index"] == 0 for f in found["findings"])
    assert run(["log", "verify"]) == 13
    assert "entry 0" in capsys.readouterr().out


def test_a_stranger_verifies_with_what_was_exported(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust, receipt, stranger = tmp_path / "trust.json", tmp_path / "receipt.json", tmp_path / "stranger"
    assert run(["keys", "export-trust", "-o", str(trust)]) == 0
    assert "PRIVATE" not in trust.read_text()
    assert run(["log", "proof", "0", "-o", str(receipt)]) == 0
    there = ["verify", str(marked), "--home", str(stranger)]
    assert run(there) == 12
    assert run([*there, "--trust", str(trust)]) == 0
    assert run([*there, "--trust", str(trust), "--receipt", str(receipt)]) == 0
    assert "proved" in capsys.readouterr().out
    assert not stranger.exists()
    assert run(["keys", "init", "--home", str(tmp_path / "another")]) == 0
    assert run(["keys", "export-trust", "-o", str(tmp_path / "another.json"), "--home", str(tmp_path / "another")]) == 0
    assert run([*there, "--trust", str(tmp_path / "another.json")]) == 12
    assert run([*there, "--trust", str(trust), "--trust", str(tmp_path / "another.json")]) == 0
    assert run([*there, "--trust", str(receipt)]) == 2
    assert run([*there, "--bundle", str(trust)]) == 2
    capsys.readouterr()
    assert run([*there, "--receipt", str(tmp_path)]) == 2
    assert "is a folder, not a receipt" in capsys.readouterr().err


def test_an_unknown_entry_says_how_to_find_one(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "show", "deadbeef"]) == 2
    assert "log list" in capsys.readouterr().err


def test_policy_check_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check"]) == 0
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "apiVersion: countermark.policy/v1\nkind: Policy\nmetadata: {id: x, version: '1'}\ncategories: {a: {}}\n"
    )
    capsys.readouterr()
    assert run(["policy", "check", str(bad)]) == 2
    assert f"{bad}:4" in capsys.readouterr().err


def test_policy_check_says_which_stage_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check"]) == 0
    assert "ever stopped" not in capsys.readouterr().out
    (half := tmp_path / "half.yaml").write_text(
        "apiVersion: countermark.policy/v1\nkind: Policy\nmetadata: {id: x, version: '1'}\n"
        "categories: {violence: {prompt: {block: 0.5}}}\n"
    )
    assert run(["policy", "check", str(half)]) == 0
    assert "no image is ever stopped" in capsys.readouterr().out


def test_keys_and_config_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "list"]) == 0
    assert "keys init" in capsys.readouterr().out
    assert run(["keys", "init"]) == 0
    capsys.readouterr()
    assert run(["keys", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["purpose"] for row in listed} == {"watermark", "audit-log", "master", "pseudonym"}
    assert run(["config", "show", "--origin"]) == 0
    assert "environment COUNTERMARK_HOME" in capsys.readouterr().out
    assert run(["doctor", "--json"]) == 0
    health = json_of(capsys)
    assert health["healthy"] is True
    assert {"prompt models", "image models", "policy"} <= {check["name"] for check in health["checks"]}


def test_the_doctor_looks_at_hash_lists_and_at_what_policy_makes_of_their_silence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def checks() -> dict[str, tuple[str, str]]:
        run(["doctor", "--json"])
        return {c["name"]: (c["state"], c["detail"]) for c in json_of(capsys)["checks"] if "hash" in c["name"]}

    assert checks() == {}
    listed = tmp_path / "list.txt"
    listed.write_text(f"{'ab' * 32}\n{'cd' * 32}\n")
    assert run(["hashes", "import", str(listed), "--type", "sha256", "--list", "mine"]) == 0
    capsys.readouterr()
    found = checks()
    assert found["hash list mine"] == ("ok", "2 hashes")
    assert found["hash lists"] == ("warning", "policy lets pass what a list could not be asked about")
    (file,) = Path(os.environ["COUNTERMARK_HOME"]).glob("hashes/mine*")
    file.write_bytes(file.read_bytes()[:-1])
    assert checks()["hash list mine"][0] == "failed"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "--prompt", ""], 2, "empty"),
        (["check", "--prompt", "   \u200b "], 2, "empty"),
        (["check", "--prompt", "x" * 100_000], 2, "100,000 characters"),
        (["verify", "nowhere.png"], 2, "nowhere.png"),
        (["verify", "."], 2, "--recursive"),
        (["mark", "nowhere.png"], 2, "nowhere.png"),
        (["log", "list"], 2, "no audit log"),
        (["generate", CLEAN_PROMPT, "-o", "no/such/folder/x.png"], 2, "mkdir"),
        (["generate", CLEAN_PROMPT, "-o", "picture.bmp"], 2, ".png"),
        (["generate", ""], 2, "empty"),
        (["nonsense"], 2, "No such command"),
        (["verify"], 2, "Missing argument"),
    ],
)
def test_bad_input_gets_a_sentence_a_remedy_and_an_exit_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    streams = capsys.readouterr()
    assert says in streams.err
    assert streams.out == ""
    if arguments[0] != "nonsense" and len(arguments) > 1:
        assert "remedy:" in streams.err


def test_files_that_are_no_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("text.png", b"hello"), ("empty.jpg", b""), ("cut.png", b"\x89PNG\r\n\x1a\n\0\0")):
        path = tmp_path / name
        path.write_bytes(data)
        for command in ("verify", "mark"):
            assert run([command, str(path)]) == 2
            assert name in capsys.readouterr().err


def test_an_error_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "nowhere.png", "--json"]) == 2
    error = json_of(capsys)["error"]
    assert error["code"] == "not_found"
    assert error["remedy"]


def test_a_corrupt_settings_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "countermark.toml").write_text("[watermark\n")
    assert run(["config", "show"]) == 2
    assert "countermark.toml" in capsys.readouterr().err


def test_a_second_process_on_the_same_home_is_refused_and_nothing_is_lost(
    photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import sys; from countermark import Countermark; cm = Countermark.from_settings();"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert run(["mark", str(photo_file)]) == 1
        assert "COUNTERMARK_HOME" in capsys.readouterr().err
        assert not photo_file.with_name("photo-marked.png").exists()
        assert run(["verify", str(photo_file)]) == 10, "reading goes on beside a writer"
        other.communicate("")
    assert run(["mark", str(photo_file)]) == 0


def test_an_unwritable_home_is_a_typed_error(photo_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mark", str(photo_file), "--home", "/proc/countermark"]) == 2
    assert "COUNTERMARK_HOME" in capsys.readouterr().err


def test_help_starts_without_the_heavy_libraries() -> None:
    probe = (
        "import sys; from countermark.cli.main import run; run(['verify', '--help']);"
        "heavy = {'numpy', 'cv2', 'torch', 'onnxruntime', 'c2pa', 'rich'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_verify_needs_no_torch(marked: Path) -> None:
    probe = (
        "import sys; from countermark.cli.main import run; code = run(['verify', sys.argv[1]]);"
        "heavy = {'torch', 'diffusers', 'transformers', 'onnxruntime'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", probe, str(marked)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "VERIFIED" in done.stdout


def test_the_name_of_a_file_cannot_pretend_to_be_a_verdict(
    photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x\n  VERIFIED intact \x1b[32m.png"
    shutil.copy(photo_file, path)
    assert run(["verify", str(path)]) == 10
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert not any(line.strip().startswith("VERIFIED") for line in told.splitlines())


def test_the_name_of_a_file_does_nothing_to_the_terminal(
    photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (evil := tmp_path / "a\x1b[2J\x1b[32m.png").write_bytes(b"no image")
    assert run(["mark", str(evil)]) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert r"a\x1b[2J" in told
    shutil.copy(photo_file, evil)
    assert run(["mark", str(evil)]) == 0
    assert "\x1b" not in capsys.readouterr().out
