"""Whether a picture shows what its prompt asks for: on a tiny CLIP and a tiny SigLIP in the real classes.

How well published ones tell pictures apart is not tested here; that they are asked as their authors ask them, and that
whatever goes wrong reads "not assessed", is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import photograph

from countermark.model import MAX_PROMPT_CHARS, Category, Finding, FindingState
from countermark.safety import ImageClassifier
from countermark.safety.adapters import options as kinds
from countermark.safety.adapters.build import image_opinion
from countermark.safety.adapters.captions import EVERYDAY
from countermark.safety.known import KnowingImageClassifier, Known, look_at

_LACKING = "is not installed: pip install 'countermark[diffusers]'"
torch = pytest.importorskip("torch", reason=f"torch {_LACKING}")
pytest.importorskip("transformers", reason=f"transformers {_LACKING}")
pytest.importorskip("diffusers", reason=f"diffusers {_LACKING}")
tiny = pytest.importorskip("tests.contract.tiny_models")

PHOTO = photograph("coffee", 96)
PROMPT = "a red boat on the sea"
PROMPTS = (PROMPT, "a dog", "text", "red", "the sea", "a boat with a cat", "a printed page of the map")


@pytest.fixture(scope="module", params=["clip", "siglip"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("pairs") / request.param
    return folder, tiny.save_pair_model(folder, siglip=request.param == "siglip")


def opinion_of(folder: Path, **more: Any) -> Any:
    return image_opinion(kinds.PromptAgreementOptions(kind="prompt-agreement", model=str(folder), **more))


def ask(opinion: Any, prompt: str, pixels: Any = PHOTO) -> Finding:
    (finding,) = look_at(opinion, pixels, Known(prompt=prompt))
    assert finding.category is Category.PROMPT_MISMATCH
    assert finding.detector == opinion.detector
    return finding


def logits(folder: Path, model: Any, texts: list[str], pixels: Any = PHOTO) -> Any:
    """What the model itself makes of image and texts, called as its authors call it."""
    from transformers import AutoImageProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    given = tokenizer(texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
    given.pop("token_type_ids", None)
    image = processor(images=[Image.fromarray(pixels)], return_tensors="pt")
    with torch.inference_mode():
        return model(**given, **image).logits_per_image[0]


def test_the_prompt_is_ranked_as_the_model_itself_ranks_it(pair: tuple[Path, Any]) -> None:
    folder, model = pair
    cases = [(prompt, photograph(name, 96)) for prompt in PROMPTS for name in ("coffee", "astronaut")]
    counts = []
    for prompt, pixels in cases:
        own, *others = logits(folder, model, [prompt, *EVERYDAY], pixels).tolist()
        counts.append(sum(other >= own for other in others))
    assert len(set(counts)) > 2, "a model that finds all alike would show nothing"
    least = sorted(counts)[len(counts) // 2]  # from here on a mismatch, so that both outcomes are seen
    opinion = opinion_of(folder, review=(least - 0.5) / len(EVERYDAY), block=0.99)
    assert isinstance(opinion, ImageClassifier)
    assert isinstance(opinion, KnowingImageClassifier)
    for (prompt, pixels), count in zip(cases, counts, strict=True):
        finding = ask(opinion, prompt, pixels)
        assert finding.reason.startswith(f"{count} of {len(EVERYDAY)} "), prompt
        assert (finding.severity, (finding.score or 0) >= 0.5) == ((2, True) if count >= least else (0, False))


def test_a_mismatch_is_never_more_than_a_reason_to_look(pair: tuple[Path, Any]) -> None:
    opinion = opinion_of(pair[0], review=0.001, block=0.002)
    findings = [ask(opinion, prompt) for prompt in ("a dog", "the sea of the cat", "a page of a map", PROMPT)]
    assert max(finding.severity for finding in findings) == 2


def test_the_reason_never_quotes_the_prompt(pair: tuple[Path, Any]) -> None:
    finding = ask(opinion_of(pair[0]), "a dog zanzibar")
    assert "zanzibar" not in finding.model_dump_json()


def test_without_a_prompt_there_is_nothing_to_compare(pair: tuple[Path, Any]) -> None:
    opinion = opinion_of(pair[0])
    for findings in (opinion.assess(PHOTO), look_at(opinion, PHOTO), look_at(opinion, PHOTO, Known(prompt="  "))):
        (finding,) = findings
        assert finding.state is FindingState.NOT_ASSESSED
        assert "no prompt is known" in finding.reason


def test_a_language_that_the_model_does_not_read_is_not_assessed(pair: tuple[Path, Any]) -> None:
    prompt = "ein rotes Boot auf dem Meer bei Sonnenuntergang"
    finding = ask(opinion_of(pair[0]), prompt)
    assert finding.state is FindingState.NOT_ASSESSED
    assert "another language" in finding.reason
    assert ask(opinion_of(pair[0], multilingual=True), prompt).state is FindingState.ASSESSED


def test_a_long_prompt_is_compared_whole(pair: tuple[Path, Any]) -> None:
    from transformers import AutoTokenizer

    from countermark.safety.adapters.prompt_agreement import windows

    tokenizer = AutoTokenizer.from_pretrained(pair[0])
    long = " ".join(["a red boat on the sea"] * 9)
    parts = list(windows(long, tokenizer, 16))
    assert " ".join(parts) == long
    assert len(parts) > 1
    assert all(len(tokenizer(part)["input_ids"]) <= 16 for part in parts)
    tags = list(windows(",".join(["red", "boat", "sea"] * 9), tokenizer, 16))
    assert len(tags) > 1
    assert " ".join(tags).replace(",", "").split() == ["red", "boat", "sea"] * 9
    assert ask(opinion_of(pair[0]), "a " * (MAX_PROMPT_CHARS // 2)).state is FindingState.ASSESSED


def test_a_wide_picture_is_looked_at_from_edge_to_edge(pair: tuple[Path, Any]) -> None:
    opinion = opinion_of(pair[0])
    grey = np.full((96, 400, 3), 128, np.uint8)
    corner = grey.copy()
    corner[:, -96:] = PHOTO
    assert any(ask(opinion, p, grey).reason != ask(opinion, p, corner).reason for p in EVERYDAY)


def test_what_nobody_could_recognise_is_not_assessed(pair: tuple[Path, Any]) -> None:
    opinion = opinion_of(pair[0])
    for pixels in (np.zeros((1, 1, 3), np.uint8), np.zeros((32, 400, 3), np.uint8), np.zeros((96, 96, 4), np.uint8)):
        assert ask(opinion, PROMPT, pixels).state is FindingState.NOT_ASSESSED


def test_a_missing_altered_or_other_model_is_not_assessed(pair: tuple[Path, Any], tmp_path: Path) -> None:
    missing = ask(opinion_of(tmp_path / "nowhere"), PROMPT)
    assert (missing.state, "weights_missing" in missing.reason) == (FindingState.NOT_ASSESSED, True)
    altered = ask(opinion_of(pair[0], digest="0" * 64), PROMPT)
    assert (altered.state, "weights_mismatch" in altered.reason) == (FindingState.NOT_ASSESSED, True)
    tiny.save_text_classifier(tmp_path / "other", ["SAFE", "NSFW"])
    other = ask(opinion_of(tmp_path / "other"), PROMPT)
    assert other.state is FindingState.NOT_ASSESSED


def test_a_model_that_gives_no_number_closes(pair: tuple[Path, Any], tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(pair[0], broken)
    weights = load_file(broken / "model.safetensors")
    weights = {name: weight * float("nan") if "vision" in name else weight for name, weight in weights.items()}
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    finding = ask(opinion_of(broken), PROMPT)
    assert (finding.state, "gave no number" in finding.reason) == (FindingState.NOT_ASSESSED, True)


def test_the_captions_are_as_the_docs_say() -> None:
    assert len(set(EVERYDAY)) == len(EVERYDAY) == 40
    assert json.dumps(EVERYDAY).isascii()
