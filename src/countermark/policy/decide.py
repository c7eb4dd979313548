"""From findings to a decision: the strictest rule that fires wins, and silence is never consent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from countermark.model import (
    ON_NOT_ASSESSED,
    UNUSABLE,
    Category,
    Decision,
    Finding,
    FindingState,
    Outcome,
    Severity,
    Stage,
)
from countermark.policy.schema import Band, Policy


@dataclass(frozen=True)
class _Hit:
    outcome: Outcome
    rule: str
    reason: str
    category: Category | None = None
    severity: Severity | None = None
    scored: bool = False
    """Whether something was found, rather than not looked for."""
    unseen: str = ""
    """Why the category was not assessed, where that is what the rule fired on."""

    @property
    def weight(self) -> tuple[int, bool, int]:
        """Of two that are as strict, what somebody saw decides before what nobody could look at."""
        return self.outcome.rank, self.scored, self.severity or 0


def decide(policy: Policy, findings: Iterable[Finding], stage: Stage) -> Decision:
    """Judge the findings of one stage.

    Every category that the policy names for this stage must have been assessed: a category with no finding at all, or
    with any finding that was ``not_assessed``, falls under ``on_not_assessed`` (default: block). A decision that rests
    on that names no category, since nobody saw any: a trail searched for one must not turn up those whose request could
    not be looked at. Its reasons tell which categories were not assessed, and why.

    Args:
        policy: the policy in force.
        findings: every finding of the stage; those of other stages are left aside.
        stage: prompt or image.
    """
    return _decision(policy, _hits(policy, findings, stage), stage)


def decide_early(policy: Policy, findings: Iterable[Finding]) -> Decision:
    """Judge a preview of an image that is still being made: by what was found alone.

    What a preview could not be looked at for proves nothing yet; the finished image is judged by :func:`decide`.
    """
    hits = _hits(policy, findings, Stage.IMAGE)
    return _decision(policy, [hit for hit in hits if hit.scored], Stage.IMAGE)


def redactable(policy: Policy, findings: Iterable[Finding]) -> frozenset[Category]:
    """The categories of which something was found in the image that the policy wants redacted."""
    hits = _hits(policy, findings, Stage.IMAGE)
    return frozenset(hit.category for hit in hits if hit.outcome is Outcome.REDACT and hit.scored and hit.category)


def decide_failure(policy: Policy, stage: Stage, reason: str) -> Decision:
    """The decision when a stage itself failed (a detector raised): ``on_error``, which can only hold or block."""
    return _decision(policy, [_Hit(policy.defaults.on_error, f"on_error.{stage}", reason)], stage)


def name_mismatch(decision: Decision, findings: Iterable[Finding]) -> Decision:
    """Where an image is stopped for what its prompt was found not to ask for, have the reasons say so.

    It tells whoever reads the refusal that the generator went astray, or that the prompt hid what it was after; the
    outcome is the same either way.

    Args:
        decision: any; one that stops no image, or on nothing that was seen there, comes back as it is.
        findings: of both stages.
    """
    category = decision.category
    if decision.stage is not Stage.IMAGE or category is None:
        return decision
    told = [finding for finding in findings if finding.category is category]
    seen = any(finding.stage is Stage.IMAGE and finding.severity for finding in told)
    asked = [finding for finding in told if finding.stage is Stage.PROMPT]
    scores = [finding.score for finding in asked if finding.score is not None]
    if not seen or not asked or len(scores) < len(asked) or any(finding.severity for finding in asked):
        return decision
    said = f"The image does not match its prompt, which was found harmless of {category} (score {max(scores):.2f})."
    return decision.model_copy(update={"reasons": (*decision.reasons, said)})


def _hits(policy: Policy, findings: Iterable[Finding], stage: Stage) -> list[_Hit]:
    by_category: dict[Category, list[Finding]] = {}
    for finding in findings:
        if finding.stage is stage:
            by_category.setdefault(finding.category, []).append(finding)
    hits: list[_Hit] = []
    for category, stages in policy.categories.items():
        band = stages.of(stage)
        if band is not None:
            hits.extend(_judge(policy, category, stage, band, by_category.get(category, [])))
    return hits


def _judge(policy: Policy, category: Category, stage: Stage, band: Band, findings: list[Finding]) -> list[_Hit]:
    rule = f"{category}.{stage}"
    hits: list[_Hit] = []
    unseen = [f for f in findings if f.state is FindingState.NOT_ASSESSED]
    if unseen or not findings:
        why = "; ".join(dict.fromkeys(f.reason for f in unseen)) or "no detector of this category is installed"
        reason = f"{category} was not assessed: {why}."
        unusable = any(UNUSABLE in f.signals for f in unseen)
        outcome = policy.on_unusable(band) if unusable else policy.on_silence(band)
        hits.append(_Hit(outcome, f"{ON_NOT_ASSESSED}.{stage}", reason, category, unseen=why))
    for finding in findings:
        if finding.score is None:
            continue
        for outcome, threshold, severity in (
            (Outcome.BLOCK, band.block, band.severity.block),
            (Outcome.REVIEW, band.review, band.severity.review),
            (Outcome.REDACT, band.redact, band.severity.redact),
        ):
            by_score = threshold is not None and finding.score >= threshold
            by_severity = severity is not None and finding.severity >= severity
            if by_score or by_severity:
                measure = (
                    f"score {finding.score:.2f}, at or above {threshold:.2f}"
                    if by_score
                    else f"severity {finding.severity}, at or above {severity}"
                )
                reason = f"{category} in the {stage}: {measure} ({finding.detector.id})."
                hits.append(_Hit(outcome, f"{rule}.{outcome}", reason, category, finding.severity, scored=True))
                break
    return hits


def _decision(policy: Policy, hits: list[_Hit], stage: Stage) -> Decision:
    fired = sorted((h for h in hits if h.outcome is not Outcome.ALLOW), key=lambda h: h.weight, reverse=True)
    top = fired[0] if fired else _Hit(Outcome.ALLOW, f"allow.{stage}", "")
    return Decision(
        outcome=top.outcome,
        rule=top.rule,
        policy_id=policy.metadata.id,
        policy_version=policy.metadata.version,
        policy_digest=policy.digest,
        reasons=_reasons(fired),
        category=top.category if top.scored else None,
        severity=top.severity,
        stage=stage if fired else None,
    )


def _reasons(fired: list[_Hit]) -> tuple[str, ...]:
    """Each reason once; categories that were not assessed for the same cause, in one sentence."""
    alike: dict[str, list[_Hit]] = {}
    for hit in fired:
        alike.setdefault(hit.unseen or hit.reason, []).append(hit)
    return tuple(_together(cause, hits) for cause, hits in alike.items())


def _together(cause: str, hits: list[_Hit]) -> str:
    if len(hits) == 1 or not hits[0].unseen:
        return hits[0].reason
    *others, last = [str(hit.category) for hit in hits]
    return f"{', '.join(others)} and {last} were not assessed: {cause}."
