"""What we claim about an image, and the C2PA manifest that says it.

Sources: C2PA specification 2.4 (claims 10, actions 18.15, ingredients 18.16, AI disclosure), the public conformance
rubric for it (C2PA Conformance Task Force, 6 August 2026, CC BY 4.0), CAWG training and data mining 1.1, and the
IPTC photo metadata standard 2025.1. No prompt and no name of a person has a place here.

There is no ``c2pa.soft-binding`` assertion. The specification reserves it for algorithms on C2PA's list, where ours
is not; so the watermark is recorded as *unbound* and its payload travels in our own assertion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

from countermark.errors import CredentialFailed
from countermark.model import ModelRef

RECORD_LABEL: Final = "org.countermark.record"
RECORD_SCHEMA: Final = "countermark.record/1"
SPEC_VERSION: Final = "2.4.0"
MAX_TITLE: Final = 200
IPTC_EXTENSION: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
IPTC_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"

Oversight = Literal["fully_autonomous", "prompt_guided", "human_validated"]
"""Nobody guided it · a person gave the prompt · a person approved the result (C2PA AI disclosure)."""
Relationship = Literal["parentOf", "inputTo", "componentOf"]
"""What became this image · what a model was given · what was placed into it."""


class SourceType(StrEnum):
    """How the pixels came about (IPTC digital source type NewsCodes)."""

    TRAINED = "trainedAlgorithmicMedia"
    COMPOSITE_TRAINED = "compositeWithTrainedAlgorithmicMedia"
    ALGORITHMIC = "algorithmicMedia"
    ENHANCED = "algorithmicallyEnhanced"
    CAPTURE = "digitalCapture"
    CREATION = "digitalCreation"

    @property
    def uri(self) -> str:
        """The term's URI."""
        return IPTC_SOURCE_TYPES + self.value


AI_SOURCE_TYPES: Final = frozenset(
    {
        IPTC_SOURCE_TYPES + SourceType.TRAINED,
        IPTC_SOURCE_TYPES + SourceType.COMPOSITE_TRAINED,
        IPTC_SOURCE_TYPES + "compositeSynthetic",
    }
)
"""Digital source types that say a trained model made at least a part."""


@cache
def software_version() -> str:
    """The version of the installed countermark, ``0`` where it is not installed."""
    try:
        return version("countermark")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True)
