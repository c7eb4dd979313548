"""Try the checks with attack prompts: the prompt stage, then, where asked, a generator and the image stage."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from countermark.bench import machine
from countermark.bench.redteam.report import (
    AttackFile,
    GotThrough,
    LabelledCategory,
    Reason,
    Tally,
    TrialReport,
)
from countermark.bench.safety.sets import TERM, PromptRow, Skipped, read_rows
from countermark.errors import CountermarkError, NotFound, PromptInvalid
from countermark.model import Decision, Finding, GenerationRequest, Outcome, Stage
from countermark.pipeline import check_prompt
from countermark.policy import Policy, decide, decide_failure
from countermark.safety.known import Known, look_at

if TYPE_CHECKING:
    from countermark.generators.interface import Generator
    from countermark.safety.interface import ImageClassifier, PromptClassifier

SEED: Final = 1
EMBEDDED_NOTICE: Final = (
    "The embedded model draws simple scenes and cannot draw what attacks ask for: that nothing was stopped in its"
    " images says little about the image stage. Try it with the model that you release images of."
)
_ENDINGS: Final = frozenset({".jsonl", ".txt"})
Fate = Literal[
    "blocked_by_prompt", "held_by_prompt", "unseen_by_prompt", "blocked_by_image", "held_by_image", "unseen_by_image",
    "not_run", "passed",
]  # fmt: skip


@dataclass(frozen=True)
class Checks:
    """What is tried. Without a generator the trial ends behind the prompt stage."""

    policy: Policy
    prompt_safety: PromptClassifier
    image_safety: ImageClassifier
    generator: Generator | None = None


class Salt:
    """The key of a run's digests: who has the installation's pseudonym key can tell which prompt is meant."""

    def __init__(self, pseudonym_key: bytes, run: str) -> None:
        self._key = hmac.digest(pseudonym_key, b"red-team\0" + run.encode(), hashlib.sha256)

    def digest(self, text: str) -> str:
        """A prompt's digest, 64 hexadecimal digits."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    def digest_of_all(self, digests: Iterable[str]) -> str:
        """A digest over those of all prompts, in their order."""
        return self.digest("\0".join(digests))


@dataclass(frozen=True)
class Attack:
    """One prompt of a file."""

    file: str
    line: int
    row: PromptRow


@dataclass
class _Running:
    """Counts while a trial runs."""

    whole: Counter[Fate] = field(default_factory=Counter)
    files: dict[str, Counter[Fate]] = field(default_factory=dict)
    categories: dict[str, Counter[Fate]] = field(default_factory=dict)
    reasons: Counter[Reason] = field(default_factory=Counter)
    got_through: list[GotThrough] = field(default_factory=list)

    def add(self, attack: Attack, fate: Fate, decision: Decision | None, digest: str) -> None:
        named = sorted(attack.row.categories - {"unsafe"}) or ["unlabelled"]
        counters = [self.whole, self.files.setdefault(attack.file, Counter())]
        for counter in (*counters, *(self.categories.setdefault(name, Counter()) for name in named)):
            counter[fate] += 1
        if decision is not None and decision.outcome is not Outcome.ALLOW:
            self.reasons[_reason(decision)] += 1
        if fate == "passed":
            self.got_through.append(GotThrough(file=attack.file, line=attack.line, digest=digest))


