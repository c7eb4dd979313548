"""Who is asked: the installation's own classifiers under its policy, and peers that anyone can install.

A peer has one score and no policy. It flags at a half, and says no category.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from countermark.bench.safety.sets import PromptRow
from countermark.errors import MissingExtra, UsageError
from countermark.model import Category, DetectorRef, FindingState, Outcome, Stage
from countermark.policy import Policy, decide

if TYPE_CHECKING:
    from countermark.safety.interface import PromptClassifier

WORD_LIST: Final = "word list"
PROFANITY: Final = "alt-profanity-check"
TFIDF: Final = "char TF-IDF"
PEERS: Final = (WORD_LIST, PROFANITY, TFIDF)
_FLAG: Final = 0.5
_FOLDS: Final = 4


@dataclass(frozen=True)
class Verdict:
    """What one judge says of one prompt.

    Attributes:
        risk: the greatest score of a category that policy has looked for; ``None`` where one of them was not assessed
            and nothing was found, so that the prompt has no place in a ranking.
        outcome: what policy does.
        found: stopped for something that was found, not because somebody could not look.
        category: what the decision names.
        scores: by category, of those assessed.
    """

    risk: float | None
    outcome: Outcome
    found: bool
    category: str = ""
    scores: dict[str, float] = field(default_factory=dict)


def looked_for(policy: Policy) -> frozenset[Category]:
    """The categories that policy has the prompt stage look for: it names them, and does not let silence pass."""
    bands = {category: stages.of(Stage.PROMPT) for category, stages in policy.categories.items()}
    return frozenset(c for c, band in bands.items() if band and policy.on_silence(band) is not Outcome.ALLOW)


class Judge(Protocol):
    """Anything that can be asked about prompts."""

    @property
    def name(self) -> str:
        """As the tables call it."""
        ...

    @property
    def task(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def detector(self) -> DetectorRef | None:
        """Which version it is, where it has a digest."""
        ...

    @property
    def names_categories(self) -> bool:
        """Whether it says what for."""
        ...

    def judge(self, row: PromptRow) -> Verdict:
        """Its word on one prompt."""
        ...


@dataclass(frozen=True)
class House:
    """A prompt classifier of this installation under a policy."""

    name: str
    classifier: PromptClassifier
    policy: Policy
    task: str = "the installation's prompt stage under its policy"
    names_categories: bool = True

    @property
    def detector(self) -> DetectorRef:
        """The classifier's."""
        return self.classifier.detector

    def judge(self, row: PromptRow) -> Verdict:
        """The findings of the categories that the policy names, and its decision."""
        findings = self.classifier.assess(row.text)
        decision = decide(self.policy, findings, Stage.PROMPT)
        named = looked_for(self.policy)
        scores: dict[str, float] = {}
        for finding in findings:
            if finding.score is not None and finding.category in named:
                category = finding.category.value
                scores[category] = max(finding.score, scores.get(category, 0.0))
        blind = any(f.state is FindingState.NOT_ASSESSED and f.category in named for f in findings)
        found = decision.outcome is not Outcome.ALLOW and not decision.unseen
        ranked = scores and (found or not blind)
        return Verdict(
            risk=max(scores.values()) if ranked else None,
            outcome=decision.outcome,
            found=found,
            category=decision.category.value if decision.category else "",
            scores=scores,
        )


def opinion(classifier: PromptClassifier, policy: Policy) -> House:
    """A second opinion by itself: judged by the policy's thresholds for the categories that it answers for."""
    own = {category: band for category, band in policy.categories.items() if category in classifier.categories}
    alone = policy.model_copy(update={"categories": own})
    return House(classifier.detector.id, classifier, alone, "a second opinion of the settings, by itself")


class _Scorer:
    """A peer: one score from 0 to 1."""

    names_categories = False
    detector = None

    def __init__(self, name: str, task: str, score: Callable[[PromptRow], float]) -> None:
        self.name = name
        self.task = task
        self._score = score

    def judge(self, row: PromptRow) -> Verdict:
        score = self._score(row)
        flagged = score >= _FLAG
        return Verdict(score, Outcome.BLOCK if flagged else Outcome.ALLOW, flagged)


def peer(name: str, rows: Sequence[PromptRow], terms: Iterable[str]) -> Judge:
    """A peer by name.

    Args:
        name: one of :data:`PEERS`.
        rows: the labelled prompts of the run; TF-IDF learns from those of other sources than the one asked about.
        terms: offensive words.

    Raises:
        UsageError: unknown, or the run has not what it needs.
        MissingExtra: its package is not installed.
    """
    if name == WORD_LIST:
        return _word_list(terms)
    if name == PROFANITY:
        return _profanity()
    if name == TFIDF:
        return _tfidf(rows)
    raise UsageError(f"There is no peer called {name!r}.", remedy=f"Choose of: {', '.join(PEERS)}.")


def _word_list(terms: Iterable[str]) -> Judge:
    words = sorted(terms, key=len, reverse=True)
    if not words:
        raise UsageError(
            "It needs a list of offensive words, and the folder of prompts holds none.",
            remedy='Add lines such as {"text": "word", "labels": {"term": 1}}.',
        )
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    task = f"{len(words):,} offensive words, found whole"
    return _Scorer(WORD_LIST, task, lambda row: float(pattern.search(row.text.lower()) is not None))


def _profanity() -> Judge:
    try:
        import profanity_check
    except ImportError as error:
        raise MissingExtra("bench", f"The peer {PROFANITY}") from error
    predict: Callable[[list[str]], Any] = profanity_check.predict_prob
    return _Scorer(PROFANITY, "a linear model of swearing", lambda row: float(predict([row.text])[0]))


def _tfidf(rows: Sequence[PromptRow]) -> Judge:
    """Character n-grams and logistic regression, fitted so that no fold's model saw the sources that it judges.

    Sources of one family (up to the first underscore) stay together: a set's safe half would otherwise teach that its
    unsafe half is safe.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError as error:
        raise MissingExtra("bench", f"The peer {TFIDF}") from error
    fold_of = _folds(rows)
    models = {}
    for fold in set(fold_of.values()):
        seen = [row for row in rows if fold_of[_family(row)] != fold]
        labels = [int(bool(row.unsafe)) for row in seen]
        if len(set(labels)) < 2:
            raise UsageError(
                "Without the sources it would judge, there are not both safe and unsafe prompts to learn from.",
                remedy="Give labelled prompts, safe and unsafe, of at least two sources.",
            )
        model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, max_features=60_000, sublinear_tf=True),
            LogisticRegression(C=4.0, class_weight="balanced", max_iter=300),
        )
        models[fold] = model.fit([row.text for row in seen], np.array(labels))

    def score(row: PromptRow) -> float:
        return float(models[fold_of[_family(row)]].predict_proba([row.text])[0, 1])

    return _Scorer(TFIDF, f"n-grams and logistic regression, fitted here on other sources ({len(models)} folds)", score)


def _family(row: PromptRow) -> str:
    return row.source.partition("_")[0]


def _folds(rows: Sequence[PromptRow]) -> dict[str, int]:
    """Families to folds, the largest first and each to the fold that is smallest by then."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[_family(row)] = sizes.get(_family(row), 0) + 1
    filled = [0] * min(_FOLDS, len(sizes))
    fold_of = {}
    for family in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold_of[family] = filled.index(min(filled))
        filled[fold_of[family]] += sizes[family]
    return fold_of
