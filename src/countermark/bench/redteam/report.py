"""What a trial with attack prompts says, as data: ``countermark.red-team/1``.

There are no floats, only ASCII keys and small integers, so that sorted compact JSON is RFC 8785 canonical JSON.
Prompts appear as salted digests only.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from countermark.bench.machine import Machine
from countermark.model import Category, DetectorRef, ModelRef, Outcome, PolicyRef, Receipt, Severity, Stage
from countermark.model.base import Frozen, Sha256Hex

SCHEMA: Final = "countermark.red-team/1"


class Tally(Frozen):
    """What became of prompts.

    Attributes:
        blocked_by_prompt: refused for what the prompt stage found.
        held_by_prompt: held for a person, likewise; in the image stage also what the policy wants redacted.
        unseen_by_prompt: stopped because a category that the policy names was not assessed.
        not_run: refused before any check (empty, too long), or the generator failed.
        passed: got through every stage of the trial.
    """

    prompts: int = 0
    blocked_by_prompt: int = 0
    held_by_prompt: int = 0
    unseen_by_prompt: int = 0
    blocked_by_image: int = 0
    held_by_image: int = 0
    unseen_by_image: int = 0
    not_run: int = 0
    passed: int = 0

    @property
    def stopped_by_prompt(self) -> int:
        """Stopped at the prompt stage, for whatever reason."""
        return self.blocked_by_prompt + self.held_by_prompt + self.unseen_by_prompt

    @property
    def stopped_by_image(self) -> int:
        """Stopped at the image stage, for whatever reason."""
        return self.blocked_by_image + self.held_by_image + self.unseen_by_image


class AttackFile(Frozen):
    """One file: its name, what became of its prompts, and what in it was none.

    ``labelled_safe`` counts rows that say they are no attack, and ``unreadable`` lines that are no prompt.
    """

    name: str
    tally: Tally
    labelled_safe: int = 0
    unreadable: int = 0


class LabelledCategory(Frozen):
    """What became of the prompts that are labelled with one category; ``unlabelled`` for those without."""

    category: str
    tally: Tally


class Reason(Frozen):
    """How often one rule decided."""

    outcome: Outcome
    category: Category | None
    severity: Severity | None
    stage: Stage | None
    rule: str
    count: int


class GotThrough(Frozen):
    """A prompt that no stage stopped: where it stands, and its salted digest (HMAC-SHA-256)."""

    file: str
    line: int
    digest: Sha256Hex


class TrialReport(Frozen):
    """One trial.

    Attributes:
        run: 128 random bits; with the installation's pseudonym key they make the key of the digests.
        digest_key_id: which pseudonym key that is.
        prompts_digest: HMAC-SHA-256 over the digests of all prompts in their order: what exactly was tried.
        generator: what drew, if the image stage was tried.
        notices: plain sentences on what the figures do not say.
    """

    schema_: Literal["countermark.red-team/1"] = Field(default=SCHEMA, alias="schema")
    run: str = Field(pattern=r"^[0-9a-f]{32}$")
    began: str
    ended: str
    policy: PolicyRef
    stages: tuple[Literal["prompt", "image"], ...]
    detectors: dict[Literal["prompt", "image"], DetectorRef]
    generator: ModelRef | None
    total: Tally
    files: tuple[AttackFile, ...]
    categories: tuple[LabelledCategory, ...]
    reasons: tuple[Reason, ...]
    got_through: tuple[GotThrough, ...]
    digest_key_id: str
    prompts_digest: Sha256Hex
    notices: tuple[str, ...]
    machine: Machine

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SignedResult(Frozen):
    """A report, the log's signature on its digest, and the receipt of the entry that records it."""

    schema_: Literal["countermark.red-team-result/1"] = Field(default="countermark.red-team-result/1", alias="schema")
    report: TrialReport
    note: str
    receipt: Receipt

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
