"""A refusal names the category, the severity, the stage and the rule, never only that something was blocked."""

from __future__ import annotations

import pytest

from countermark.cli.show import decision_line
from countermark.model import Category, Decision, DetectorRef, Outcome, Stage
from countermark.policy import decide, decide_failure, load_policy, name_mismatch
from countermark.safety.interface import assessed, not_assessed

POLICY = load_policy()
DETECTOR = DetectorRef(id="some.detector", version="1")


def decided(score: float, severity: int) -> Decision:
    """The default policy's word where violence has this score and everything else was found harmless."""
    findings = [
        assessed(Stage.PROMPT, category, DETECTOR, score if category is Category.VIOLENCE else 0.0,
                 severity if category is Category.VIOLENCE else 0)  # type: ignore[arg-type]
        for category in POLICY.categories
    ]  # fmt: skip
    return decide(POLICY, findings, Stage.PROMPT)


@pytest.mark.parametrize(
    ("score", "severity", "said"),
    [
        (0.9, 6, "blocked: category violence, severity 6, stage prompt, rule violence.prompt.block"),
        (0.6, 2, "held for review: category violence, severity 2, stage prompt, rule violence.prompt.review"),
        (0.1, 0, f"allowed under policy {POLICY.metadata.id} {POLICY.metadata.version}"),
    ],
)
def test_what_was_found_is_named(score: float, severity: int, said: str) -> None:
    decision = decided(score, severity)
    assert decision.sentence == said
    assert said in decision_line(decision)


@pytest.mark.parametrize("stage", Stage)
def test_what_could_not_be_looked_at_is_filed_under_no_category(stage: Stage) -> None:
    decision = decide(POLICY, [not_assessed(stage, c, DETECTOR, "no weights") for c in POLICY.categories], stage)
    assert decision.outcome is Outcome.BLOCK
    assert decision.unseen
    assert (decision.category, decision.severity, decision.stage) == (None, None, stage)
    assert decision.sentence == f"blocked: not assessed, stage {stage}, rule on_not_assessed.{stage}"
    assert "sexual" in decision.reasons[0]


def test_what_was_seen_decides_before_what_was_not() -> None:
    findings = [
        assessed(Stage.PROMPT, category, DETECTOR, 0.9, 0)
        if category is Category.HATE
        else not_assessed(Stage.PROMPT, category, DETECTOR, "no weights")
        for category in POLICY.categories
    ]
    decision = decide(POLICY, findings, Stage.PROMPT)
    assert (decision.category, decision.rule) == (Category.HATE, "hate.prompt.block")
    assert not decision.unseen
    assert decision.reasons[1].startswith("sexual_minors, ")


def test_every_cause_is_told() -> None:
    findings = [
        not_assessed(Stage.PROMPT, category, DETECTOR, reason)
        for category in POLICY.categories
        for reason in ("nobody reads Klingon", "weights missing")
    ]
    (reason,) = decide(POLICY, findings, Stage.PROMPT).reasons
    assert reason.endswith("were not assessed: nobody reads Klingon; weights missing.")


def test_what_was_not_looked_at_for_one_cause_is_told_in_one_sentence() -> None:
    stopping = (Category.SEXUAL_MINORS, Category.SEXUAL, Category.VIOLENCE)
    causes = dict.fromkeys(stopping, "nobody reads Klingon") | {Category.HATE: "no weights"}
    findings = [
        not_assessed(Stage.PROMPT, category, DETECTOR, causes[category])
        if category in causes
        else assessed(Stage.PROMPT, category, DETECTOR, 0.01, 0)
        for category in POLICY.categories
    ]
    assert decide(POLICY, findings, Stage.PROMPT).reasons == (
        "sexual_minors, sexual and violence were not assessed: nobody reads Klingon.",
        "hate was not assessed: no weights.",
    )


def test_a_stage_that_failed_is_named() -> None:
    decision = decide_failure(POLICY, Stage.IMAGE, "the image checks failed")
    assert decision.sentence == (
        "blocked: category any (the stage failed), severity not known (not assessed), stage image, rule on_error.image"
    )


def found_in_the_image(prompt_score: float | None, prompt_severity: int = 0) -> Decision:
    """The word on a sexual image whose prompt had this score for the same category."""
    asked = (
        not_assessed(Stage.PROMPT, Category.SEXUAL, DETECTOR, "no weights")
        if prompt_score is None
        else assessed(Stage.PROMPT, Category.SEXUAL, DETECTOR, prompt_score, prompt_severity)  # type: ignore[arg-type]
    )
    seen = [
        assessed(Stage.IMAGE, Category.SEXUAL, DETECTOR, 0.9, 6),
        assessed(Stage.IMAGE, Category.GRAPHIC, DETECTOR, 0.1, 0),
    ]
    return name_mismatch(decide(POLICY, seen, Stage.IMAGE), [asked, *seen])


def test_an_image_that_its_prompt_did_not_ask_for_is_called_so() -> None:
    decision = found_in_the_image(0.02)
    assert (decision.outcome, decision.rule) == (Outcome.BLOCK, "sexual.image.block")
    assert decision.reasons[-1] == (
        "The image does not match its prompt, which was found harmless of sexual (score 0.02)."
    )


def test_no_mismatch_is_made_up() -> None:
    plain = found_in_the_image(0.6, 2)  # the prompt asked for it
    assert len(plain.reasons) == 1
    assert found_in_the_image(None).reasons == plain.reasons, "nobody knows what the prompt asked for"
    silent = [not_assessed(Stage.IMAGE, category, DETECTOR, "no weights") for category in POLICY.categories]
    unseen = decide(POLICY, silent, Stage.IMAGE)
    harmless = assessed(Stage.PROMPT, Category.SEXUAL, DETECTOR, 0.0, 0)
    assert name_mismatch(unseen, [harmless, *silent]) == unseen, "nothing was seen in the image"
    refused = decided(0.9, 6)
    assert name_mismatch(refused, [harmless]) == refused, "there is no image yet"
