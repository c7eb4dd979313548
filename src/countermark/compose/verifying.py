"""Where a verifier on this machine may look; it makes nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from countermark import imaging
from countermark.compose.home import Home
from countermark.errors import NotFound
from countermark.keys import Purpose
from countermark.model import Receipt, VerificationReport
from countermark.settings import Settings, load_settings
from countermark.verification import Sources, Trust, verify_bytes


def open_sources(
    settings: Settings,
    *,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> Sources:
    """Where a verifier on this machine may look. Makes nothing: a machine without a home verifies manifests alone."""
    home = Home(settings)
    log = home.open_log(read_only=True) if home.audit_db.exists() else None
    own = Trust(home.anchors(), home.log_keys())
    if trust is not None:
        own = Trust(own.anchors + trust.anchors, own.log_keys + trust.log_keys)
    return Sources(
        trust=own,
        watermark=home.watermark() if home.keys.epochs(Purpose.WATERMARK) else None,
        log=log,
        objects=home.open_objects() if log is not None else None,
        receipts=tuple(receipts),
    )


def verify(
    file: Path | str | bytes,
    *,
    settings: Settings | None = None,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> VerificationReport:
    """What can be proved about one file. Nothing is written, and the network is never used.

    Args:
        file: a path or the file's bytes.
        settings: whose keys, log and anchors to use; the environment's unless given.
        receipts: receipts that the reader holds.
        trust: further anchors and log keys to believe.

    Raises:
        NotFound: there is no such file.
        AssetInvalid: it is no image that we can read.
    """
    sources = open_sources(settings or load_settings().settings, receipts=receipts, trust=trust)
    try:
        if isinstance(file, bytes):
            return verify_bytes(file, "", sources)
        path = Path(file)
        if path.is_dir():
            raise NotFound(f"{path} is a folder.", remedy="Add --recursive to verify every image in it.")
        return verify_bytes(imaging.read_file(path), str(file), sources)
    finally:
        if sources.log is not None:
            sources.log.close()
