from __future__ import annotations

import os
from pathlib import Path

import pytest

from countermark.errors import NotFound, PolicyInvalid
from countermark.model import (
    UNUSABLE,
    Category,
    DetectorRef,
    Finding,
    FindingState,
    Outcome,
    PolicyRef,
    Severity,
    Stage,
)
from countermark.policy import Policy, decide, decide_early, decide_failure, load_policy, redactable
from countermark.safety import TermLists
from countermark.yaml_file import parse_yaml

HEADER = "apiVersion: countermark.policy/v1\nkind: Policy\nmetadata: {id: test, version: '1'}\n"
DETECTOR = DetectorRef(id="test", version="1")


def policy(text: str) -> Policy:
    return parse_yaml((HEADER + text).encode(), "test.yaml", Policy)


def seen(category: Category, score: float, severity: Severity = 0, stage: Stage = Stage.PROMPT) -> Finding:
    return Finding(
        stage=stage,
        category=category,
        state=FindingState.ASSESSED,
        score=score,
        severity=severity,
        detector=DETECTOR,
    )


def unseen(category: Category, stage: Stage = Stage.PROMPT) -> Finding:
    return Finding(
        stage=stage, category=category, state=FindingState.NOT_ASSESSED, detector=DETECTOR, reason="weights missing"
    )


VIOLENCE = "categories: {violence: {prompt: {review: 0.5, block: 0.8}}}"


@pytest.mark.parametrize(
    ("score", "outcome"),
    [(0.0, "allow"), (0.499, "allow"), (0.5, "review"), (0.799, "review"), (0.8, "block"), (1.0, "block")],
)
def test_bands_include_their_threshold(score: float, outcome: str) -> None:
    decision = decide(policy(VIOLENCE), [seen(Category.VIOLENCE, score)], Stage.PROMPT)
    assert decision.outcome == outcome
    assert decision.stage is (None if outcome == "allow" else Stage.PROMPT)


def test_a_refusal_names_category_severity_stage_rule_and_reason() -> None:
    decision = decide(policy(VIOLENCE), [seen(Category.VIOLENCE, 0.93, 6)], Stage.PROMPT)
    assert (decision.category, decision.severity, decision.stage) == (Category.VIOLENCE, 6, Stage.PROMPT)
    assert decision.rule == "violence.prompt.block"
    assert "0.93" in decision.reasons[0]


def test_what_was_not_assessed_blocks_unless_the_band_says_otherwise() -> None:
    strict = policy(VIOLENCE)
    assert decide(strict, [], Stage.PROMPT).outcome is Outcome.BLOCK
    assert decide(strict, [unseen(Category.VIOLENCE)], Stage.PROMPT).outcome is Outcome.BLOCK
    lenient = policy("categories: {violence: {prompt: {block: 0.8, on_not_assessed: allow}}}")
    assert decide(lenient, [unseen(Category.VIOLENCE)], Stage.PROMPT).outcome is Outcome.ALLOW
    holding = policy("defaults: {on_not_assessed: review}\ncategories: {violence: {prompt: {block: 0.8}}}")
    assert decide(holding, [], Stage.PROMPT).outcome is Outcome.REVIEW


def test_consent_to_silence_is_none_to_damage() -> None:
    lenient = "categories: {violence: {prompt: {block: 0.8, on_not_assessed: allow}}}"
    damaged = [unseen(Category.VIOLENCE), unseen(Category.VIOLENCE).model_copy(update={"signals": (UNUSABLE,)})]
    assert decide(policy(lenient), damaged[:1], Stage.PROMPT).outcome is Outcome.ALLOW
    assert decide(policy(lenient), damaged, Stage.PROMPT).outcome is Outcome.BLOCK
    holding = policy("defaults: {on_error: review, on_not_assessed: allow}\n" + lenient)
    assert decide(holding, damaged, Stage.PROMPT).outcome is Outcome.REVIEW
    strict = policy("defaults: {on_error: review}\n" + VIOLENCE)
    assert decide(strict, damaged, Stage.PROMPT).outcome is Outcome.BLOCK


def test_one_silent_detector_stops_even_where_another_says_safe() -> None:
    findings = [seen(Category.VIOLENCE, 0.01), unseen(Category.VIOLENCE)]
    decision = decide(policy(VIOLENCE), findings, Stage.PROMPT)
    assert decision.outcome is Outcome.BLOCK
    assert "weights missing" in decision.reasons[0]


def test_the_strictest_rule_wins_whatever_the_order() -> None:
    text = "categories: {violence: {prompt: {review: 0.2}}, sexual: {prompt: {block: 0.5}}}"
    findings = [seen(Category.VIOLENCE, 0.9), seen(Category.SEXUAL, 0.6)]
    for order in (findings, findings[::-1]):
        decision = decide(policy(text), order, Stage.PROMPT)
        assert decision.outcome is Outcome.BLOCK
        assert decision.category is Category.SEXUAL
        assert len(decision.reasons) == 2


