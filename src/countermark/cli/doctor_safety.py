"""What ``countermark doctor`` says of the checks: policy, detectors, second opinions and hash lists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from countermark.cli.diagnosis import Diagnosis, guarded
from countermark.errors import CountermarkError

if TYPE_CHECKING:
    from countermark.model import Stage
    from countermark.safety.adapters.opinion import Opinion
    from countermark.safety.adapters.options import Options
    from countermark.safety.hash_store import HashListStore
    from countermark.settings import Settings


def checks(settings: Settings) -> Iterator[Diagnosis]:
    """Policy, the shipped detectors, second opinions, and whether anybody looks for what policy names."""
    from countermark.model import Stage

    yield from guarded("policy", lambda: _policy(settings))
    yield from guarded("prompt models", lambda: _prompt_models(settings))
    yield from guarded("image models", lambda: _image_models(settings))
    yield from _opinions(settings)
    for stage in Stage:
        try:
            yield from _silence(settings, stage)
        except CountermarkError:
            continue  # told above


def _policy(settings: Settings) -> Diagnosis:
    from countermark.policy import load_policy

    ref = load_policy(settings.policy).ref
    return Diagnosis("policy", "ok", f"{ref.id} {ref.version}, sha256 {ref.digest[:16]}…")


def _prompt_models(settings: Settings) -> Diagnosis:
    """The shipped models and the lists, those of names too, that settings name."""
    from countermark.compose import default_prompt_safety
    from countermark.safety import PromptEnsemble

    default_prompt_safety(settings)
    ensemble = PromptEnsemble(terms=settings.safety.prompt.terms, verify=True)
    return Diagnosis("prompt models", "ok", f"{ensemble.detector.id} {ensemble.detector.version}, digests match")


def _image_models(settings: Settings) -> Diagnosis:
    """The shipped models, and NudeNet and the reader of words where settings ask for them."""
    from countermark.compose import default_image_safety
    from countermark.safety import ImageEnsemble

    default_image_safety(settings)
    ensemble = ImageEnsemble(verify=True)
    return Diagnosis("image models", "ok", f"{ensemble.detector.id} {ensemble.detector.version}, digests match")


def _opinions(settings: Settings) -> Iterator[Diagnosis]:
    """Each second opinion that settings name, made ready as far as that goes without sending anything."""
    from countermark.safety.adapters.build import image_opinion, prompt_opinion

    for number, options in enumerate(settings.safety.prompt.opinions, 1):
        name = f"prompt opinion {number} ({options.kind})"
        yield from guarded(name, partial(_opinion, name, prompt_opinion(options), options))
    for number, image_options in enumerate(settings.safety.image.opinions, 1):
        name = f"image opinion {number} ({image_options.kind})"
        yield from guarded(name, partial(_opinion, name, image_opinion(image_options), image_options))


def _opinion(name: str, opinion: Opinion, options: Options) -> Diagnosis:
    from countermark.safety.adapters.options import ServiceOptions

    opinion.load()
    who = opinion.detector
    state = f"sha256 {who.digest}" if who.digest else "loaded"
    if isinstance(options, ServiceOptions):
        state = f"its key is there; asks {urlsplit(options.url).hostname}, which was not tried"
    return Diagnosis(name, "ok", f"{who.id} ({', '.join(sorted(opinion.categories))}), {options.when}; {state}")


def _silence(settings: Settings, stage: Stage) -> Iterator[Diagnosis]:
    """What policy stops without a look at it, for nobody is there to look."""
    from countermark.compose import default_image_safety, default_prompt_safety
    from countermark.compose import hash_lists as lists
    from countermark.model import Category, Outcome, Stage
    from countermark.policy import load_policy

    policy = load_policy(settings.policy)
    safety = default_prompt_safety(settings) if stage is Stage.PROMPT else default_image_safety(settings)
    sought = set(safety.categories)
    if not lists.hash_lists(settings.home).names():
        sought.discard(Category.HASH_MATCH)
    bands = {category: stages.of(stage) for category, stages in policy.categories.items()}
    unseen = [
        c for c, band in bands.items() if band and c not in sought and policy.on_silence(band) is not Outcome.ALLOW
    ]
    if unseen:
        yield Diagnosis(
            f"policy on every {stage}",
            "warning",
            f"nothing that is set up looks for {', '.join(unseen)} in the {stage}: policy stops every {stage}",
            "Set up what does (docs/second-opinions.md, docs/hash-lists-and-redaction.md), or leave it out there.",
        )


def hash_lists(settings: Settings) -> Iterator[Diagnosis]:
    """Each imported list, and whether policy heeds them."""
    from countermark.compose import hash_lists as lists

    store = lists.hash_lists(settings.home)
    try:
        names = store.names()
    except CountermarkError as error:
        yield Diagnosis("hash lists", "failed", error.message, error.remedy)
        return
    for name in names:
        yield from guarded(f"hash list {name}", partial(_hash_list, store, name))
    if names:
        yield from guarded("hash lists", lambda: _heeded(settings))


def _hash_list(store: HashListStore, name: str) -> Diagnosis:
    return Diagnosis(f"hash list {name}", "ok", f"{len(store.read(name)):,} hashes")


def _heeded(settings: Settings) -> Diagnosis:
    from countermark.model import Category, Outcome
    from countermark.policy import load_policy

    policy = load_policy(settings.policy)
    stages = policy.categories.get(Category.HASH_MATCH)
    if stages is None or stages.image is None:
        remedy = "Name it in your policy: hash_match: {image: {severity: {review: 2, block: 6}}}"
        return Diagnosis("hash lists", "warning", "policy does not name hash_match: a hit stops nothing", remedy)
    if policy.on_silence(stages.image) is Outcome.ALLOW:
        remedy = "Take on_not_assessed away from hash_match in your policy: then it stops these, too."
        return Diagnosis("hash lists", "warning", "policy lets pass what a list could not be asked about", remedy)
    return Diagnosis("hash lists", "ok", "policy heeds them, and stops what they could not be asked about")
