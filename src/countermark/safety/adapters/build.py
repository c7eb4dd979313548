"""Second opinions from their options. Adapters are imported here alone, each when one of its kind is built."""

from __future__ import annotations

from collections.abc import Iterable

from countermark.safety.adapters import options as kinds
from countermark.safety.adapters.opinion import ImageOpinion, PromptOpinion
from countermark.safety.combine import Another
from countermark.safety.interface import ImageClassifier, PromptClassifier


def prompt_opinion(options: kinds.PromptOpinion) -> PromptOpinion:
    """The opinion on prompts that the options describe; nothing is loaded or sent yet."""
    match options:
        case kinds.TextClassificationOptions():
            from countermark.safety.adapters.text_classification import TextClassifier

            return TextClassifier(options)
        case kinds.LlamaGuardOptions():
            from countermark.safety.adapters.llama_guard import LlamaGuard

            return LlamaGuard(options)
        case kinds.ShieldGemmaOptions():
            from countermark.safety.adapters.shield_gemma import ShieldGemma

            return ShieldGemma(options)
        case kinds.OpenAIOptions():
            from countermark.safety.adapters.openai import OpenAIPromptModeration

            return OpenAIPromptModeration(options)
        case kinds.AzureOptions():
            from countermark.safety.adapters.azure import AzurePromptSafety

            return AzurePromptSafety(options)


def image_opinion(options: kinds.ImageOpinion) -> ImageOpinion:
    """The opinion on images that the options describe; nothing is loaded or sent yet."""
    match options:
        case kinds.ImageClassificationOptions():
            from countermark.safety.adapters.image_classification import ImageClassifier

            return ImageClassifier(options)
        case kinds.ShieldGemma2Options():
            from countermark.safety.adapters.shield_gemma_2 import ShieldGemma2

            return ShieldGemma2(options)
        case kinds.SafetyCheckerOptions():
            from countermark.safety.adapters.safety_checker import SafetyChecker

            return SafetyChecker(options)
        case kinds.PromptAgreementOptions():
            from countermark.safety.adapters.prompt_agreement import PromptAgreement

            return PromptAgreement(options)
        case kinds.OpenAIOptions():
            from countermark.safety.adapters.openai import OpenAIImageModeration

            return OpenAIImageModeration(options)
        case kinds.AzureOptions():
            from countermark.safety.adapters.azure import AzureImageSafety

            return AzureImageSafety(options)


def prompt_opinions(chosen: Iterable[kinds.PromptOpinion]) -> list[Another[PromptClassifier]]:
    """Opinions on prompts, each with when it is to be asked."""
    return [Another(prompt_opinion(o), o.when, o.multilingual, isinstance(o, kinds.ServiceOptions)) for o in chosen]


def image_opinions(chosen: Iterable[kinds.ImageOpinion]) -> list[Another[ImageClassifier]]:
    """Opinions on images, each with when it is to be asked."""
    return [Another(image_opinion(o), o.when, remote=isinstance(o, kinds.ServiceOptions)) for o in chosen]