def test_of_two_that_are_as_strict_the_graver_is_named_and_what_was_seen_before_what_was_not() -> None:
    text = (
        "categories: {violence: {prompt: {block: 0.5}}, sexual: {prompt: {block: 0.5}}, hate: {prompt: {block: 0.5}}}"
    )
    both = [seen(Category.VIOLENCE, 0.9, 4), seen(Category.SEXUAL, 0.6, 6), unseen(Category.HATE)]
    for order in (both, both[::-1]):
        decision = decide(policy(text), order, Stage.PROMPT)
        assert (decision.category, decision.severity) == (Category.SEXUAL, 6)
    graver_first = policy(text.replace("violence", "x").replace("sexual", "violence").replace("x", "sexual"))
    assert decide(graver_first, both, Stage.PROMPT).category is Category.SEXUAL


def test_only_what_was_found_for_redaction_is_redactable() -> None:
    text = "{image: {redact: 0.3, review: 0.6, block: 0.9, on_not_assessed: redact}}"
    images = policy(f"categories: {{sexual: {text}, violence: {text}, graphic: {text}, hate: {text}, illicit: {text}}}")
    scores = {Category.SEXUAL: 0.3, Category.VIOLENCE: 0.6, Category.GRAPHIC: 0.9, Category.HATE: 0.29}
    found = [seen(category, score, stage=Stage.IMAGE) for category, score in scores.items()]
    asked = seen(Category.ILLICIT, 0.4)
    assert redactable(images, [*found, unseen(Category.ILLICIT, Stage.IMAGE), asked]) == {Category.SEXUAL}


def test_a_preview_is_judged_by_what_was_found_in_it_alone() -> None:
    images = policy("categories: {sexual: {image: {review: 0.5, block: 0.8}}, violence: {image: {block: 0.8}}}")
    silent = [unseen(Category.VIOLENCE, Stage.IMAGE), seen(Category.SEXUAL, 0.4, stage=Stage.IMAGE)]
    assert decide(images, silent, Stage.IMAGE).outcome is Outcome.BLOCK
    assert decide_early(images, silent).outcome is Outcome.ALLOW
    found = [*silent, seen(Category.SEXUAL, 0.5, stage=Stage.IMAGE), seen(Category.SEXUAL, 0.9)]
    early = decide_early(images, found)
    assert (early.outcome, early.rule, early.stage) == (Outcome.REVIEW, "sexual.image.review", Stage.IMAGE)
    assert len(early.reasons) == 1


def test_severity_bands_decide_by_agreement() -> None:
    text = "categories: {sexual: {image: {severity: {review: 2, block: 6}}}}"
    for severity, outcome in ((0, "allow"), (2, "review"), (4, "review"), (6, "block")):
        found = [seen(Category.SEXUAL, 0.5, severity, Stage.IMAGE)]  # type: ignore[arg-type]
        assert decide(policy(text), found, Stage.IMAGE).outcome == outcome


def test_findings_of_another_stage_do_not_count() -> None:
    decision = decide(policy(VIOLENCE), [seen(Category.VIOLENCE, 0.0, stage=Stage.IMAGE)], Stage.PROMPT)
    assert decision.outcome is Outcome.BLOCK