class Ingredient:
    """A file that this image was made from. Its own manifest, if any, is carried along and validated."""

    title: str
    media_type: str
    data: bytes
    relationship: Relationship = "parentOf"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Everything that a manifest of ours says.

    Attributes:
        title: shown by readers; a neutral file name, never a prompt.
        event_id: the audit event, 32 hexadecimal digits.
        log_origin: the audit log that holds it (C2SP checkpoint origin).
        log_key_id: the key that signs the log's checkpoints.
        model: what generated the pixels.
        when: when it is signed, with a time zone.
        generated_now: whether the pixels were made then; when something else made them earlier is not known.
        digital_source_type: how they came about.
        watermark_algorithm: the algorithm written into the pixels, empty for none.
        watermark_payload: its payload, 12 hexadecimal digits, given exactly when there is an algorithm.
        fingerprint: PDQ hash of the pixels, 64 hexadecimal digits, empty for none.
        policy_digest: SHA-256 of the policy that released the image, empty for none.
        human_oversight: ``None`` where it is not known, as for an image that something else generated.
        training: what others may do with the image in training and data mining; ``None`` says nothing.
        redacted: whether regions of the pixels were blurred after they were generated.
        ingredients: at most one parent, and any inputs.
    """

    title: str
    event_id: str
    log_origin: str
    log_key_id: str = ""
    model: ModelRef
    when: datetime
    generated_now: bool = True
    digital_source_type: SourceType = SourceType.TRAINED
    watermark_algorithm: str = ""
    watermark_payload: str = ""
    fingerprint: str = ""
    policy_digest: str = ""
    human_oversight: Oversight | None = "prompt_guided"
    training: Literal["allowed", "notAllowed"] | None = "notAllowed"
    redacted: bool = False
    ingredients: tuple[Ingredient, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would make a false or malformed manifest."""
        _require(
            0 < len(self.title) <= MAX_TITLE and self.title.isprintable(), "title is 1 to 200 printable characters"
        )
        _require(_is_hex(self.event_id, 32), "event_id is 32 lowercase hexadecimal digits")
        _require(bool(self.log_origin), "log_origin names the audit log")
        _require(self.when.tzinfo is not None, "when has a time zone")
        _require(bool(self.watermark_algorithm) == bool(self.watermark_payload), "a watermark has name and payload")
        _require(
            not self.watermark_payload or _is_hex(self.watermark_payload, 12), "watermark_payload is 12 hex digits"
        )
        _require(not self.fingerprint or _is_hex(self.fingerprint, 64), "fingerprint is 64 lowercase hex digits")
        _require(not self.policy_digest or _is_hex(self.policy_digest, 64), "policy_digest is 64 lowercase hex digits")
        parents = [item for item in self.ingredients if item.relationship == "parentOf"]
        _require(len(parents) <= 1, "an image has at most one parent")

    @property
    def parent(self) -> int | None:
        """The position of the parent among the ingredients."""
        positions = [i for i, item in enumerate(self.ingredients) if item.relationship == "parentOf"]
        return positions[0] if positions else None

    @property
    def source(self) -> SourceType:
        """How the pixels came about, for manifest and XMP alike: what was edited from a parent is a composite."""
        if self.parent is not None and self.digital_source_type is SourceType.TRAINED:
            return SourceType.COMPOSITE_TRAINED
        return self.digital_source_type


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise CredentialFailed(
            f"The manifest cannot be made: {rule}.", remedy="Correct the field named; this is a fault of the caller."
        )


def _is_hex(text: str, digits: int) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{digits}}}", text) is not None


def ingredient_id(position: int) -> str:
    """The name by which an action refers to an ingredient while the manifest is built."""
    return f"ingredient-{position}"


def definition(claim: Claim) -> dict[str, Any]:
    """The manifest definition that the C2PA library signs; ingredients are added to it by the signer."""
    assertions = [
        _created("c2pa.actions.v2", {"actions": _actions(claim), "allActionsIncluded": True}),
        _created("c2pa.metadata", _metadata(claim)),
        _created(RECORD_LABEL, _record(claim)),
    ]
    if claim.source.uri in AI_SOURCE_TYPES:
        assertions.append(_created("c2pa.ai-disclosure", _disclosure(claim)))
    if claim.training is not None:
        assertions.append(_created("cawg.training-mining", _training(claim.training)))
    return {
        "claim_generator_info": [
            {"name": "countermark", "version": software_version(), "specVersion": SPEC_VERSION},
        ],
        "title": claim.title,
        "assertions": assertions,
    }


def _created(label: str, data: dict[str, Any]) -> dict[str, Any]:
    """An assertion that the signer vouches for; without ``created`` it would be merely gathered."""
    return {"label": label, "created": True, "data": data}


# --- assertions -------------------------------------------------------------------------------------------------------


def _actions(claim: Claim) -> list[dict[str, Any]]:
    """Inception first, as the specification wants it, then what was done to the pixels, the watermark last."""
    when = _timestamp(claim.when)
    made = {"when": when} if claim.generated_now else {}
    if claim.parent is None:
        inputs = [ingredient_id(i) for i in range(len(claim.ingredients))]
        inception: list[dict[str, Any]] = [_made("c2pa.created", claim, made, inputs)]
    else:
        others = [ingredient_id(i) for i in range(len(claim.ingredients)) if i != claim.parent]
        opened = {
            "action": "c2pa.opened",
            **made,
            "parameters": {"ingredientIds": [ingredient_id(claim.parent)]},
        }
        inception = [opened, _made("c2pa.edited", claim, made, others)]
    return inception + _redacted(claim, when) + _watermarked(claim, when)


