"""Where a verifier may look, and whom it trusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countermark.credentials import Anchors
from countermark.model import Receipt
from countermark.watermark.interface import Detector, Watermark

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.witness import WitnessPolicy
    from countermark.fingerprint import RecordedFingerprints
    from countermark.objects import ObjectStore


@dataclass(frozen=True)
class Trust:
    """Whom the reader believes: certificate anchors, and the verifier keys of logs (C2SP signed-note vkeys).

    ``witnessing`` says, by log key, which witnesses' cosignatures count and how many a checkpoint of that log needs.
    What is trusted comes from the reader, never from the file that is examined.
    """

    anchors: Anchors
    log_keys: tuple[str, ...] = ()
    witnessing: Mapping[str, WitnessPolicy] = field(default_factory=dict)

    def __add__(self, other: Trust) -> Trust:
        """Both; where both demand witnesses of one log, what ``other`` demands counts."""
        return Trust(
            self.anchors + other.anchors, self.log_keys + other.log_keys, {**self.witnessing, **other.witnessing}
        )


@dataclass(frozen=True)
class Sources:
    """Where records may be found. Anything that is ``None`` is skipped, and the report says so.

    Attributes:
        trust: whom to believe.
        watermark: a detector that holds the operator's key.
        foreign: a detector of other systems' marks, asked only where none of ours is found.
        log: the audit log, open for reading.
        fingerprints: those that the log holds, to find the record of a file that lost every mark.
        objects: where released files are kept, to compare a cropped copy with its original.
        receipts: receipts that the reader holds (``--receipt``), for a check without the log.
        cosigned: the log's newest cosigned checkpoint; entries that it covers are proved under it.
    """

    trust: Trust
    watermark: Watermark | None = None
    foreign: Detector | None = None
    log: AuditLog | None = None
    fingerprints: RecordedFingerprints | None = None
    objects: ObjectStore | None = None
    receipts: tuple[Receipt, ...] = field(default=())
    cosigned: str | None = None
