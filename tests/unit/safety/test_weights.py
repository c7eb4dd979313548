from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from countermark.errors import WeightsMismatch, WeightsMissing
from countermark.model import Category, FindingState
from countermark.safety import MultilingualPrompts, PromptEnsemble, PromptModel
from countermark.safety import known_words as known_words_module
from countermark.safety import language as language_module
from countermark.safety import lexicon as lexicon_module
from countermark.safety.known_words import known_words
from countermark.safety.language import LANGUAGE_MODEL_FILE, _frequent_words, shipped_language_model
from countermark.safety.lexicon import LEXICON_FILE, WEIGHTS_DIR, shipped_lexicon
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
    for category in (Category.SEXUAL, Category.SEXUAL_MINORS):
        assert "weights_mismatch" in clean[category].reason
        assert ENCODER_FILE in clean[category].reason
        assert "install the package again" in clean[category].reason
    found = {finding.category: finding for finding in stage.assess("a nude child")}
    assert found[Category.SEXUAL_MINORS].severity == 6


DAMAGE = {
    "missing": None,
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "another line": b"a\tb\tc\n",
    "a list": b"- a\n- b\n",
}


@pytest.fixture
def reread() -> Iterator[None]:
    """What is read once a process is read again, in a test and behind it."""
    cached = (shipped_lexicon, known_words, _frequent_words, shipped_language_model)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


@pytest.mark.usefixtures("reread")
@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("name", [LEXICON_FILE, "known_words.yaml", "frequent_words.yaml", LANGUAGE_MODEL_FILE.name])
def test_whatever_is_damaged_is_not_assessed_and_named(
    name: str, content: bytes | None, tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    languages = Path(shutil.copytree(LANGUAGE_MODEL_FILE.parent, tmp_path / "languages")) / LANGUAGE_MODEL_FILE.name
    data = Path(shutil.copytree(known_words_module._FILE.parent, tmp_path / "data"))
    monkeypatch.setattr(lexicon_module, "WEIGHTS_DIR", copied)
    monkeypatch.setattr(known_words_module, "_FILE", data / "known_words.yaml")
    monkeypatch.setattr(language_module, "_WORDS_FILE", data / "frequent_words.yaml")
    monkeypatch.setattr(language_module, "LANGUAGE_MODEL_FILE", languages)
    damaged = next(path for path in (copied / name, data / name, languages) if path.exists() and path.name == name)
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    stage = PromptEnsemble(PromptModel(copied))
    prompt = "a lighthouse on a cliff, a boat below, two gulls above it"
    for finding in stage.assess(prompt):
        if finding.category in stage.categories:
            assert finding.state is FindingState.NOT_ASSESSED
            assert name in finding.reason
            assert "nstall the package again" in finding.reason
    found = {finding.category: finding for finding in stage.assess("a nude child")}
    assert found[Category.SEXUAL_MINORS].severity == 6
    for finding in MultilingualPrompts().assess(prompt):
        assert finding.state is FindingState.NOT_ASSESSED


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
