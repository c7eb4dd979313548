"""The prompt stage: term lists, the minors rule and the model, put together.

For each category of the prompt stage there is at least one finding, the most severe that any detector has. A category
that no installed detector answers for is "not assessed": a term list alone can find, never clear.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Final

from countermark.errors import CountermarkError
from countermark.model import MAX_PROMPT_CHARS, Category, DetectorRef, Finding, FindingState, Stage
from countermark.safety.allowlist import Allowlist
from countermark.safety.interface import PROMPT_CATEGORIES, not_assessed
from countermark.safety.minors import MinorsRule
from countermark.safety.normalise import NORMALISER_VERSION, normalise
from countermark.safety.prompt_model import PromptModel
from countermark.safety.terms import TermLists

_ID: Final = "countermark.prompt-safety"


class PromptEnsemble:
    """Every shipped prompt detector behind one :class:`~countermark.safety.interface.PromptClassifier`.

    Args:
        model: the learned classifier; by default the shipped one, with the allowlist of ``terms``.
        terms: the folder of term lists; the shipped ones by default.
        verify: load the model now, and raise if it cannot be used.

    Raises:
        PolicyInvalid: a term list cannot be used.
        WeightsMissing: with ``verify``, a model file is not there.
        WeightsMismatch: with ``verify``, a model file is not the released one.
    """

    def __init__(self, model: PromptModel | None = None, *, terms: Path | None = None, verify: bool = False) -> None:
        self._allowlist = Allowlist(terms)
        self._model = model if model is not None else PromptModel(allowlist=self._allowlist, verify=verify)
        self._terms = TermLists(terms)
        self._minors = MinorsRule(terms)

    @cached_property
    def detector(self) -> DetectorRef:
        """The ensemble; its digest covers the digests of its parts."""
        parts = (self._model.detector, self._allowlist.detector, self._terms.detector, self._minors.detector)
        joined = "\0".join(f"{part.id} {part.version} {part.digest}" for part in parts)
        return DetectorRef(id=_ID, version=NORMALISER_VERSION, digest=hashlib.sha256(joined.encode()).hexdigest())

    @property
    def categories(self) -> frozenset[Category]:
        """The model's categories, and sexual content about minors. Term lists find; alone they answer for none."""
        return self._model.categories | {Category.SEXUAL_MINORS}

    def assess(self, text: str) -> tuple[Finding, ...]:
        """At least one finding for each category of the prompt stage, in their order; never quotes the prompt."""
        if not text.strip() or len(text) > MAX_PROMPT_CHARS:
            reason = (
                "the prompt is empty"
                if not text.strip()
                else f"the prompt is longer than {MAX_PROMPT_CHARS:,} characters"
            )
            return tuple(not_assessed(Stage.PROMPT, category, self.detector, reason) for category in PROMPT_CATEGORIES)
        by_category: dict[Category, Finding] = {finding.category: finding for finding in self._model.assess(text)}
        model_read_it = all(finding.state is FindingState.ASSESSED for finding in by_category.values())
        readings: tuple[str, ...] = (text.lower(),)
        signals: tuple[str, ...] = ()
        try:
            normalised = normalise(text)
        except CountermarkError:  # no lexicon: the model cannot run either, so the rules alone can only find, not clear
            pass
        else:
            readings = tuple(dict.fromkeys((text.lower(), normalised.text)))
            signals = tuple(sorted(normalised.signals))
        for hit in self._terms.findings(*readings, signals=signals):
            by_category[hit.category] = _worse(by_category.get(hit.category), hit)
        minors = self._minors.finding(
            *readings, sexual_score=by_category[Category.SEXUAL].score, may_clear=model_read_it, signals=signals
        )
        if minors is not None:
            by_category[Category.SEXUAL_MINORS] = minors
        elif unread := next((f for f in by_category.values() if f.state is FindingState.NOT_ASSESSED), None):
            # The rule waits for a model that has read the prompt, and the model says why none has.
            by_category[Category.SEXUAL_MINORS] = unread.model_copy(update={"category": Category.SEXUAL_MINORS})
        return tuple(by_category.get(category) or self._unassessed(category) for category in PROMPT_CATEGORIES)

    def _unassessed(self, category: Category) -> Finding:
        return not_assessed(
            Stage.PROMPT, category, self.detector, f"no installed prompt detector answers for {category.value}"
        )


def _worse(one: Finding | None, other: Finding) -> Finding:
    if one is None or one.score is None or other.score is None:
        return other
    return max(one, other, key=lambda finding: (finding.severity, finding.score))
