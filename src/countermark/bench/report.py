"""What a measurement of watermarks says, as data: ``countermark.bench.watermark/1``."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Literal

from pydantic import ConfigDict, Field

from countermark.bench.attacks.attack import CONTROL, LIMITS
from countermark.bench.machine import Machine
from countermark.model.base import Frozen

OURS = "lattice"
"""The backend whose means are set in ratio to the others'."""


class AttackRow(Frozen):
    """One attack of the run."""

    name: str
    group: str
    core: bool

    @property
    def aside(self) -> str:
        """What has to be said of its group beside the name; nothing of the core."""
        if self.core:
            return ""
        return "in no mean" if self.group == LIMITS else "beyond the core"


class PictureRow(Frozen):
    """One picture of the run; ``sha256`` is of shape and decoded pixels."""

    name: str
    width: int
    height: int
    sha256: str


class SkippedRow(Frozen):
    """A file that could not be used."""

    name: str
    reason: str


class Pictures(Frozen):
    """The set that was measured. Figures of the role ``tuning`` are never to be reported."""

    name: str
    role: Literal["reporting", "tuning", "user"]
    notice: str
    pictures: tuple[PictureRow, ...]
    skipped: tuple[SkippedRow, ...] = ()


class Tally(Frozen):
    """Outcomes of one attack over all pictures.

    Attributes:
        recovered: the whole payload was right.
        missed: nothing was found, or not the whole payload.
        wrong: another payload was found and vouched for; only a backend that knows absence can do so.
        refused: marking or reading refused the picture, for its size mostly; counted as a miss.
        missed_on: the pictures that were not recovered.
    """

    recovered: int = 0
    missed: int = 0
    wrong: int = 0
    refused: int = 0
    missed_on: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of pictures recovered."""
        return self.recovered / (self.recovered + self.missed + self.wrong + self.refused)


class Cost(Frozen):
    """CPU milliseconds on a picture of 1024×1024; ``None`` where the backend refused it."""

    embed: float | None
    detect: float | None
    unmarked: float | None


class BackendReport(Frozen):
    """One watermark's figures.

    Attributes:
        attacks: by the attack's name.
        psnr: mean over pictures, decibels; ``None`` where every picture was refused.
        ssim: mean over pictures; ``None`` where not measured.
        unmarked: unmarked pictures examined; 0 for a backend without a test of presence.
        false_detections: how many of them were said to be marked.
    """

    name: str
    task: str
    attacks: dict[str, Tally]
    psnr: float | None
    ssim: float | None
    unmarked: int
    false_detections: int
    cost: Cost | None = None

    @property
    def attempts(self) -> int:
        """Pictures times attacks."""
        return sum(t.recovered + t.missed + t.wrong + t.refused for t in self.attacks.values())

    @property
    def refused(self) -> int:
        """How many of these were refused, mostly for their size; they count as not recovered."""
        return sum(tally.refused for tally in self.attacks.values())

    @property
    def wrong_payloads(self) -> int:
        """Payloads that were vouched for and are not the embedded ones; must be none."""
        return sum(tally.wrong for tally in self.attacks.values())

    def recovery(self, attacks: Iterable[AttackRow]) -> float | None:
        """Mean share over some attacks; ``None`` over none."""
        shares = [self.attacks[attack.name].share for attack in attacks]
        return fmean(shares) if shares else None


class Report(Frozen):
    """One run. The schema's figures are counts; the totals are printed with them so that no reader has to add."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["countermark.bench.watermark/1"] = Field(default="countermark.bench.watermark/1", alias="schema")
    set: Pictures
    psnr_target: float
    attacks: tuple[AttackRow, ...]
    backends: tuple[BackendReport, ...]
    totals: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    ratios: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    machine: Machine

    @property
    def groups(self) -> dict[str, tuple[AttackRow, ...]]:
        """The attacks by group, in order."""
        grouped: dict[str, list[AttackRow]] = {}
        for attack in self.attacks:
            grouped.setdefault(attack.group, []).append(attack)
        return {group: tuple(rows) for group, rows in grouped.items()}

    @property
    def real(self) -> tuple[AttackRow, ...]:
        """The attacks without the unaltered picture and the limits."""
        return tuple(attack for attack in self.attacks if attack.group not in (CONTROL, LIMITS))

    @property
    def core(self) -> tuple[AttackRow, ...]:
        """The attacks of the core suite, without the unaltered picture."""
        return tuple(attack for attack in self.real if attack.core)

    def to_json(self) -> str:
        """The report as JSON, indented."""
        return self.model_dump_json(by_alias=True, indent=2)


def with_totals(report: Report) -> Report:
    """The report with its means by backend, and how many times our means are each peer's; no ratio to nothing."""
    totals: dict[str, dict[str, float | None]] = {}
    for backend in report.backends:
        groups = {group: backend.recovery(rows) for group, rows in report.groups.items()}
        totals[backend.name] = {"core": backend.recovery(report.core), "all": backend.recovery(report.real)} | groups
    ours = totals.get(OURS, {})
    ratios = {
        backend.name: {span: _ratio(ours[span], totals[backend.name][span]) for span in ("core", "all")}
        for backend in report.backends
        if ours and backend.name != OURS
    }
    return report.model_copy(update={"totals": totals, "ratios": ratios})


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
