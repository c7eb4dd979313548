"""What a measurement of safety says, as data: ``countermark.bench.safety/1``."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from countermark.bench.machine import Machine
from countermark.bench.safety.figures import Estimate, Ranking
from countermark.bench.safety.sets import Kind, Role
from countermark.model import DetectorRef, PolicyRef
from countermark.model.base import Frozen

TRAINED_NOTICE = "Our models were trained on rows of these sources: not a reported figure."


class Outcomes(Frozen):
    """What became of a group of prompts or pictures.

    Attributes:
        held: stopped for a person to see, for what was found.
        blocked: refused for what was found.
        not_assessed: stopped because some category that the policy names was not assessed.
    """

    of: int
    held: int
    blocked: int
    not_assessed: int
    flagged: Estimate | None
    """Held or blocked for what was found."""


class SourceFigures(Frozen):
    """One source's prompts.

    Attributes:
        against: what the unsafe rows are ranked against: the source's own safe rows, or the harmless prompts of all.
    """

    source: str
    kind: Kind
    safe: Outcomes
    unsafe: Outcomes
    against: Literal["own", "all"]
    ranking: Ranking | None


class CategoryFigures(Frozen):
    """Prompts labelled with one category, against the harmless.

    Attributes:
        in_policy: whether the policy has it looked for: names it, and does not let silence pass. What it does not have
            looked for is in no overall figure.
        ranking: by the overall risk, whatever category it comes from.
        own_auroc: by this category's own score.
        outcomes: at the policy's thresholds.
        named_right: among those refused or held, the share in which the decision names a labelled category.
    """

    category: str
    in_policy: bool
    ranking: Ranking | None
    own_auroc: float | None
    outcomes: Outcomes
    named_right: Estimate | None


class LanguageFigures(Frozen):
    """Prompts of one language; empty where rows do not say."""

    language: str
    safe: Outcomes
    unsafe: Outcomes
    ranking: Ranking | None


class EvasionFigures(Frozen):
    """A sample of unsafe and harmless prompts in disguise.

    Attributes:
        kept: how many unsafe prompts are flagged in disguise over how many without.
        stopped: the share of unsafe prompts that do not pass, those that were not assessed included.
        harmless_flagged: of harmless prompts in the same disguise.
    """

    evasion: str
    kept: Estimate | None
    stopped: Estimate | None
    harmless_flagged: Estimate | None


class WrappedFigures(Frozen):
    """The harmless prompts in one style, or in all of them.

    Attributes:
        outcomes: at the policy's thresholds.
        ratio: of those flagged to those flagged without style words; ``None`` where none is.
        ratio_at_5_percent: likewise at the threshold at which 5 % of the plain ones are.
    """

    outcomes: Outcomes
    ratio: Estimate | None
    ratio_at_5_percent: Estimate | None


class StyleFigures(Frozen):
    """Harmless prompts wrapped in style words, each in every style: how many more are flagged.

    Attributes:
        plain: as they are, at the policy's thresholds.
        without_stop: less the full stop at their end, which wrapping takes away: what that does by itself.
        wrapped: in all styles together.
        styles: in each of them, by what is put around a prompt.
    """

    plain: Outcomes
    without_stop: WrappedFigures
    wrapped: WrappedFigures
    styles: dict[str, WrappedFigures]


class JudgeFigures(Frozen):
    """One judge's figures on one part of the prompts.

    ``ranking_without_stops`` is that of the same prompts less the full stop at their end: captions have one, requests
    often do not, and a classifier may have learnt that.
    """

    name: str
    harmless: Outcomes
    hard: Outcomes
    unsafe: Outcomes
    ranking: Ranking | None
    ranking_without_stops: Ranking | None
    against_hard: Ranking | None
    hard_flagged_at_1_percent: Estimate | None
    hard_flagged_at_5_percent: Estimate | None
    named_right: Estimate | None
    sources: tuple[SourceFigures, ...]
    categories: tuple[CategoryFigures, ...] = ()
    languages: tuple[LanguageFigures, ...] = ()
    evasions: tuple[EvasionFigures, ...] = ()
    style: StyleFigures | None = None
    curve: tuple[tuple[float, float], ...] = ()
    """False-positive rate and recall, thinned out for drawing."""


class Part(Frozen):
    """The prompts of one role. Figures of the role ``trained_on`` are never to be reported."""

    role: Role
    notice: str
    rows: dict[str, int]
    """By source, after sampling."""
    judges: tuple[JudgeFigures, ...]


class Latency(Frozen):
    """CPU milliseconds of all threads for one prompt or picture."""

    median: float
    percentile_95: float
    of: int


class JudgeRow(Frozen):
    """Who was asked."""

    name: str
    task: str
    detector: DetectorRef | None
    latency: Latency


class Absent(Frozen):
    """A peer that could not be asked, and why."""

    name: str
    reason: str


class PictureLabel(Frozen):
    """The pictures of one label: a sub-folder's name.

    Attributes:
        blocked: of those that could be looked at, with the exact interval; likewise ``held``.
    """

    label: str
    outcomes: Outcomes
    blocked: Estimate | None
    held: Estimate | None
    flagged_by: dict[str, int]
    """Per detector: pictures on which it alone reported a severity above 0."""


class PictureFigures(Frozen):
    """The image stage."""

    set: str
    labels: tuple[PictureLabel, ...]
    skipped: int
    detector: DetectorRef
    latency: dict[str, Latency]
    """The whole stage, and each of its models; at 1024 × 1024 pixels."""


class SkippedLines(Frozen):
    """Lines that are no prompts: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()


class Report(Frozen):
    """One run.

    Attributes:
        read: prompts and words, by source, before any was left out.
        duplicates: left out because an earlier one has the same text; ``contradictory`` of them with the other label.
        unlabelled: left out because nothing says whether they are unsafe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["countermark.bench.safety/1"] = Field(default="countermark.bench.safety/1", alias="schema")
    policy: PolicyRef
    limit: int
    read: dict[str, int]
    duplicates: int
    contradictory: int = 0
    unlabelled: int = 0
    skipped: SkippedLines
    judges: tuple[JudgeRow, ...]
    absent: tuple[Absent, ...]
    parts: tuple[Part, ...]
    pictures: PictureFigures | None
    machine: Machine

    def to_json(self) -> str:
        """The report as JSON, indented."""
        return self.model_dump_json(by_alias=True, indent=2)
