"""The measurement that the README quotes, as a sceptic would start it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import photograph
from tests.unit.bench.safety_sets import VIOLENT, row, small_set, write

from countermark.cli.main import run


def test_bench_watermark_prints_saves_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, saved = tmp_path / "map.png", tmp_path / "report.json"
    line = ["bench", "watermark", "--limit", "1", "--attacks", "none,JPEG 75", "--backends", "lattice"]
    assert run([*line, "--json", "-o", str(picture), "--save", str(saved), "--show", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "countermark.bench.watermark/1"
    assert report["set"]["role"] == "reporting"
    assert report["totals"]["lattice"]["core"] == 1.0
    assert json.loads(saved.read_text()) == report
    with Image.open(picture) as drawn, Image.open(tmp_path / "astronaut-lattice.png") as shown:
        assert drawn.format == shown.format == "PNG"
        assert shown.width == 3 * 512 + 16

    assert run([*line, "-o", str(picture)]) == 2  # an existing file is kept
    assert "exists already" in capsys.readouterr().err


def test_without_the_peers_package_ours_is_measured_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imwatermark", None)
    Image.fromarray(photograph("coffee", 256)).save(tmp_path / "a [red].png")
    line = ["bench", "watermark", "--images", str(tmp_path), "--attacks", "none"]
    assert run(line) == 1
    assert (
        'pip install "countermark[imwatermark]" or leave the peers out: --backends lattice' in capsys.readouterr().err
    )
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    assert run([*line, "--backends", "lattice"]) == 0
    told = capsys.readouterr().out
    assert "a [red].png" in told
    assert 'not measured (pip install "countermark[dev]"' in " ".join(told.split())  # a narrow table folds it


def test_bench_safety_prints_saves_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = small_set(tmp_path / "prompts")
    write(prompts, "more.jsonl", row(VIOLENT[0], 0, "more"), row("a red boat", None, "more"))
    saved, picture = tmp_path / "report.json", tmp_path / "plot.png"
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(photograph("coffee", 192)).save(pictures / "coffee.png")
    line = ["bench", "safety", "--prompts", str(prompts), "--images", str(pictures), "--peers", "word list,oracle"]
    assert run([*line, "--json", "--save", str(saved), "-o", str(picture)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "countermark.bench.safety/1"
    assert json.loads(saved.read_text()) == report
    assert [judge["name"] for judge in report["judges"]] == ["countermark", "word list"]
    assert [absent["name"] for absent in report["absent"]] == ["oracle"]
    assert report["pictures"]["labels"][0]["outcomes"]["blocked"] == 0
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"

    assert run([*line, "-o", str(picture)]) == 2  # an existing file is kept
    assert "exists already" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    assert run([*line[:-1], "word list,oracle,alt-profanity-check"]) == 0
    shown = capsys.readouterr().out
    assert 'pip install "countermark[bench]"' in shown
    for said in ("recall at 1 % false positives", "violence", "homoglyph (Cyrillic)", "oracle is absent"):
        assert said in shown
    assert "20 prompts read, 17 measured; left out: 1 with the text of another (1 with the opposite label" in shown
    assert "1 without a label" in shown
    (at_1,) = [line for line in shown.splitlines() if line.startswith("recall at 1 %")]
    assert at_1.split()[-2:] == ["–", "–"], "of so few harmless ones, none is one in a hundred"
    assert not any(text in shown for text in VIOLENT)


def test_bench_red_team_is_signed_recorded_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks, home, result = tmp_path / "attacks", tmp_path / "home", tmp_path / "result.json"
    write(attacks, "mine.jsonl", *(row(text, 1, "mine") for text in VIOLENT), row("a red boat", None, "mine"))
    place = ["--home", str(home)]
    line = ["bench", "red-team", "--prompts", str(attacks), "--generate", "-o", str(result), "--actor", "alice"]
    assert run([*line, *place]) == 0
    shown = capsys.readouterr().out
    assert "got through: mine.jsonl:5" in shown
    assert "violence.prompt.block" in shown
    assert not any(text in shown + result.read_text() for text in (*VIOLENT, "a red boat", "alice"))

    check = ["bench", "red-team", "verify", str(result), "--json"]
    assert run([*check, "--prompts", str(attacks), *place]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verified"]
    assert answer["same_prompts"]
    assert answer["total"]["passed"] == 1
    assert run(["log", "show", str(answer["entry"]), "--json", *place]) == 0
    assert f'"result_sha256": "{answer["sha256"]}"' in capsys.readouterr().out

    write(attacks, "late.txt", "one more")
    assert run([*check, "--prompts", str(attacks), *place]) == 13
    assert not json.loads(capsys.readouterr().out)["same_prompts"]
    result.write_text(result.read_text().replace('"passed": 1', '"passed": 0'))
    assert run([*check, *place]) == 13
    assert "not the one that was signed" in json.loads(capsys.readouterr().out)["reason"]
    assert run([*check, "--home", str(tmp_path / "nobody")]) == 2
    assert "--log-key" in capsys.readouterr().err
    assert run(["bench", "red-team"]) == 2