def test_a_failed_check_never_opens_the_gate() -> None:
    assert decide_failure(policy(VIOLENCE), Stage.IMAGE, "boom").outcome is Outcome.BLOCK
    with pytest.raises(PolicyInvalid, match="on_error"):
        policy("defaults: {on_error: allow}\n" + VIOLENCE)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("categories: {violence: {prompt: {review: 0.9, block: 0.8}}}", "test.yaml:4"),
        ("categories: {violence: {image: {redact: 0.9, block: 0.8}}}", "test.yaml:4"),
        ("categories: {violence: {image: {severity: {review: 6, block: 4}}}}", "test.yaml:4"),
        ("categories: {violence: {prompt: {severity: {redact: 4}}}}", "test.yaml:4"),
        ("categories: {violence: {prompt: {redact: 0.4}}}", "test.yaml:4"),
        ("categories:\n  violence:\n    prompt: {blok: 0.8}", "test.yaml:6"),
        ("categories: {kittens: {}}", "test.yaml:4"),
        ("categories: {violence: {prompt: {block: 1.5}}}", "test.yaml:4"),
        ("categories: {}", "test.yaml:4"),
        ("categories: {violence: {prompt: [1, 2}}", "test.yaml:4"),
    ],
)
def test_faults_carry_file_and_line(text: str, where: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        policy(text)
    assert where in caught.value.message


@pytest.mark.parametrize(
    "band",
    [
        "{block: true}",  # as a number it would be 1: hardly anything scores that
        "{block: &a true}",
        "{redact: no, block: false}",
        "{block: '0.5'}",
        "{severity: {block: true}}",
        "{severity: {block: false}}",
        "{severity: {block: &a false}}",
    ],
)
def test_a_threshold_is_a_number(band: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"test\.yaml:4:\d+: categories\.sexual\.image\."):
        policy(f"categories: {{sexual: {{image: {band}}}}}")


@pytest.mark.parametrize("number", ["1", "1.0", "&a 1", "0.5", "5e-1"])
def test_a_threshold_may_be_written_as_any_number(number: str) -> None:
    assert policy(f"categories: {{sexual: {{image: {{block: {number}, severity: {{block: 6}}}}}}}}")


@pytest.mark.parametrize(
    "stages",
    ["{}", "{prompt: }", "{prompt: {}}", "{prompt: {block: }}", "{image: {severity: {}, on_not_assessed: allow}}"],
)
def test_a_rule_that_could_stop_nothing_is_refused(stages: str) -> None:
    with pytest.raises(PolicyInvalid, match="stop"):
        policy(f"categories: {{sexual: {{prompt: {{block: 0.5}}}}, violence: {stages}}}")


@pytest.mark.parametrize("category", ["text_in_image", "hash_match", "prompt_mismatch"])
@pytest.mark.parametrize("silence", ["block", "allow"])
def test_what_only_images_have_is_not_looked_for_in_prompts(category: str, silence: str) -> None:
    """Such a band would stop every prompt or, with its consent to silence, none, whatever the prompt."""
    band = f"{{block: 0.5, on_not_assessed: {silence}}}"
    with pytest.raises(
        PolicyInvalid, match=rf"test\.yaml:4:\d+: categories: .*'{category}' can be found in images alone"
    ):
        policy(f"categories: {{sexual: {{prompt: {band}}}, {category}: {{prompt: {band}, image: {band}}}}}")
    assert policy(f"categories: {{{category}: {{image: {band}}}}}")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_what_is_nested_without_end_is_refused(opening: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"^test\.yaml: .*nested"):
        parse_yaml(opening.encode() * 1000, "test.yaml", Policy)


@pytest.mark.parametrize("version", [r'"\0"', r'"\e[32m1"', r'"1\n"'])
def test_a_version_is_one_line_that_every_record_can_hold(version: str) -> None:
    header = HEADER.replace("'1'", version)
    with pytest.raises(PolicyInvalid, match="version"):
        parse_yaml((header + VIOLENCE).encode(), "test.yaml", Policy)


@pytest.mark.parametrize("version", ["2026.10", "7", "2026-10-01", "true"])
def test_a_version_that_yaml_takes_for_something_else_is_to_be_quoted(version: str) -> None:
    """2026.10 would be recorded as 2026.1."""
    with pytest.raises(PolicyInvalid, match=r"test\.yaml:3:\d+: metadata\.version: .*put it in quotes"):
        parse_yaml((HEADER.replace("'1'", version) + VIOLENCE).encode(), "test.yaml", Policy)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PolicyInvalid, match="pipe"):
        load_policy(tmp_path / "pipe")


def test_aliases_and_other_documents_are_refused() -> None:
    with pytest.raises(PolicyInvalid, match="alias"):
        policy("x: &a [1]\ny: *a\n" + VIOLENCE)
    for raw in (b"", b"[]", b"\xff\xfe", b"just text"):
        with pytest.raises(PolicyInvalid):
            parse_yaml(raw, "test.yaml", Policy)


def test_a_missing_or_enormous_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_policy(tmp_path / "none.yaml")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (2 << 20))
    with pytest.raises(PolicyInvalid):
        load_policy(big)


def test_the_digest_is_of_the_meaning_not_the_spelling() -> None:
    plain, commented = policy(VIOLENCE), policy("# a comment\n" + VIOLENCE)
    changed = policy(VIOLENCE.replace("0.8", "0.81"))
    assert plain.digest == commented.digest
    assert plain.digest != changed.digest
    images = [policy(f"categories: {{violence: {{image: {band}}}}}") for band in (
        "{review: 0.5}", "{review: 0.5, redact: 0.1}", "{review: 0.5, redact: 0.2}",
        "{review: 0.5, severity: {redact: 2}}", "{review: 0.5, severity: {redact: 4}}",
    )]  # fmt: skip
    assert len({image.digest for image in images}) == len(images)
    assert images[0].ref == PolicyRef(id="test", version="1", digest=images[0].digest)


@pytest.mark.parametrize("category", [*sorted(TermLists().categories), Category.SEXUAL_MINORS, Category.HASH_MATCH])
def test_the_shipped_policy_heeds_every_list_that_ships(category: Category) -> None:
    shipped = load_policy()
    stage = Stage.IMAGE if category is Category.HASH_MATCH else Stage.PROMPT
    findings = [seen(one, 0.9 * (one is category), 6 if one is category else 0, stage) for one in shipped.categories]
    decision = decide(shipped, findings, stage)
    assert (decision.outcome, decision.rule) == (Outcome.BLOCK, f"{category}.{stage}.block")


def test_the_shipped_policy_is_strict_about_silence() -> None:
    shipped = load_policy()
    for stage in Stage:
        assert decide(shipped, [], stage).outcome is Outcome.BLOCK
    assert Category.SEXUAL_MINORS in shipped.categories