def _made(action: str, claim: Claim, made: dict[str, str], ingredient_ids: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "action": action,
        **made,
        "digitalSourceType": claim.source.uri,
        "softwareAgent": _named_version(public_model_id(claim.model), claim.model.version),
    }
    if ingredient_ids:
        entry["parameters"] = {"ingredientIds": ingredient_ids}
    return entry


def _redacted(claim: Claim, when: str) -> list[dict[str, Any]]:
    if not claim.redacted:
        return []
    # Not c2pa.redacted, which is the removal of an assertion.
    return [
        {
            "action": "c2pa.filtered",
            "when": when,
            "digitalSourceType": SourceType.ENHANCED.uri,
            "softwareAgent": _named_version("countermark", software_version()),
            "description": "Regions of the image were blurred by policy.",
        }
    ]


def _watermarked(claim: Claim, when: str) -> list[dict[str, Any]]:
    if not claim.watermark_algorithm:
        return []
    return [
        {
            "action": "c2pa.watermarked.unbound",
            "when": when,
            "softwareAgent": _named_version("countermark", software_version()),
            "description": f"Invisible watermark, algorithm {claim.watermark_algorithm}.",
        }
    ]


def _disclosure(claim: Claim) -> dict[str, Any]:
    name = public_model_id(claim.model)
    disclosure: dict[str, Any] = {
        "modelType": claim.model.type,
        "modelName": name.rsplit("/", 1)[-1],
        "modelIdentifier": f"{name}@{claim.model.version}" if claim.model.version else name,
    }
    if claim.human_oversight is not None:
        disclosure["contentProfile"] = {"humanOversightLevel": claim.human_oversight}
    return disclosure


def _training(use: str) -> dict[str, Any]:
    purposes = ("ai_inference", "ai_generative_training", "ai_training", "data_mining")
    return {"entries": {f"cawg.{purpose}": {"use": use} for purpose in purposes}}


def _metadata(claim: Claim) -> dict[str, Any]:
    """IPTC fields as JSON-LD, the same that :func:`~countermark.credentials.build_xmp` writes."""
    fields = {
        "@context": {"Iptc4xmpExt": IPTC_EXTENSION},
        "Iptc4xmpExt:DigitalSourceType": claim.source.uri,
        "Iptc4xmpExt:AISystemUsed": public_model_id(claim.model),
    }
    if claim.model.version:
        fields["Iptc4xmpExt:AISystemVersionUsed"] = claim.model.version
    return fields


def _record(claim: Claim) -> dict[str, Any]:
    """Our own assertion: where the image is recorded, and how to find that record again."""
    record: dict[str, Any] = {
        "schema": RECORD_SCHEMA,
        "event_id": claim.event_id,
        "log": _without_empty({"origin": claim.log_origin, "key_id": claim.log_key_id}),
        "model": _without_empty(
            {
                "id": public_model_id(claim.model),
                "version": claim.model.version,
                "weights_sha256": claim.model.digest or "",
            }
        ),
    }
    if claim.watermark_algorithm:
        record["watermark"] = {"algorithm": claim.watermark_algorithm, "payload": claim.watermark_payload}
    if claim.fingerprint:
        record["fingerprint"] = {"algorithm": "pdq", "value": claim.fingerprint}
    if claim.policy_digest:
        record["policy"] = {"sha256": claim.policy_digest}
    return record


def public_model_id(model: ModelRef) -> str:
    """The model's name as the world may see it: of a path on this machine only the last part."""
    name = model.id.replace("\\", "/").rstrip("/")
    is_path = name.startswith(("/", "~", ".")) or re.match(r"[A-Za-z]:/", name) is not None
    return name.rsplit("/", 1)[-1] if is_path else name


def _named_version(name: str, number: str) -> dict[str, str]:
    return _without_empty({"name": name, "version": number})


def _without_empty(fields: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in fields.items() if value}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
