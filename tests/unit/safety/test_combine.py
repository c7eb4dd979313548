"""Several classifiers as one: who is asked, what is kept, and that nothing that fails ever opens the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, photograph

from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, FindingState, Outcome, Stage
from countermark.policy import decide, load_policy
from countermark.safety import ImageClassifier, ImageEnsemble, PromptClassifier, PromptEnsemble
from countermark.safety.combine import Another, CombinedImageClassifier, CombinedPromptClassifier
from countermark.safety.interface import (
    IMAGE_CATEGORIES,
    LANGUAGE_NOT_READ,
    PROMPT_CATEGORIES,
    assessed,
    not_assessed,
)

SEXUAL, HATE, EXTREMISM = Category.SEXUAL, Category.HATE, Category.EXTREMISM


class Says:
    """A classifier with an opinion of its own: a score for each category, or a reason why there is none."""

    def __init__(self, stage: Stage = Stage.PROMPT, name: str = "test.says", **opinions: float | str) -> None:
        self.stage = stage
        self.detector = DetectorRef(id=name, version="1")
        self.opinions = {Category(category): opinion for category, opinion in opinions.items()}
        self.asked = 0

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(self.opinions)

    def assess(self, _subject: object) -> tuple[Finding, ...]:
        self.asked += 1
        return tuple(self._finding(category, opinion) for category, opinion in self.opinions.items())

    def _finding(self, category: Category, opinion: float | str) -> Finding:
        if isinstance(opinion, str):
            return not_assessed(self.stage, category, self.detector, opinion)
        return assessed(self.stage, category, self.detector, opinion, 0)


class First(Says):
    """A whole stage: speaks on every category, though it has detectors for a few alone."""

    signals: tuple[str, ...] = ()

    def assess(self, subject: object) -> tuple[Finding, ...]:
        order = PROMPT_CATEGORIES if self.stage is Stage.PROMPT else IMAGE_CATEGORIES
        said = {finding.category: finding for finding in super().assess(subject)}
        if self.signals:
            said = {c: f.model_copy(update={"signals": self.signals}) for c, f in said.items()}
        return tuple(said.get(c) or not_assessed(self.stage, c, self.detector, "not installed") for c in order)


class Breaks(Says):
    def assess(self, subject: object) -> tuple[Finding, ...]:
        super().assess(subject)
        raise RuntimeError(f"cannot read {subject}")


def on(category: Category, findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.category is category]


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        ({"sexual": 0.0999}, 0),
        ({"sexual": 0.1}, 1),
        ({"sexual": 0.8499}, 1),
        ({"sexual": 0.85}, 0),
        ({"sexual": 0.01, "hate": 0.5}, 1),
        ({"sexual": "its weights are missing"}, 1),
    ],
)
def test_who_waits_for_doubt_is_asked_only_in_the_band_or_where_the_first_could_not_look(
    first: dict[str, float | str], asked: int
) -> None:
    waiting, eager = Says(violence=0.0), Says(violence=0.0)
    stage = CombinedPromptClassifier(First(**first), [Another(waiting, "uncertain"), Another(eager)])
    stage.assess(CLEAN_PROMPT)
    assert (waiting.asked, eager.asked) == (asked, 1)


def test_who_reads_what_the_first_does_not_is_asked_for_that_alone() -> None:
    reader = Says(sexual=0.2)
    first = First(sexual=0.5)
    stage = CombinedPromptClassifier(first, [Another(reader, "unread", multilingual=True)])
    stage.assess(CLEAN_PROMPT)
    assert reader.asked == 0
    first.opinions, first.signals = {SEXUAL: "another language"}, (LANGUAGE_NOT_READ,)
    (finding,) = on(SEXUAL, stage.assess(CLEAN_PROMPT))
    assert (reader.asked, finding.score) == (1, 0.2)


def test_the_band_can_be_set() -> None:
    waiting = Says(violence=0.0)
    stage = CombinedPromptClassifier(First(sexual=0.05), [Another(waiting, "uncertain")], uncertain=(0.01, 0.2))
    stage.assess(CLEAN_PROMPT)
    assert waiting.asked == 1


def test_every_opinion_is_kept_the_first_stage_s_before_the_others_in_the_order_of_categories() -> None:
    stage = CombinedPromptClassifier(First(sexual=0.2, hate=0.3), [Another(Says(hate=0.9, sexual=0.0))])
    findings = stage.assess(CLEAN_PROMPT)
    assert [finding.score for finding in on(SEXUAL, findings)] == [0.2, 0.0]
    assert [finding.score for finding in on(HATE, findings)] == [0.3, 0.9]
    assert {finding.category for finding in findings} == set(PROMPT_CATEGORIES)
    assert [f.category for f in findings] == sorted((f.category for f in findings), key=PROMPT_CATEGORIES.index)


def test_whoever_answers_for_a_category_without_a_detector_takes_its_place() -> None:
    stage = CombinedPromptClassifier(First(sexual=0.0), [Another(Says(extremism=0.4))])
    (finding,) = on(EXTREMISM, stage.assess(CLEAN_PROMPT))
    assert finding.score == 0.4
    assert stage.categories == {SEXUAL, EXTREMISM}


def test_a_category_whose_only_detector_was_not_asked_says_so() -> None:
    waiting = Says(name="test.waiting", extremism=0.0)
    stage = CombinedPromptClassifier(First(sexual=0.0), [Another(waiting, "uncertain")])
    (finding,) = on(EXTREMISM, stage.assess(CLEAN_PROMPT))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "test.waiting" in finding.reason
    assert "uncertain" in finding.reason


@pytest.mark.parametrize(
    "other",
    [
        Breaks(name="test.other", sexual=0.0, extremism=0.0),
        Says(name="test.other", sexual="it timed out", extremism="it timed out"),
    ],
    ids=["raises", "could not look"],
)
def test_another_that_fails_closes_beside_a_first_stage_that_found_nothing(other: Says) -> None:
    stage = CombinedPromptClassifier(First(sexual=0.0), [Another(other)])
    findings = stage.assess("something private")
    for category in (SEXUAL, EXTREMISM):
        failed = on(category, findings)[-1]
        assert (failed.state, failed.detector.id) == (FindingState.NOT_ASSESSED, "test.other")
    assert "private" not in " ".join(finding.reason for finding in findings)
    decision = decide(load_policy(), on(SEXUAL, findings), Stage.PROMPT)
    assert decision.outcome is Outcome.BLOCK


def test_a_category_that_another_leaves_out_was_not_assessed() -> None:
    class Forgets(Says):
        categories = frozenset({SEXUAL, HATE})

    findings = CombinedPromptClassifier(First(sexual=0.0, hate=0.0), [Another(Forgets(sexual=0.0))]).assess("a cat")
    assert [finding.state for finding in on(HATE, findings)] == [FindingState.ASSESSED, FindingState.NOT_ASSESSED]


def test_only_one_that_reads_the_language_stands_in_for_a_first_stage_that_does_not() -> None:
    class Foreign(First):
        signals = (LANGUAGE_NOT_READ,)

    first = Foreign(sexual="the language is not read", hate="the language is not read")
    english, polyglot = Says(sexual=0.0, hate=0.0), Says(sexual=0.0, hate="it timed out")
    for others in ([Another(english)], [Another(english), Another(Says(sexual="no"), multilingual=True)]):
        findings = CombinedPromptClassifier(first, others).assess("un chat")
        assert FindingState.NOT_ASSESSED in {finding.state for finding in on(SEXUAL, findings)}
    findings = CombinedPromptClassifier(first, [Another(polyglot, "uncertain", multilingual=True)]).assess("un chat")
    assert [finding.score for finding in on(SEXUAL, findings)] == [0.0]
    assert [finding.reason for finding in on(HATE, findings)] == ["it timed out"]  # the cause, and it alone


def test_the_shipped_stage_says_where_it_does_not_read_the_language(prompts: PromptEnsemble) -> None:
    foreign = "裸の女性がベッドに横たわる"
    unread = {f.category for f in prompts.assess(foreign) if LANGUAGE_NOT_READ in f.signals}
    assert unread == prompts.categories
    polyglot = Says(**dict.fromkeys(prompts.categories, 0.2))
    findings = CombinedPromptClassifier(prompts, [Another(polyglot, "uncertain", multilingual=True)]).assess(foreign)
    assert {f.score for f in findings if f.category in prompts.categories} == {0.2}
    assert decide(load_policy(), findings, Stage.PROMPT).rule == "sexual_minors.prompt.block"
    assert not any(LANGUAGE_NOT_READ in f.signals for f in prompts.assess(CLEAN_PROMPT))


def test_weights_that_are_missing_are_not_made_up_for_by_another() -> None:
    polyglot = Another(Says(sexual=0.0), multilingual=True)
    findings = CombinedPromptClassifier(First(sexual="its weights are missing"), [polyglot]).assess("a cat")
    assert on(SEXUAL, findings)[0].state is FindingState.NOT_ASSESSED


@pytest.mark.parametrize("prompt", ["", "  \n", "a" * (MAX_PROMPT_CHARS + 1)])
def test_nobody_is_asked_about_what_is_no_prompt(prompts: PromptEnsemble, prompt: str) -> None:
    other = Says(extremism=0.0)
    findings = CombinedPromptClassifier(prompts, [Another(other)]).assess(prompt)
    assert other.asked == 0
    assert {finding.state for finding in findings} == {FindingState.NOT_ASSESSED}


def test_the_shipped_stages_combine(prompts: PromptEnsemble, images: ImageEnsemble) -> None:
    heard = CombinedPromptClassifier(prompts, [Another(Says(extremism=0.0), "uncertain")])
    seen = CombinedImageClassifier(images, [Another(Says(Stage.IMAGE, violence=0.9))])
    assert isinstance(prompts, PromptClassifier)
    assert isinstance(heard, PromptClassifier)
    assert isinstance(images, ImageClassifier)
    assert isinstance(seen, ImageClassifier)
    assert prompts.categories < heard.categories
    assert {finding.category for finding in heard.assess(UNSAFE_PROMPT)} == set(PROMPT_CATEGORIES)
    findings = seen.assess(photograph("coffee", 224))
    assert {finding.category for finding in findings} == set(IMAGE_CATEGORIES)
    assert [finding.score for finding in on(Category.VIOLENCE, findings)] == [0.9]


def test_a_shipped_stage_answers_for_the_categories_that_it_names(
    prompts: PromptEnsemble, images: ImageEnsemble
) -> None:
    for stage, findings in (
        (prompts, prompts.assess(CLEAN_PROMPT)),
        (images, images.assess(photograph("coffee", 224))),
    ):
        assert {f.category for f in findings if f.state is FindingState.ASSESSED} == stage.categories


def test_an_image_that_the_first_stage_cannot_look_at_stays_unassessed(images: ImageEnsemble) -> None:
    other = Another(Says(Stage.IMAGE, sexual=0.0))
    findings = CombinedImageClassifier(images, [other]).assess(np.zeros((4, 4, 3), np.uint8))
    assert [finding.state for finding in on(SEXUAL, findings)] == [FindingState.NOT_ASSESSED, FindingState.ASSESSED]


def test_many_images_and_the_event_loop_get_what_one_image_gets(images: ImageEnsemble) -> None:
    other = Says(Stage.IMAGE, hate=0.9)
    stage = CombinedImageClassifier(CombinedImageClassifier(images, []), [Another(other)])
    pictures = [photograph("coffee", 128), np.zeros((4, 4, 3), np.uint8), photograph("astronaut", 96)]
    alone = [stage.assess(picture) for picture in pictures]
    assert [[(f.category, f.state, f.severity) for f in found] for found in stage.assess_many(pictures)] == [
        [(f.category, f.state, f.severity) for f in found] for found in alone
    ]
    assert asyncio.run(stage.assess_async(pictures[0])) == alone[0]
    assert other.asked == 2 * len(pictures) + 1
    plain = CombinedImageClassifier(First(Stage.IMAGE, sexual=0.1), [])
    assert plain.assess_many(pictures) == [plain.assess(picture) for picture in pictures]


def test_a_first_stage_that_leaves_an_image_out_of_a_batch_is_an_error() -> None:
    class Forgetful(First):
        def assess_many(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[Finding, ...]]:
            return [self.assess(pixels) for pixels in images[1:]]

    with pytest.raises(ValueError, match="longer"):
        CombinedImageClassifier(Forgetful(Stage.IMAGE), []).assess_many([photograph("coffee", 64)] * 2)


def test_the_joint_digest_changes_with_any_of_them() -> None:
    def digest(*others: Says) -> str | None:
        return CombinedPromptClassifier(First(sexual=0.0), [Another(other) for other in others]).detector.digest

    assert len({digest(), digest(Says(hate=0.0)), digest(Says(name="test.other", hate=0.0))}) == 3


def test_a_score_that_is_no_number_is_no_finding() -> None:
    detector = DetectorRef(id="test", version="1")
    with pytest.raises(ValueError, match="score"):
        assessed(Stage.PROMPT, Category.VIOLENCE, detector, float("nan"), 0)
    beyond = [assessed(Stage.PROMPT, Category.VIOLENCE, detector, score, 0).score for score in (-0.5, 1.5)]
    assert beyond == [0.0, 1.0]
