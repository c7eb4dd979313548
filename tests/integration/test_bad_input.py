"""Prompts and pictures that nobody meant, from Python and from the command line: an answer or a plain refusal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.conftest import photograph

from countermark import Countermark, verify
from countermark.cli.main import run
from countermark.compose import check, to_raster
from countermark.errors import (
    AssetInvalid,
    AssetTooSmall,
    CountermarkError,
    OutputUnwritable,
    PromptInvalid,
    UsageError,
)
from countermark.model import MAX_PROMPT_CHARS, EventType, Outcome
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.safety.image_models import NsfwJsMid, OpenNsfw, OwenSafety
from countermark.settings import Settings

NO_PROMPTS = {
    "empty": "",
    "blank": " \t\n",
    "invisible": "\u200b\u200d\ufeff",
    "control characters alone": "\x01\x02\x7f",
    "enormous": "a" * (MAX_PROMPT_CHARS + 1),
    "not Unicode": "\ud800 a cat",
}
READ_ALL_THE_SAME = {
    "control characters": ("a red\x00 boat\x1b[31m on\x07 the sea", Outcome.ALLOW),
    "mixed direction": ("a red \u202etaob\u202c on the sea", Outcome.ALLOW),
    "hidden in both": ("a n\u200bu\u200bd\u200be woman, \u202enrop\u202c", Outcome.BLOCK),
    "long": ("a red boat on the sea, " * 400, Outcome.ALLOW),
}


@pytest.mark.parametrize("name", NO_PROMPTS)
def test_what_is_no_prompt_is_refused_plainly(
    name: str, settings: Settings, prompt_safety: PromptEnsemble, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = NO_PROMPTS[name]
    with pytest.raises(PromptInvalid):
        check(load_policy(), prompt=prompt, prompt_safety=prompt_safety)
    with Countermark(settings, prompt_safety=prompt_safety) as cm:
        with pytest.raises(PromptInvalid):
            cm.generate(prompt)
        if prompt:  # an empty one says that none is known
            with pytest.raises(PromptInvalid):
                cm.mark(photograph("coffee", 256), model="m", prompt=prompt)
            with pytest.raises(PromptInvalid):
                cm.generate("a lighthouse", negative_prompt=prompt)
        assert not cm.log.list(limit=1), "no attempt was opened"
    assert run(["check", "--prompt", prompt, "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out or told.err)["error"]["code"] == "prompt_invalid"


@pytest.mark.parametrize("name", READ_ALL_THE_SAME)
def test_a_strange_prompt_is_read_for_what_it_says(
    name: str, prompt_safety: PromptEnsemble, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt, outcome = READ_ALL_THE_SAME[name]
    findings, decision = check(load_policy(), prompt=prompt, prompt_safety=prompt_safety)
    assert decision.outcome is outcome
    assert all("\x1b" not in f.model_dump_json() for f in findings)
    assert run(["check", "--prompt", prompt]) == {Outcome.ALLOW: 0, Outcome.BLOCK: 20}[outcome]
    assert "\x1b[31m on" not in capsys.readouterr().out, "a prompt paints no terminal"


def saved(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def pictures() -> dict[str, tuple[bytes, str]]:
    """Files by name, each with the outcome of a check or the code of the error."""
    plain = Image.fromarray(photograph("astronaut", 256))
    clear = plain.convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))))
    frames = [plain.rotate(turn) for turn in (0, 30, 60)]
    return {
        "plain.png": (saved(plain), "allow"),
        "one.png": (saved(Image.new("RGB", (1, 1))), "block"),
        "strip.png": (saved(plain.resize((4000, 40))), "block"),
        "alpha.png": (saved(clear), "allow"),
        "cmyk.jpg": (saved(plain.convert("CMYK"), "JPEG"), "allow"),
        "grey.png": (saved(plain.convert("L")), "allow"),
        "animated.gif": (saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), "asset_invalid"),
        "animated.webp": (saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), "asset_invalid"),
        "cut.png": (saved(plain)[:2000], "asset_invalid"),
        "empty.png": (b"", "asset_invalid"),
        "text.jpg": (b"no picture", "asset_invalid"),
        "enormous.png": (saved(Image.new("1", (9000, 9000))), "asset_too_large"),
    }


def test_a_folder_of_strange_pictures_gets_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    expected = {}
    for name, (data, answer) in pictures().items():
        (folder / name).write_bytes(data)
        expected[name] = answer
    assert run(["check", "--images", str(folder), "--json"]) == 2
    told = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        told[Path(line["file"]).name] = line["error"]["code"] if "error" in line else line["decision"]["outcome"]
        if told[Path(line["file"]).name] == "block":
            assert line["decision"]["rule"] == "on_not_assessed.image"
            assert "recognise anything" in line["decision"]["reasons"][0]
    assert told == expected


def test_none_of_them_is_marked_unless_it_was_looked_at(settings: Settings, image_safety: ImageEnsemble) -> None:
    with Countermark(settings, image_safety=image_safety) as cm:
        for name, (data, answer) in pictures().items():
            try:
                came_of_it = cm.mark(data, model="some/model").outcome
            except CountermarkError as error:
                came_of_it = error.code  # type: ignore[assignment]
            # What is too small to be looked at is too small for a mark, and refused as such.
            assert came_of_it == {"allow": "released", "block": "asset_too_small"}.get(answer, answer), name


@pytest.mark.parametrize("broken", ["missing", "altered"])
def test_a_missing_or_altered_model_stops_every_picture_and_says_so(
    broken: str, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    if broken == "altered":
        path.write_bytes(b"another model")
    stage = ImageEnsemble([OpenNsfw(path), OwenSafety(), NsfwJsMid()])
    with Countermark(settings, image_safety=stage) as cm:
        result = cm.mark(photograph("coffee", 256), model="some/model")
        _, event = cm.log.list(limit=1)[0]
    assert (result.outcome, result.decision.rule) == ("refused", "on_not_assessed.image")
    code = {"missing": "weights_missing", "altered": "weights_mismatch"}[broken]
    assert f"the model yahoo.open_nsfw cannot be used ({code})" in result.decision.reasons[0]
    assert (event.type, event.reasons) == (EventType.REFUSED, result.decision.reasons)


def test_pixels_of_another_kind_are_refused() -> None:
    for wrong in (np.zeros((8, 8), np.float64), np.zeros((8, 8, 7), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(AssetInvalid):
            check(load_policy(), image=wrong)
    for wrong in (5, [1, 2], io.BytesIO(b"x"), Image.Image):
        with pytest.raises(AssetInvalid, match="is given as"):
            check(load_policy(), image=wrong)


@pytest.mark.parametrize("kind", [*"1LPIF", "LA", "RGBA", "I;16", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_a_pillow_image_of_any_mode_has_its_colours(kind: str) -> None:
    plain = Image.fromarray(photograph("astronaut", 128))
    steps = {"I;16": ("L",), "LAB": ()}.get(kind, ())
    for step in steps:
        plain = plain.convert(step)
    if kind == "I;16":
        image = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    elif kind == "I":
        image = Image.fromarray(np.asarray(plain.convert("L")).astype(np.int32) * 257)
    elif kind == "F":
        image = Image.fromarray(np.asarray(plain.convert("L")).astype(np.float32) / 255)
    elif kind == "LAB":
        image = ImageCms.profileToProfile(
            plain, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        image = plain.convert(kind)
    assert image.mode == kind
    seen = to_raster(image).pixels
    grey = kind in ("1", "L", "I", "F", "LA", "I;16")
    expected = np.asarray(plain.convert("L" if grey else "RGB").convert("RGB")).astype(int)
    tolerance = {"1": 90, "P": 20}.get(kind, 3)
    assert np.abs(seen - expected).mean() < tolerance


def test_a_pillow_image_of_a_file_reads_as_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.jpg"
    path.write_bytes(saved(Image.fromarray(photograph("coffee", 256)).convert("CMYK"), "JPEG"))
    assert np.array_equal(to_raster(Image.open(path)).pixels, to_raster(path).pixels)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AssetInvalid):
        to_raster(Image.open(path))


def test_bytes_of_every_kind_are_read(tmp_path: Path) -> None:
    data = saved(Image.fromarray(photograph("coffee", 128)))
    for kind in (bytes, bytearray, memoryview):
        assert to_raster(kind(data)).width == 128
        assert verify(kind(data)).verdict == "no_provenance"


def test_what_is_given_in_another_ones_place_is_refused_by_name(settings: Settings, cm: Countermark) -> None:
    picture = photograph("coffee", 256)
    for told, call in {
        "'settings' is given as dict": lambda: Countermark({}),  # type: ignore[arg-type]
        "'policy' is given as str": lambda: Countermark(settings, policy="x.yaml"),  # type: ignore[arg-type]
        "'identity' is given as str": lambda: Countermark(settings, identity="x.pem"),  # type: ignore[arg-type]
        "not by 0": lambda: cm.mark(picture, model=""),
        "not by NoneType": lambda: cm.mark(picture, model=None),  # type: ignore[arg-type]
        "tenant": lambda: cm.mark(picture, model="m", tenant="t" * 101),
        "'parent' is given as ndarray": lambda: cm.mark(picture, model="m", parent=picture),  # type: ignore[arg-type]
        "no option num_inference_steps, sede": lambda: cm.generate("a boat", num_inference_steps=3, sede=1),
        "to be verified is given as NoneType": lambda: verify(None),  # type: ignore[arg-type]
        "verified is given as ndarray": lambda: cm.verify(picture),  # type: ignore[arg-type]
        "'receipts' is none": lambda: cm.verify(b"", receipts=["x"]),
    }.items():
        with pytest.raises(UsageError, match=told) as refused:
            call()
        assert "--" not in refused.value.remedy.replace("--help", ""), "whoever calls from Python has no flags"
    with pytest.raises(UsageError) as unknown:
        cm.generate("a boat", num_inference_steps=3)
    assert "steps, guidance" in unknown.value.remedy
    for prompt in (4, None, b"a boat"):
        with pytest.raises(PromptInvalid, match="not text"):
            cm.generate(prompt)  # type: ignore[arg-type]
    with pytest.raises(PromptInvalid, match="not text"):
        cm.check(prompt=4)  # type: ignore[arg-type]
    with pytest.raises(OutputUnwritable, match="cannot be made"):
        Countermark.from_settings(home="bad\0")
    assert cm.log.list(limit=1) == [], "no attempt was opened"


def test_a_generator_that_does_not_say_what_it_is_is_refused(build: Callable[..., Countermark]) -> None:
    class Nameless:
        def generate(self, request: object, **_: object) -> None:
            raise AssertionError

    cm = build(generator=Nameless())
    with pytest.raises(UsageError, match="Nameless has no attribute 'model'"):
        cm.generate("a red boat")


@pytest.mark.parametrize("side", [32, 63, 64, 127])
def test_one_smallest_size_is_named(cm: Countermark, side: int) -> None:
    with pytest.raises(AssetTooSmall) as refused:
        cm.mark(photograph("coffee", side), model="some/model")
    assert "at least 128 pixels" in refused.value.remedy
