"""What each mark in a file says: manifest, watermark, fingerprint, and the record they lead to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, model_validator

from countermark.model.base import Frozen


class ManifestState(StrEnum):
    """``trusted`` chains to a manifest anchor; ``valid`` is intact, but its signer cannot be relied upon."""

    TRUSTED = "trusted"
    VALID = "valid"
    INVALID = "invalid"
    ABSENT = "absent"


class Manifest(Frozen):
    """A C2PA manifest as read and validated, ingredients included.

    Everything from ``event_id`` on is what the manifest *says*: it binds its signer where the state is ``trusted`` or
    ``valid``, and nobody where it is ``invalid``. Codes are those of C2PA's validation, those of ingredients after
    ``ingredient:``, and a few of ours.

    Attributes:
        intact: nothing was changed since it was signed. Said of one that is ``invalid`` where its signer broke a rule.
        time: RFC 3339; of a time-stamp where ``time_certified``, else as the signer says.
        development: signed by a development identity, which anyone can make.
        ai_generated: whether it says that a trained model made the image; ``None`` where it says nothing.
        log_key_id: of the key that signs the log, ``name+id``; empty where the manifest does not say.
        ingredient_events: events that the manifests of ingredients name, at any depth.
        watermark_algorithm: the watermark that the signer wrote, empty for none.
        watermark_payload: 12 hexadecimal digits, empty for none.
        fingerprint: PDQ hash of the signed pixels, 64 hexadecimal digits, empty for none.
        explanation: the state in plain words.
    """

    state: ManifestState
    codes: tuple[str, ...] = ()
    intact: bool = False
    signer: str = ""
    time: str = ""
    time_certified: bool = False
    development: bool = False
    ingredients: tuple[str, ...] = ()
    label: str = ""
    sha256: str = ""
    event_id: str = ""
    log_origin: str = ""
    log_key_id: str = ""
    ingredient_events: tuple[str, ...] = ()
    model: str = ""
    ai_generated: bool | None = None
    watermark_algorithm: str = ""
    watermark_payload: str = ""
    fingerprint: str = ""
    explanation: str = ""


class WatermarkState(StrEnum):
    """``foreign`` is another system's mark; ``inconclusive`` shows traces of ours that do not decode."""

    DETECTED = "detected"
    ABSENT = "absent"
    INCONCLUSIVE = "inconclusive"
    FOREIGN = "foreign"
    SKIPPED = "skipped"


class WatermarkDetection(Frozen):
    """What a watermark detector found.

    ``record_id`` is below 2**48; ``payload`` spells it as 12 hexadecimal digits. ``false_positive_probability`` bounds
    the chance that an unmarked image gives this detection (1.0 where nothing was detected). ``transform``, where known,
    is the row-major 3×3 projective map from pixel coordinates of the examined image to those of the marked image's
    canonical plane. ``negative`` says that the examined image is the negative of what was marked. ``further`` are other
    marks of ours in the same picture, which was then marked more than once.
    """

    state: WatermarkState
    algorithm: str
    record_id: int | None = Field(default=None, ge=0, lt=2**48)
    version: int | None = None
    epoch: int | None = None
    false_positive_probability: float = Field(default=1.0, ge=0, le=1)
    transform: tuple[float, ...] | None = Field(default=None, exclude=True)
    negative: bool = Field(default=False, exclude=True)
    payload: str | None = None
    note: str = ""
    further: tuple[WatermarkDetection, ...] = ()

    @property
    def marks(self) -> tuple[WatermarkDetection, ...]:
        """This detection and the further ones."""
        return (self, *self.further)

    def carries(self, record_id: int) -> bool:
        """Whether one of the marks found is that of a record."""
        return any(mark.record_id == record_id for mark in self.marks)

    @model_validator(mode="before")
    @classmethod
    def _spell_payload(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("record_id") is not None:
            return {**fields, "payload": f"{fields['record_id']:012x}"}
        return fields


class FingerprintEvidence(Frozen):
    """How near the file's fingerprint is to the record's. ``distance`` is a Hamming distance of 256 bits."""

    state: Literal["match", "near", "none", "skipped"]
    algorithm: str = "pdq"
    distance: int | None = None
    note: str = ""


class OriginalEvidence(Frozen):
    """What is left of the kept original's picture in the file, compared tile by tile.

    A fingerprint says that two pictures are alike as a whole, and can be computed against; this cannot be said of it.
    ``skipped`` stands where the file is the recorded one, or where the original cannot be read, or either is too
    plain or too small: then ``note`` says why.

    Attributes:
        altered: share of the file's tiles, of those on the original, in which something else is to be seen, 0 to 1.
        lost: share of what the original shows, of what is in view, that the file does not show, 0 to 1.
        covered: share of the file that lies on the original, 0 to 1; the rest was put around it.
        where: the middle of the largest alteration, as one looks at the file: "upper left", "top", "middle", ...
    """

    state: Literal["same", "altered", "different", "skipped"]
    altered: float | None = Field(default=None, ge=0, le=1)
    lost: float | None = Field(default=None, ge=0, le=1)
    covered: float | None = Field(default=None, ge=0, le=1)
    where: str = ""
    note: str = ""


class AuditEvidence(Frozen):
    """Whether the record is proved to be in the log. ``witnesses`` cosigned the checkpoint that proves it."""

    state: Literal["proved", "failed", "not_found", "not_checked"]
    event_id: str = ""
    index: int | None = None
    tree_size: int | None = None
    origin: str = ""
    witnesses: tuple[str, ...] = ()
    note: str = ""
