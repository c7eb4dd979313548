from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from countermark.errors import MissingExtra, WeightsMismatch, WeightsMissing
from countermark.model import Category, Finding, FindingState, Stage
from countermark.safety import ImageClassifier, PromptEnsemble, TextInImage, text_in_image, text_reader
from countermark.safety.combine import CombinedImageClassifier
from countermark.safety.interface import IMAGE_CATEGORIES
from countermark.safety.text_reader import FINDER, READER, TextReader

Pixels = NDArray[np.uint8]

UNSAFE = "porn stars live sex"
HARMLESS = "fresh bread and coffee"
PHOTOGRAPHS: dict[str, Pixels] = {
    "astronaut": skimage.data.astronaut(),
    "coffee": skimage.data.coffee(),
    "cat": skimage.data.chelsea(),
    "rocket": skimage.data.rocket(),
    "china": load_sample_images().images[0],
    "coins": np.stack([skimage.data.coins()] * 3, axis=-1),
}


def with_text(text: str, *, size: int = 32, turn: float = 0, background: Pixels | None = None) -> Pixels:
    picture = PHOTOGRAPHS["coffee"] if background is None else background
    layer = Image.new("RGBA", (picture.shape[1], picture.shape[0]))
    draw = ImageDraw.Draw(layer)
    ink = {"fill": (255, 255, 255, 255), "stroke_width": max(1, size // 16), "stroke_fill": (0, 0, 0, 255)}
    draw.multiline_text((60, 120), text, font=ImageFont.load_default(size), **ink)
    layer = layer.rotate(turn, Image.Resampling.BICUBIC)
    return np.array(Image.alpha_composite(Image.fromarray(picture).convert("RGBA"), layer).convert("RGB"))


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(threads=1)


@pytest.fixture(scope="module")
def texts(prompts: PromptEnsemble, reader: TextReader) -> TextInImage:
    return TextInImage(prompts, reader)


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    assert finding.category is Category.TEXT_IN_IMAGE
    assert finding.stage is Stage.IMAGE
    return finding


def test_it_is_an_image_classifier_for_one_category(texts: TextInImage) -> None:
    assert isinstance(texts, ImageClassifier)
    assert texts.categories == {Category.TEXT_IN_IMAGE}


@pytest.mark.parametrize("turn", [0, 180, 10])
@pytest.mark.parametrize("size", [14, 40])
def test_text_is_read_whichever_way_up(reader: TextReader, turn: float, size: int) -> None:
    lines, more = reader.read(with_text(HARMLESS, size=size, turn=turn))
    line = max(lines, key=lambda line: len(line.text))
    assert line.text.replace(" ", "") == HARMLESS.replace(" ", "")
    assert line.confidence > 0.9
    assert line.turned == (turn == 180)
    assert not more


def test_lines_come_in_the_order_of_reading(reader: TextReader) -> None:
    lines, _ = reader.read(with_text("first line here\nsecond line here\nthird line here"))
    assert [line.text.split()[0] for line in lines if line.confidence > 0.9] == ["first", "second", "third"]


def test_it_reads_as_rapidocr_does(reader: TextReader) -> None:
    from rapidocr import RapidOCR

    spec = find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    params = {"Global.use_cls": False, "Det.model_path": str(folder / FINDER), "Rec.model_path": str(folder / READER)}
    theirs = RapidOCR(params={**params, "Global.log_level": "critical"})
    picture = with_text("keep calm and\ncarry on 2026")
    expected = [text for text, score in zip(*_texts_of(theirs(picture[:, :, ::-1])), strict=True) if score > 0.9]
    assert [line.text for line in reader.read(picture)[0] if line.confidence > 0.9] == expected


def _texts_of(output: object) -> tuple[tuple[str, ...], tuple[float, ...]]:
    return output.txts, output.scores  # type: ignore[attr-defined]


@pytest.mark.parametrize("turn", [0, 180])
def test_a_slogan_is_named_by_what_it_says_and_never_quoted(texts: TextInImage, turn: float) -> None:
    finding = only(texts.assess(with_text(UNSAFE, turn=turn)))
    assert finding.severity >= 4
    assert finding.score is not None
    assert finding.score > 0.5
    assert "reads as sexual" in finding.reason
    assert f"text:{Category.SEXUAL}" in finding.signals
    assert ("upside_down" in finding.signals) == (turn == 180)
    said = " ".join([finding.reason, *finding.signals])
    assert not any(word in said for word in UNSAFE.split() if word != "sex")
    regions = finding.regions
    assert {region.label for region in regions} == {"text"}
    middle = 0.5 * (min(region.top for region in regions) + max(region.bottom for region in regions))
    assert (middle > 0.5) == (turn == 180)


def test_a_slogan_among_harmless_lines_is_found(texts: TextInImage) -> None:
    finding = only(texts.assess(with_text(f"{HARMLESS}\nopen all night\n{UNSAFE}\nthank you for your visit")))
    assert finding.severity >= 4


def test_a_slogan_over_several_lines_is_found(texts: TextInImage) -> None:
    assert only(texts.assess(with_text(UNSAFE.replace(" ", "\n")))).severity >= 4


def test_harmless_text_passes(texts: TextInImage) -> None:
    finding = only(texts.assess(with_text(HARMLESS)))
    assert finding.state is FindingState.ASSESSED
    assert finding.severity == 0
    assert "harmless" in finding.reason
    assert finding.regions == ()


def test_one_word_is_not_enough_unless_a_list_has_it(texts: TextInImage) -> None:
    finding = only(texts.assess(with_text("porn", size=48)))
    assert (finding.score, finding.severity) == (0.0, 0)
    assert "fewer than two words" in finding.reason
    listed = only(texts.assess(with_text("14/88", size=48)))
    assert listed.severity == 6
    assert listed.signals == (f"text:{Category.HATE}",)


def test_what_a_list_finds_counts_where_nobody_clears_the_category(texts: TextInImage, prompts: PromptEnsemble) -> None:
    assert Category.EXTREMISM not in prompts.categories
    finding = only(texts.assess(with_text("join isis today brothers")))
    assert finding.severity == 6
    assert f"text:{Category.EXTREMISM}" in finding.signals


def in_a_mirror(text: str) -> Pixels:
    """Writing that is plainly there and that the reader does not read."""
    paper = Image.new("RGB", (1000, 200), (240, 240, 230))
    ImageDraw.Draw(paper).text((40, 60), text, fill=(20, 20, 20), font=ImageFont.load_default(48))
    return np.array(paper)[:, ::-1]


@pytest.mark.parametrize("text", [UNSAFE, "the quick brown fox jumps"])
def test_text_that_cannot_be_read_is_not_assessed(texts: TextInImage, text: str) -> None:
    finding = only(texts.assess(in_a_mirror(text)))
    assert finding.state is FindingState.NOT_ASSESSED
    assert finding.reason == "a line of text was found that cannot be read"


def test_what_can_be_read_is_judged_beside_what_cannot(texts: TextInImage) -> None:
    both = np.concatenate([in_a_mirror("the quick brown fox jumps"), in_a_mirror(UNSAFE)[:, ::-1]])
    unread, found = texts.assess(both)
    assert unread.state is FindingState.NOT_ASSESSED
    assert found.severity >= 4


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_raise_no_false_alarm(texts: TextInImage, name: str) -> None:
    finding = only(texts.assess(PHOTOGRAPHS[name]))
    assert finding.state is FindingState.ASSESSED
    assert (finding.score, finding.severity) == (0.0, 0)


def test_text_in_a_language_that_nobody_reads_is_not_assessed(texts: TextInImage) -> None:
    findings = texts.assess(with_text("die Kinder spielen heute\nnicht mehr auf der Straße", size=24))
    assert any(finding.state is FindingState.NOT_ASSESSED and "not judged" in finding.reason for finding in findings)


def test_what_is_too_small_to_read_is_not_made_up(texts: TextInImage) -> None:
    assert only(texts.assess(with_text(UNSAFE, size=4))).severity == 0


def test_more_lines_than_are_read_are_said_to_be_there(texts: TextInImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "MOST_LINES", 2)
    findings = texts.assess(with_text("first line here\nsecond line here\nthird line here"))
    assert {finding.state for finding in findings} == {FindingState.ASSESSED, FindingState.NOT_ASSESSED}
    assert any("more lines" in finding.reason for finding in findings)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((64, 4096, 3), np.uint8),
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.shape} {pixels.dtype}",
)
def test_what_cannot_be_looked_at_is_not_assessed(texts: TextInImage, pixels: Pixels) -> None:
    assert only(texts.assess(pixels)).state is FindingState.NOT_ASSESSED