def run_trial(
    folder: Path,
    checks: Checks,
    *,
    pseudonym_key: bytes,
    digest_key_id: str,
    advance: Callable[[int, int], None] = lambda done, whole: None,
) -> TrialReport:
    """Try every prompt of a folder and count what got through. Images are looked at and thrown away.

    Args:
        folder: ``.jsonl`` files in the format of ``bench safety``, labels or none, and ``.txt`` files of lines.
        checks: the stages, as the installation runs them.
        pseudonym_key: the installation's secret from which the digests are salted.
        digest_key_id: its name, to be said.
        advance: told (prompts tried, prompts altogether).

    Raises:
        NotFound: there is no such folder, or no prompt in it.
    """
    files, attacks, unfit = _read(folder)
    run, began, running = secrets.token_hex(16), _now(), _Running()
    salt = Salt(pseudonym_key, run)
    digests = []
    for number, attack in enumerate(attacks, 1):
        digests.append(salt.digest(attack.row.text))
        running.add(attack, *_try(checks, attack.row.text), digests[-1])
        advance(number, len(attacks))
    generator = checks.generator
    stages: tuple[Literal["prompt", "image"], ...] = ("prompt", "image") if generator else ("prompt",)
    detectors = {"prompt": checks.prompt_safety.detector, "image": checks.image_safety.detector}
    return TrialReport(
        run=run,
        began=began,
        ended=_now(),
        policy=checks.policy.ref,
        stages=stages,
        detectors={stage: detectors[stage] for stage in stages},
        generator=generator.model if generator else None,
        total=_tally(running.whole),
        files=tuple(
            AttackFile(
                name=name,
                tally=_tally(running.files.get(name, Counter())),
                labelled_safe=unfit[name, "safe"],
                unreadable=unfit[name, "unreadable"],
            )
            for name in files
        ),
        categories=tuple(
            LabelledCategory(category=name, tally=_tally(counts)) for name, counts in sorted(running.categories.items())
        ),
        reasons=tuple(reason.model_copy(update={"count": count}) for reason, count in running.reasons.most_common()),
        got_through=tuple(running.got_through),
        digest_key_id=digest_key_id,
        prompts_digest=salt.digest_of_all(digests),
        notices=(EMBEDDED_NOTICE,) if generator and generator.model.id.startswith("countermark") else (),
        machine=machine.describe(),
    )


def read_attacks(folder: Path) -> list[Attack]:
    """The prompts that a trial of this folder tries, in its order.

    Raises:
        NotFound: there is no such folder, or no prompt in it.
    """
    return _read(folder)[1]


def _read(folder: Path) -> tuple[list[str], list[Attack], Counter[tuple[str, str]]]:
    """File names, prompts, and how many lines of each file are labelled safe or are no prompts."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS and not p.is_dir())
    attacks: list[Attack] = []
    unfit: Counter[tuple[str, str]] = Counter()
    names = [path.relative_to(folder).as_posix() for path in paths]
    for name, path in zip(names, paths, strict=True):
        for number, row in read_rows(path):
            if isinstance(row, Skipped):
                unfit[name, "unreadable"] += 1
            elif row.unsafe is False or TERM in row.categories:
                unfit[name, "safe"] += 1
            else:
                attacks.append(Attack(name, number, row))
    if not attacks:
        raise NotFound(
            f"There is no attack prompt in {folder}.", remedy="Put .jsonl or .txt files there, a prompt a line."
        )
    return names, attacks, unfit


def _try(checks: Checks, text: str) -> tuple[Fate, Decision | None]:
    """One prompt through the stages, as the pipeline takes it: a stage that fails closes."""
    try:
        check_prompt(text)
    except PromptInvalid:
        return "not_run", None
    decision = _decided(checks.policy, Stage.PROMPT, lambda: checks.prompt_safety.assess(text))
    if decision.outcome is not Outcome.ALLOW:
        return _fate(decision), decision
    if checks.generator is None:
        return "passed", decision
    try:
        made = checks.generator.generate(GenerationRequest(prompt=text, seed=SEED))
    except CountermarkError:
        return "not_run", None
    look = partial(look_at, checks.image_safety, known=Known(prompt=text))
    for pixels in made.images:
        decision = _decided(checks.policy, Stage.IMAGE, partial(look, pixels))
        if decision.outcome is not Outcome.ALLOW:
            return _fate(decision), decision
    return "passed", decision


def _decided(policy: Policy, stage: Stage, look: Callable[[], tuple[Finding, ...]]) -> Decision:
    try:
        return decide(policy, look(), stage)
    except Exception as error:  # whatever a detector raises, the pipeline closes on it, and so does the trial
        return decide_failure(policy, stage, f"the {stage} checks failed: {type(error).__name__}")


def _fate(decision: Decision) -> Fate:
    by_image = decision.stage is Stage.IMAGE
    if decision.unseen or decision.rule.startswith("on_error"):
        return "unseen_by_image" if by_image else "unseen_by_prompt"
    if decision.outcome is Outcome.BLOCK:
        return "blocked_by_image" if by_image else "blocked_by_prompt"
    return "held_by_image" if by_image else "held_by_prompt"


def _reason(decision: Decision) -> Reason:
    return Reason(
        outcome=decision.outcome,
        category=decision.category,
        severity=decision.severity,
        stage=decision.stage,
        rule=decision.rule,
        count=0,
    )


def _tally(counts: Counter[Fate]) -> Tally:
    return Tally(prompts=sum(counts.values()), **{str(fate): count for fate, count in counts.items()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
