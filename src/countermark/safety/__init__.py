"""The safety room: what a request asks for and what an image shows, by category.

``PromptEnsemble`` and ``ImageEnsemble`` are the shipped detectors, each ready to use without arguments. Detectors
answer with findings; what follows from a finding is for policy to say. All names are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.safety.entities import EntityPrompts
    from countermark.safety.hash_list import HashListClassifier
    from countermark.safety.hash_store import HashListStore
    from countermark.safety.image_ensemble import ImageEnsemble
    from countermark.safety.image_models import NsfwJsMid, OpenNsfw, OwenSafety
    from countermark.safety.interface import ImageClassifier, PromptClassifier, risk
    from countermark.safety.minors import MinorsRule
    from countermark.safety.multilingual import MultilingualPrompts
    from countermark.safety.normalise import NORMALISER_VERSION, NormalisedText
    from countermark.safety.nudenet import NudeNet
    from countermark.safety.prompt_ensemble import PromptEnsemble
    from countermark.safety.prompt_model import PromptModel
    from countermark.safety.terms import TermLists
    from countermark.safety.text_in_image import TextInImage

__all__ = [
    "NORMALISER_VERSION",
    "EntityPrompts",
    "HashListClassifier",
    "HashListStore",
    "ImageClassifier",
    "ImageEnsemble",
    "MinorsRule",
    "MultilingualPrompts",
    "NormalisedText",
    "NsfwJsMid",
    "NudeNet",
    "OpenNsfw",
    "OwenSafety",
    "PromptClassifier",
    "PromptEnsemble",
    "PromptModel",
    "TermLists",
    "TextInImage",
    "risk",
]

_HOMES = {
    "EntityPrompts": "entities",
    "MultilingualPrompts": "multilingual",
    "NORMALISER_VERSION": "normalise",
    "HashListClassifier": "hash_list",
    "HashListStore": "hash_store",
    "ImageClassifier": "interface",
    "ImageEnsemble": "image_ensemble",
    "MinorsRule": "minors",
    "NormalisedText": "normalise",
    "NsfwJsMid": "image_models",
    "NudeNet": "nudenet",
    "OpenNsfw": "image_models",
    "OwenSafety": "image_models",
    "PromptClassifier": "interface",
    "PromptEnsemble": "prompt_ensemble",
    "PromptModel": "prompt_model",
    "TermLists": "terms",
    "TextInImage": "text_in_image",
    "risk": "interface",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
