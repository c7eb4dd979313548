from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from countermark.errors import WeightsMismatch, WeightsMissing
from countermark.model import Category, FindingState
from countermark.safety import PromptEnsemble, PromptModel
from countermark.safety.lexicon import WEIGHTS_DIR
from countermark.safety.ngrams import FEATURES, features
from countermark.safety.prompt_model import CALIBRATION_FILE, ENCODER_FILE, NGRAM_FILE
from countermark.safety.weights import MANIFEST, WeightFiles

MODEL_CATEGORIES = {
    Category.SEXUAL, Category.VIOLENCE, Category.GRAPHIC, Category.HATE, Category.SELF_HARM, Category.HARASSMENT,
    Category.ILLICIT,
}  # fmt: skip


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WEIGHTS_DIR, tmp_path / "weights"))


def test_the_shipped_files_are_the_released_ones_and_small() -> None:
    WeightFiles(WEIGHTS_DIR).check_all()
    assert (WEIGHTS_DIR / ENCODER_FILE).stat().st_size < 23.5e6


@pytest.mark.parametrize("name", [ENCODER_FILE, NGRAM_FILE, CALIBRATION_FILE])
def test_an_altered_file_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(WeightsMismatch, match=name):
        PromptModel(copied, verify=True)


def test_a_missing_file_is_refused(copied: Path) -> None:
    (copied / ENCODER_FILE).unlink()
    with pytest.raises(WeightsMissing, match=ENCODER_FILE):
        PromptModel(copied, verify=True)


def test_a_manifest_that_does_not_name_a_file_is_refused(copied: Path) -> None:
    (copied / MANIFEST).write_text('{"files": {}}', encoding="utf-8")
    with pytest.raises(WeightsMissing, match="does not name"):
        PromptModel(copied, verify=True)


def test_without_its_weights_nothing_is_cleared_but_the_rules_still_find(copied: Path) -> None:
    (copied / ENCODER_FILE).write_bytes(b"altered")
    stage = PromptEnsemble(PromptModel(copied))
    clean = {finding.category: finding for finding in stage.assess("a lighthouse at dusk")}
    for category in (*MODEL_CATEGORIES, Category.SEXUAL_MINORS):
        assert clean[category].state is FindingState.NOT_ASSESSED
        assert clean[category].reason
    assert "weights_mismatch" in clean[Category.SEXUAL].reason
    found = {finding.category: finding for finding in stage.assess("a nude child")}
    assert found[Category.SEXUAL_MINORS].severity == 6


def test_the_digest_of_the_detector_follows_the_weights(copied: Path) -> None:
    before = PromptModel(copied).detector.digest
    (copied / MANIFEST).write_text('{"files": {"a": "b"}}', encoding="utf-8")
    assert PromptModel(copied).detector.digest not in (None, before)


def test_ngram_features_have_unit_length_in_each_block() -> None:
    columns, values = features("a naked woman")
    assert columns.max() < FEATURES
    assert values[columns < FEATURES // 2] @ values[columns < FEATURES // 2] == pytest.approx(1.0)
    assert values[columns >= FEATURES // 2] @ values[columns >= FEATURES // 2] == pytest.approx(1.0)
    assert len(features("")[0]) == 0
