"""Where a verifier on this machine may look. It makes nothing and records nothing.

Beside a large log it keeps a cache of the log's fingerprints (``fingerprints.idx``), where it may write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from countermark import imaging
from countermark.compose.home import Home
from countermark.compose.witnessing import kept_checkpoints, witness_policy
from countermark.errors import NotFound, ProofInvalid, UsageError
from countermark.fingerprint import RecordedFingerprints
from countermark.keys import Purpose
from countermark.model import Receipt, VerificationReport
from countermark.settings import Settings, load_settings
from countermark.verification import Sources, Trust, verify_bytes
from countermark.watermark import ForeignMarks


def open_sources(
    settings: Settings,
    *,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> Sources:
    """Where a verifier on this machine may look. Makes nothing: a machine without a home verifies manifests alone."""
    home = Home(settings)
    log = home.open_log(read_only=True) if home.has_log() else None
    policy = witness_policy(settings.audit)
    witnessing = dict.fromkeys(home.log_keys(), policy) if policy.witnesses else {}
    own = Trust(home.anchors(), home.log_keys(), witnessing)
    fingerprints = RecordedFingerprints(log, home.fingerprints) if log is not None else None
    return Sources(
        trust=own if trust is None else own + trust,
        watermark=home.watermark() if home.keys.epochs(Purpose.WATERMARK) else None,
        foreign=ForeignMarks(),
        log=log,
        fingerprints=fingerprints,
        objects=home.open_objects(patient=False) if log is not None else None,
        receipts=tuple(receipts),
        cosigned=_cosigned(home) if settings.audit.witnesses else None,
    )


def _cosigned(home: Home) -> str | None:
    try:
        return kept_checkpoints(home).newest()
    except ProofInvalid:
        return None  # entries are proved under the log's own checkpoint then, which no witness cosigned


def verify(
    file: Path | str | bytes,
    *,
    settings: Settings | None = None,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> VerificationReport:
    """What can be proved about one file. Nothing is recorded.

    The network is used for nothing but a log or an object store that settings place elsewhere.

    Args:
        file: a path or the file's bytes.
        settings: whose keys, log and anchors to use; the environment's unless given.
        receipts: receipts that the reader holds.
        trust: further anchors and log keys to believe.

    Raises:
        UsageError: it is neither a path nor bytes, or another argument is of another kind.
        NotFound: there is no such file.
        AssetInvalid: it is no image that we can read.
    """
    if not isinstance(file, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise UsageError(
            f"What is to be verified is given as {type(file).__name__}.",
            remedy="Give the file's path or its bytes: pixels alone have lost the manifest.",
        )
    if settings is not None and not isinstance(settings, Settings):
        raise UsageError(f"'settings' is given as {type(settings).__name__}.", remedy="Use load_settings().settings.")
    if not all(isinstance(receipt, Receipt) for receipt in receipts):
        raise UsageError(
            "One of 'receipts' is none.", remedy="Read them with countermark.model.Receipt.model_validate_json(text)."
        )
    sources = open_sources(settings or load_settings().settings, receipts=receipts, trust=trust)
    try:
        if isinstance(file, (bytes, bytearray, memoryview)):
            return verify_bytes(bytes(file), "", sources)
        path = Path(file)
        if os.path.isdir(path):  # noqa: PTH112 (Path raises where it may not look)
            raise NotFound(
                f"{path} is a folder.",
                remedy="Give a file; the command verifies all images in it with --recursive.",
            )
        return verify_bytes(imaging.read_file(path), str(file), sources)
    finally:
        if sources.log is not None:
            sources.log.close()
