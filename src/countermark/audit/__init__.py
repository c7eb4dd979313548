"""The audit log: a Merkle tree of events that nobody can quietly rewrite, with proofs that anyone can check.

log = AuditLog.open("audit.db")
appended = log.append(event, protected={"prompt": prompt})   # durable and signed when it returns
receipt = log.receipt(appended.index)                        # checkable offline: verify_receipt
report = log.verify(held=checkpoint_kept_elsewhere)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from countermark.audit.checkpoint import Checkpoint, open_checkpoint
    from countermark.audit.findings import LogFinding, LogFindingKind, VerifyReport
    from countermark.audit.log import Appended, AuditLog, default_origin
    from countermark.audit.note import NoteSigner, NoteVerifier
    from countermark.audit.proof import ProvedEntry, TlogProof, verify_receipt
    from countermark.audit.stores.interface import Pending
    from countermark.audit.warrant import Warrant

__all__ = [
    "Appended",
    "AuditLog",
    "Checkpoint",
    "LogFinding",
    "LogFindingKind",
    "NoteSigner",
    "NoteVerifier",
    "Pending",
    "ProvedEntry",
    "TlogProof",
    "VerifyReport",
    "Warrant",
    "default_origin",
    "open_checkpoint",
    "verify_receipt",
]

_HOMES = {
    "checkpoint": ("Checkpoint", "open_checkpoint"),
    "findings": ("LogFinding", "LogFindingKind", "VerifyReport"),
    "log": ("Appended", "AuditLog", "default_origin"),
    "note": ("NoteSigner", "NoteVerifier"),
    "proof": ("ProvedEntry", "TlogProof", "verify_receipt"),
    "stores.interface": ("Pending",),
    "warrant": ("Warrant",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
