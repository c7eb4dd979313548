"""Where a verifier may look, and whom it trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countermark.credentials import Anchors
from countermark.model import Receipt
from countermark.watermark.interface import Watermark

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.objects import ObjectStore


@dataclass(frozen=True)
class Trust:
    """Whom the reader believes: certificate anchors, and the verifier keys of logs (C2SP signed-note vkeys).

    What is trusted comes from the reader, never from the file that is examined.
    """

    anchors: Anchors
    log_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Where records may be found. Anything that is ``None`` is skipped, and the report says so.

    Attributes:
        trust: whom to believe.
        watermark: a detector that holds the operator's key.
        log: the audit log, open for reading.
        objects: where released files are kept, to compare a cropped copy with its original.
        receipts: receipts that the reader holds (``--bundle``), for a check without the log.
    """

    trust: Trust
    watermark: Watermark | None = None
    log: AuditLog | None = None
    objects: ObjectStore | None = None
    receipts: tuple[Receipt, ...] = field(default=())
