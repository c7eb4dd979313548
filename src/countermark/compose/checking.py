"""Both safety stages as settings choose them; findings and decisions without a pipeline; pixels from anywhere."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from countermark import imaging
from countermark.credentials.container import has_store_mark
from countermark.errors import AssetInvalid, CountermarkError
from countermark.model import Decision, Finding, Stage
from countermark.observe import get_logger, where_it_broke
from countermark.pipeline import check_prompt
from countermark.policy import Policy, decide, decide_failure, name_mismatch
from countermark.safety.known import Known
from countermark.safety.transparent import look_through
from countermark.settings import PromptSafetySettings

if TYPE_CHECKING:
    from countermark.safety.interface import ImageClassifier, PromptClassifier
    from countermark.settings import Settings

LOSES_CREDENTIALS = (
    "The file's own C2PA manifest is not in the marked copy; name the file as its parent to have it carried along."
)
_IN_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_IN_TIFF = frozenset({"CMYK", "LAB", "I", "F"})


def default_prompt_safety(settings: Settings | None = None) -> PromptClassifier:
    """The shipped prompt classifiers, and the second opinions that settings name.

    Args:
        settings: whose second opinions are heard; none are unless given.
    """
    from countermark.safety import PromptEnsemble, e5
    from countermark.safety.combine import Another, CombinedPromptClassifier

    chosen = settings.safety.prompt if settings is not None else PromptSafetySettings()
    shipped = PromptEnsemble(terms=chosen.terms)
    others: list[Another[PromptClassifier]] = []
    if chosen.multilingual and e5.is_installed():
        from countermark.safety.multilingual import multilingual_prompts

        others.append(Another(multilingual_prompts(chosen.terms), "unread", multilingual=True))
    if chosen.entities:
        from countermark.safety.entities import entity_prompts

        others.append(Another(entity_prompts(chosen.entities, chosen.terms)))
    if chosen.opinions:
        from countermark.safety.adapters.build import prompt_opinions

        others += prompt_opinions(chosen.opinions)
    return CombinedPromptClassifier(shipped, others, uncertain=chosen.uncertain) if others else shipped


def default_image_safety(
    settings: Settings | None = None, *, prompts: PromptClassifier | None = None
) -> ImageClassifier:
    """The shipped image classifiers, what settings name beside them, and the installation's hash lists.

    Args:
        settings: whose second opinions are heard; none are, and no lists asked, unless given.
        prompts: what :func:`default_prompt_safety` gave for them, if it was asked: it judges the words in images, and
            no model is loaded twice.
    """
    from countermark.safety import ImageEnsemble

    shipped = ImageEnsemble()
    if settings is None:
        return shipped
    from countermark.compose.hash_lists import with_hash_lists
    from countermark.safety.adapters.build import image_opinions
    from countermark.safety.combine import Another, CombinedImageClassifier, CombinedPromptClassifier

    chosen = settings.safety.image
    others = list(image_opinions(chosen.opinions))
    if chosen.nudenet:
        from countermark.safety.nudenet import NudeNet

        others.append(Another(NudeNet(verify=True)))
    if chosen.text:
        from countermark.safety.text_in_image import text_opinion

        # Words in images stay here: one image may hold sixteen texts, and nobody asked for them to be sent anywhere.
        words = prompts or default_prompt_safety(settings)
        others.append(text_opinion(words.local() if isinstance(words, CombinedPromptClassifier) else words))
    stage = CombinedImageClassifier(shipped, others, uncertain=chosen.uncertain) if others else shipped
    return with_hash_lists(stage, settings.home)


def check(
    policy: Policy,
    *,
    prompt: str | None = None,
    image: Any = None,
    prompt_safety: PromptClassifier | None = None,
    image_safety: ImageClassifier | None = None,
    settings: Settings | None = None,
) -> tuple[tuple[Finding, ...], Decision]:
    """Assess a prompt, an image or both, and let policy decide; nothing is generated or recorded.

    Of both, the stricter decision counts (of two alike, one that rests on something seen), and whoever compares images
    with prompts is asked too.

    Args:
        policy: decides.
        prompt: what to assess, or what the image was made from.
        image: what to assess; see :func:`to_raster`.
        prompt_safety: looks at the prompt; that of ``settings`` unless given.
        image_safety: looks at the image; that of ``settings`` unless given.
        settings: whose second opinions are heard; none are unless given.

    Raises:
        PromptInvalid: the prompt is empty, too long, or not text.
        AssetInvalid: the image is none that we can read.
        TypeError: neither is given.
    """
    if prompt is None and image is None:
        raise TypeError("give a prompt, an image or both")
    findings: tuple[Finding, ...] = ()
    decisions = []
    own: PromptClassifier | None = None
    if prompt is not None:
        check_prompt(prompt)
        prompts = prompt_safety or (own := default_prompt_safety(settings))
        findings, decision = _look(policy, Stage.PROMPT, lambda: prompts.assess(prompt))
        decisions.append(decision)
    if image is not None:
        raster = to_raster(image)
        known = Known(raster.sha256, prompt or "")
        images = image_safety or default_image_safety(settings, prompts=own)
        seen, decision = _look(policy, Stage.IMAGE, lambda: look_through(images, raster, known), findings)
        findings += seen
        decisions.append(name_mismatch(decision, findings))
    return findings, max(decisions, key=lambda decision: (decision.outcome.rank, not decision.unseen))


def _look(
    policy: Policy, stage: Stage, look: Callable[[], tuple[Finding, ...]], before: tuple[Finding, ...] = ()
) -> tuple[tuple[Finding, ...], Decision]:
    """Findings of one stage and what policy decides of them and those before; a detector that raises opens no gate."""
    try:
        findings = look()
    except CountermarkError:
        raise
    except Exception as error:  # never let on: what it says may quote the prompt
        name = type(error).__name__
        get_logger("compose").error("checks failed", stage=stage, error=name, where=where_it_broke(error))
        return (), decide_failure(policy, stage, f"the {stage} checks failed: {name}")
    return findings, decide(policy, before + findings, stage)


def to_raster(image: Any) -> imaging.Raster:
    """Pixels from a path, file bytes, a raster, a Pillow image or an array.

    Raises:
        AssetInvalid: it is none of these, or cannot be read.
    """
    if isinstance(image, imaging.Raster):
        return image
    if isinstance(image, (str, os.PathLike)):
        return _decode(imaging.read_file(Path(image)), str(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _decode(bytes(image), "the image")
    if isinstance(image, np.ndarray):
        return imaging.from_array(image)
    if isinstance(image, Image.Image):
        return _from_pillow(image)
    raise AssetInvalid(
        f"The image is given as {type(image).__name__}.",
        remedy="Give a path, the file's bytes, a Pillow image, or pixels as a NumPy array, uint8 of shape H×W×3.",
    )


def _from_pillow(image: Image.Image) -> imaging.Raster:
    """By way of a file that keeps every sample, so that colours are read as they are from any file."""
    buffer = io.BytesIO()
    try:
        if image.mode in _IN_PNG:
            image.save(buffer, "PNG", compress_level=0)
        elif image.mode in _IN_TIFF:
            image.save(buffer, "TIFF")
        else:
            image.convert("RGBA" if image.has_transparency_data else "RGB").save(buffer, "PNG", compress_level=0)
    except (OSError, ValueError, SyntaxError) as error:  # its file is read only now, and may be cut off or damaged
        raise AssetInvalid(f"The Pillow image of mode {image.mode} cannot be read: {error}.") from error
    return imaging.decode(buffer.getvalue())


def _decode(data: bytes, name: str) -> imaging.Raster:
    """A file's pixels, the digest by which hash lists may know it, and what a copy of the pixels loses."""
    raster = imaging.decode(data, name)
    lost = (LOSES_CREDENTIALS,) if has_store_mark(data) else ()
    return replace(raster, sha256=hashlib.sha256(data).hexdigest(), notices=raster.notices + lost)
