"""Hash lists from the command line to the refusal, and what is told of a hit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given, photograph

from countermark import Countermark
from countermark.cli.main import run
from countermark.fingerprint import pdq
from countermark.imaging import Raster, encode
from countermark.model import Category, EventType, GenerationRequest
from countermark.observe import configure
from countermark.policy import Policy
from countermark.safety import ImageEnsemble
from countermark.settings import Settings
from countermark.yaml_file import parse_yaml


@pytest.fixture
def listed(tmp_path: Path, settings: Settings, photo: NDArray[np.uint8]) -> str:
    """The PDQ hash of the photograph, on the list "ours"."""
    bits = pdq.compute(photo).bits
    source = tmp_path / "ours.csv"
    source.write_text(f"hash,type\n{bits},pdq\n{'ab' * 16},md5\n")
    assert run(["hashes", "import", str(source), "--list", "ours", "--home", str(settings.home)]) == 2
    skip = ["--skip-other-types", "--home", str(settings.home)]
    assert run(["hashes", "import", str(source), "--list", "ours", *skip]) == 0
    return bits


@pytest.fixture
def rules() -> Policy:
    text = b"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: lists, version: "1"}
categories:
  hash_match: {image: {severity: {review: 2, block: 6}}}
"""
    return parse_yaml(text, "lists.yaml", Policy)


def test_lists_are_imported_shown_asked_and_removed(
    tmp_path: Path, settings: Settings, listed: str, photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(settings.home)]
    on_list, elsewhere = tmp_path / "on.png", tmp_path / "off.png"
    on_list.write_bytes(encode(Raster(np.ascontiguousarray(photo[:, ::-1])), "image/jpeg"))
    elsewhere.write_bytes(encode(Raster(photograph("astronaut")), "image/png"))
    capsys.readouterr()
    assert run(["hashes", "list", "--json", *home]) == 0
    (row,) = json.loads(capsys.readouterr().out)["lists"]
    assert (row["list"], row["pdq"], row["sha256"], len(row["digest"])) == ("ours", 1, 0, 64)
    assert run(["hashes", "check", str(on_list), *home]) == 20
    assert "on the list 'ours': PDQ, " in capsys.readouterr().out
    assert run(["hashes", "check", str(elsewhere), "--json", *home]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["score"] == 0.0
    (file,) = (settings.home / "hashes").glob("ours*")
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    assert run(["hashes", "list", *home]) == 1
    assert run(["hashes", "check", str(on_list), *home]) == 21
    file.write_bytes(good)
    assert run(["hashes", "remove", "ours", *home]) == 0
    assert run(["hashes", "remove", "ours", *home]) == 2
    assert run(["hashes", "check", str(on_list), *home]) == 21


def test_a_picture_in_the_alpha_plane_is_looked_up_as_it_is_seen(
    tmp_path: Path, settings: Settings, listed: str, photo: NDArray[np.uint8]
) -> None:
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    veiled = Image.fromarray(np.dstack([np.full_like(photo, 255), grey]))  # white, and plain unless it lies on black
    veiled.save(tmp_path / "veiled.png")
    for command in (["hashes", "check"], ["check", "--image"]):
        assert run([*command, str(tmp_path / "veiled.png"), "--home", str(settings.home)]) == 20


def test_a_generated_look_alike_is_refused_and_the_hash_told_nowhere(
    settings: Settings,
    listed: str,
    rules: Policy,
    photo: NDArray[np.uint8],
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(level="debug", style="json")
    with Countermark(settings, policy=rules) as cm:
        turned = np.ascontiguousarray(np.rot90(photo))
        result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(turned))[0]
        other = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("astronaut")))[0]
        event = cm.log.event(result.index)
    configure()
    assert (result.outcome, other.outcome) == ("refused", "released")
    assert (result.decision.category, result.decision.severity) == (Category.HASH_MATCH, 6)
    assert event.type is EventType.REFUSED
    (check,) = [check for check in event.checks if check.category is Category.HASH_MATCH]
    assert "'ours'" in check.reason
    assert check.digest is not None, "the record says which lists were in use"
    streams = capsys.readouterr()
    told = streams.out + streams.err + event.model_dump_json()
    for form in pdq.dihedral(photo):
        assert form.bits not in told


def test_the_very_file_is_refused_by_its_bytes(
    tmp_path: Path, settings: Settings, rules: Policy, photo: NDArray[np.uint8]
) -> None:
    data = encode(Raster(photo), "image/jpeg")
    source = tmp_path / "files.txt"
    source.write_text(hashlib.sha256(data).hexdigest())
    home = ["--home", str(settings.home)]
    assert run(["hashes", "import", str(source), "--list", "files", "--type", "sha256", *home]) == 0
    with Countermark(settings, policy=rules) as cm:
        assert cm.mark(data, model="elsewhere/model").outcome == "refused"
        findings, decision = cm.check(image=data)
        assert decision.outcome == "block"
        generated = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]
    assert any("SHA-256" in finding.reason for finding in findings)
    assert generated.decision.rule == "on_not_assessed.image"


def test_a_damaged_list_stops_under_the_shipped_policy(
    tmp_path: Path, settings: Settings, photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    picture, source = tmp_path / "photo.png", tmp_path / "files.txt"
    picture.write_bytes(encode(Raster(photo), "image/png"))
    source.write_text(hashlib.sha256(picture.read_bytes()).hexdigest())
    home = ["--home", str(settings.home)]
    assert run(["check", "--image", str(picture), *home]) == 0, "no list has been imported"
    assert run(["hashes", "import", str(source), "--list", "files", "--type", "sha256", *home]) == 0
    assert run(["check", "--image", str(picture), *home]) == 20
    (file,) = (settings.home / "hashes").iterdir()
    file.write_bytes(file.read_bytes() + b"xx")
    capsys.readouterr()
    assert run(["check", "--image", str(picture), "--json", *home]) == 20
    decision = json.loads(capsys.readouterr().out)["decision"]
    assert (decision["category"], decision["rule"]) == (None, "on_not_assessed.image")
    assert decision["reasons"] == [
        "hash_match was not assessed: the hash list 'files' cannot be used (hash_list_damaged)."
    ]


def test_with_no_list_a_policy_that_names_them_stops(
    build: Callable[..., Countermark], rules: Policy, photo: NDArray[np.uint8], image_safety: ImageEnsemble
) -> None:
    cm = build(policy=rules, image_safety=None)
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]
    assert result.outcome == "refused"
    assert "no hash list has been imported" in result.decision.reasons[0]
