"""The whole story, and the promises that the README makes about its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import UNSAFE_PROMPT

from countermark.cli.main import run

pytest.importorskip("diffusers", reason="the embedded generator needs the extra 'diffusers'")


def test_the_demo_tells_its_story_and_its_files_prove_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "story"
    done = subprocess.run(
        [sys.executable, "-m", "countermark", "demo", "-o", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        # As a bare container may be set up: what is not ASCII is no reason to end in the middle of the story.
        env=os.environ
        | {"PATH": "", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["tampering_found"] == "edited at 3"
    assert sorted(told["files"]) == sorted(map(str, folder.iterdir())), "all that it left, and nothing else"
    for words in (
        "refused",
        "JPEG quality 50",
        "RECOVERED",
        "TAMPERED",
        "Entry 3 was changed",
        "python -m countermark v",
    ):
        assert words in done.stderr
    pictures = sorted(folder.glob("[123]-*.png"))
    assert len(pictures) == 3
    for picture in pictures:
        assert run(["verify", str(picture)]) == 0
    assert run(["verify", str(folder / "attacked.jpg")]) == 15
    assert run(["verify", str(folder / "edited.png")]) == 11
    assert run(["verify", str(pictures[0]), "--receipt", str(folder / "receipt.json")]) == 0
    assert run(["log", "verify", "--checkpoint", str(folder / "checkpoint.txt")]) == 0
    assert run(["log", "verify", "--store", str(folder / "tampered-audit.db")]) == 13
    checked = subprocess.run(
        [sys.executable, str(Path(__file__).parents[2] / "audit" / "verify_log.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0
    capsys.readouterr()
    assert run(["log", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["type"] for row in listed] == ["generation.refused"] + ["generation.released"] * 3


def test_generate_writes_a_verified_file_and_the_same_seed_draws_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from countermark.imaging import decode

    prompt = "a green boat on the sea at night"
    first, second = tmp_path / "first.png", tmp_path / "second.jpg"
    assert run(["generate", prompt, "-o", str(first), "--seed", "5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "countermark.result/1"
    assert answer["outcome"] == "released"
    assert prompt not in json.dumps(answer)
    assert run(["generate", prompt, "-o", str(second), "--seed", "5"]) == 0
    assert run(["verify", str(first), str(second)]) == 0
    difference = decode(first.read_bytes()).pixels.astype(int) - decode(second.read_bytes()).pixels.astype(int)
    assert abs(difference).mean() < 6, "only the two watermarks and the JPEG differ"


def test_a_refused_prompt_writes_nothing_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "never.png"
    assert run(["generate", UNSAFE_PROMPT, "-o", str(target)]) == 20
    out = capsys.readouterr().out
    assert "category" in out
    assert "rule" in out
    assert not target.exists()


def test_a_request_that_cannot_be_met_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "a boat on the sea", "--width", "5"]) == 2
    assert "width" in capsys.readouterr().err