def test_an_enormous_image_is_read_within_bounds(texts: TextInImage) -> None:
    large = np.asarray(Image.fromarray(with_text(UNSAFE)).resize((6000, 4000)))
    assert only(texts.assess(large)).severity >= 4


def test_without_the_extra_nothing_is_assessed(prompts: PromptEnsemble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "PACKAGE", "countermark_no_such_package")
    finding = only(TextInImage(prompts).assess(PHOTOGRAPHS["cat"]))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "missing_extra" in finding.reason
    with pytest.raises(MissingExtra, match="ocr"):
        text_in_image.text_opinion(prompts)


def test_a_missing_or_altered_model_is_refused(prompts: PromptEnsemble, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        TextReader(tmp_path, verify=True)
    (tmp_path / "models").mkdir()
    (tmp_path / FINDER).write_bytes(b"altered")
    with pytest.raises(WeightsMismatch):
        TextReader(tmp_path).read(PHOTOGRAPHS["cat"])
    finding = only(TextInImage(prompts, TextReader(tmp_path)).assess(PHOTOGRAPHS["cat"]))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "weights_mismatch" in finding.reason


def test_it_joins_the_image_stage(images: ImageClassifier, prompts: PromptEnsemble) -> None:
    combined = CombinedImageClassifier(images, [text_in_image.text_opinion(prompts)])
    findings = combined.assess(with_text(UNSAFE))
    assert {finding.category for finding in findings} == set(IMAGE_CATEGORIES)
    (text,) = [finding for finding in findings if finding.category is Category.TEXT_IN_IMAGE]
    assert text.severity >= 4


def test_rapidocr_is_not_imported_by_the_reader() -> None:
    import subprocess

    code = (
        "import sys, numpy; from countermark.safety.text_reader import TextReader; "
        "TextReader(threads=1).read(numpy.zeros((64, 64, 3), numpy.uint8)); assert 'rapidocr' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_line_of_many_is_left_unjudged(prompts: PromptEnsemble) -> None:
    lines = [f"the {word} stands in the green garden" for word in ("oak", "elm", "ash", "yew", "fir", "bay", "box")] * 3
    lines = [f"{line} {number}" for number, line in enumerate(lines)]

    class Many:
        def read(self, pixels: Pixels) -> tuple[list[text_reader.Line], bool]:
            box = np.array([[0, 0], [300, 0], [300, 10], [0, 10]], float)
            texts = [*lines, "a man shooting his wife in the head, blood everywhere"]
            return [text_reader.Line(text, 1.0, 1.0, False, box) for text in texts], False

    found = TextInImage(prompts, Many()).assess(PHOTOGRAPHS["cat"])  # type: ignore[arg-type]
    assert max(one.severity for one in found) >= 4
