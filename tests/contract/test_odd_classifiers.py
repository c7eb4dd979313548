"""Classifiers of transformers as they are published: odd labels, half precision, tokenizers written in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.conftest import photograph

from countermark.errors import EnvironmentLacking, SettingsInvalid
from countermark.model import Category, Finding, FindingState
from countermark.safety.adapters import options as kinds
from countermark.safety.adapters.build import image_opinion, prompt_opinion

_LACKING = "is not installed: pip install 'countermark[diffusers]'"
torch = pytest.importorskip("torch", reason=f"torch {_LACKING}")
transformers = pytest.importorskip("transformers", reason=f"transformers {_LACKING}")
tiny = pytest.importorskip("tests.contract.tiny_models")

TOXIC = {"toxic": "harassment", "threat": "violence"}


def asked(folder: Path, labels: dict[str, str], text: str = "a cat", **more: Any) -> dict[Category, Finding]:
    options = {"kind": "text-classification", "model": str(folder), "labels": labels, **more}
    opinion = prompt_opinion(kinds.TextClassificationOptions.model_validate(options))
    opinion.load()
    return {finding.category: finding for finding in opinion.assess(text)}


def rewritten(folder: Path, **changes: Any) -> None:
    """Change the configuration of a saved model."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def logits(folder: Path, text: str = "a cat") -> Any:
    """What the model itself gives for one text."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits[0]


def test_independent_labels_are_not_shared_out_where_the_settings_say_so(tmp_path: Path) -> None:
    """Of three labels that all hold, none would have more than a third: an all-clear for what is all three."""
    tiny.save_text_classifier(tmp_path, ["toxic", "insult", "threat"])
    own = logits(tmp_path)
    for exclusive, probabilities in ((False, own.sigmoid()), (True, own.softmax(-1)), (None, own.softmax(-1))):
        findings = asked(tmp_path, TOXIC, exclusive=exclusive)
        assert findings[Category.HARASSMENT].score == pytest.approx(float(probabilities[0]), abs=1e-5)
        assert findings[Category.VIOLENCE].score == pytest.approx(float(probabilities[2]), abs=1e-5)


def test_a_model_with_nothing_harmless_left_is_refused(tmp_path: Path) -> None:
    tiny.save_text_classifier(tmp_path, ["toxic", "threat"])
    with pytest.raises(SettingsInvalid, match="everything would be unsafe"):
        asked(tmp_path, TOXIC)
    assert len(asked(tmp_path, TOXIC, exclusive=False)) == 2


def test_numbers_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    tiny.save_text_classifier(tmp_path, ["toxic", "threat"])
    rewritten(tmp_path, problem_type="regression")
    with pytest.raises(SettingsInvalid, match="regression"):
        asked(tmp_path, {"toxic": "harassment"})


def test_a_label_that_stands_twice_counts_twice(tmp_path: Path) -> None:
    tiny.save_text_classifier(tmp_path, ["a", "b", "c"])
    own = logits(tmp_path).softmax(-1)
    rewritten(tmp_path, id2label={"0": "fine", "1": "toxic", "2": "toxic"}, label2id={"fine": 0, "toxic": 2})
    found = asked(tmp_path, {"toxic": "harassment"})[Category.HARASSMENT]
    assert found.score == pytest.approx(float(own[1] + own[2]), abs=1e-5)


def test_what_a_tokenizer_written_in_python_would_drop_is_read(tmp_path: Path) -> None:
    """BERTweet's has no windows: it gives the first and says nothing of the rest."""
    (tmp_path / "vocab.txt").write_text("a 1\ncat 1\nknife 1\n")
    merges = "".join(f"{pair} 1\n" for pair in ("c a", "ca t</w>", "k n", "kn i", "kni f", "knif e</w>"))
    (tmp_path / "bpe.codes").write_text(merges)
    tokenizer = transformers.BertweetTokenizer(
        str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes"), model_max_length=16
    )
    torch.manual_seed(1)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=18,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
        id2label={0: "fine", 1: "toxic"},
        label2id={"fine": 0, "toxic": 1},
    )
    transformers.RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "bpe.codes").write_text(merges)  # transformers writes them without the count that it expects to read

    def said(text: str) -> float:
        score = asked(tmp_path, {"toxic": "harassment"}, text)[Category.HARASSMENT].score
        assert score is not None
        return score

    cats, knives = " ".join(["cat"] * 14), " ".join(["knife"] * 14)
    windows = [float(logits(tmp_path, text).softmax(-1)[1]) for text in (cats, knives)]
    assert abs(windows[0] - windows[1]) > 0.01
    assert [said(cats), said(knives)] == pytest.approx(windows, abs=1e-4)
    for text in (f"{cats} {cats} {knives} {knives}", f"{knives} {knives} {cats} {cats}"):
        assert said(text) >= max(windows) - 1e-4


def test_a_model_that_cannot_be_asked_is_none_before_the_first_prompt(tmp_path: Path) -> None:
    """``doctor`` loads and sends nothing: what only a question would show is found out by asking one."""
    tiny.save_text_classifier(tmp_path, ["fine", "toxic"])
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "pad_token"}))
    with pytest.raises(EnvironmentLacking, match="cannot be loaded"):
        asked(tmp_path, {"toxic": "harassment"})


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_an_image_model_in_half_precision_answers(tmp_path: Path, precision: str) -> None:
    labels = {"id2label": {0: "fine", 1: "nude"}, "label2id": {"fine": 0, "nude": 1}}
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], image_size=64, **labels)
    torch.manual_seed(0)
    whole = transformers.ConvNextForImageClassification(config).eval()
    whole.to(getattr(torch, precision)).save_pretrained(tmp_path)
    processor = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}, "crop_pct": 0.875}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    options = {"kind": "image-classification", "model": str(tmp_path), "labels": {"nude": "sexual"}}
    opinion = image_opinion(kinds.ImageClassificationOptions.model_validate(options))
    (finding,) = opinion.assess(photograph("coffee", 96))
    assert finding.state is FindingState.ASSESSED, finding.reason


@pytest.mark.parametrize(
    ("kind", "labels", "why"),
    [
        ("text-classification", {"toxic": "hash_match"}, "images alone"),
        ("text-classification", {"toxic": "prompt_mismatch"}, "images alone"),
        ("llama-guard", {"S1": "text_in_image"}, "images alone"),
        ("llama-guard", {"s12": "sexual"}, "no code s12"),
        ("llama-guard", {"S12": "sexual", "S15": "hate"}, "no code S15"),
    ],
)
def test_labels_that_could_find_nothing_are_refused(kind: str, labels: dict[str, str], why: str) -> None:
    model = kinds.LlamaGuardOptions if kind == "llama-guard" else kinds.TextClassificationOptions
    with pytest.raises(ValidationError, match=why):
        model.model_validate({"kind": kind, "model": "x", "labels": labels})
