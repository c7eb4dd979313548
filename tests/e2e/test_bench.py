"""The measurement that the README quotes, as a sceptic would start it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

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
