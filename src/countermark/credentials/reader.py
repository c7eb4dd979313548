"""Reading: what the manifest of a file says, and whether to believe it. Offline, always."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Final

import c2pa
import orjson

from countermark.credentials.bounds import objection
from countermark.credentials.container import has_store_mark, manifest_stores
from countermark.credentials.engine import (
    MAX_MANIFEST_BYTES,
    STORED_MANIFEST,
    C2paError,
    check_size,
    checked_media_type,
    reading_context,
)
from countermark.credentials.interpret import absent, broken, interpret
from countermark.credentials.linter import Problem, lint
from countermark.credentials.trust import Anchors
from countermark.errors import KeyUnavailable
from countermark.model import Manifest

MAX_REPORT_BYTES: Final = 32 * 2**20
REMOTE: Final = "manifest.remote"
MALFORMED: Final = "manifest.malformed"
COMPRESSED: Final = "manifest.compressed"
MULTIPLE: Final = "manifest.multiple"
UNREADABLE: Final = "asset.unreadable"


@dataclass(frozen=True)
class Inspection:
    """A manifest as read, and what the conformance rules say of it."""

    manifest: Manifest
    problems: tuple[Problem, ...]


def read(data: bytes, media_type: str, *, anchors: Anchors, manifest: bytes | None = None) -> Manifest:
    """Read and validate the manifest of a file.

    Never fetches anything: a manifest kept elsewhere reads as absent, with the code ``manifest.remote``. A hostile or
    damaged file is an answer, not an exception.

    Args:
        data: the file, at most 64 MiB.
        media_type: what it is taken for.
        anchors: whom to trust.
        manifest: a manifest store kept beside the file, to be used in place of an embedded one.

    Raises:
        AssetInvalid: the media type is none that carries our credentials.
        AssetTooLarge: more than 64 MiB, or a manifest store of more than 16 MiB.
    """
    return _examine(data, media_type, anchors, manifest).manifest


def inspect(data: bytes, media_type: str, *, anchors: Anchors) -> Inspection:
    """Read a file and lint its manifest in one pass; the problems are empty where there is no manifest.

    Raises:
        AssetInvalid: see :func:`read`.
        AssetTooLarge: see :func:`read`.
    """
    return _examine(data, media_type, anchors, None, with_lint=True)


def read_stored(manifest: bytes, *, anchors: Anchors) -> Manifest:
    """Validate a manifest store by itself, when the file that it belonged to was stripped or changed.

    Signature, signer and every assertion are checked; only the comparison with the file is left out, and the
    explanation says so.

    Raises:
        AssetTooLarge: more than 16 MiB.
    """
    check_size(manifest, MAX_MANIFEST_BYTES)
    digest = hashlib.sha256(manifest).hexdigest()
    if (refused := _refused(manifest, digest)) is not None:
        return refused
    try:
        report, _ = _report(STORED_MANIFEST, manifest, None, anchors, with_lint=False)
    except C2paError as error:
        return _failure(error, manifest, digest)
    if report is None:
        return broken(MALFORMED, "The stored manifest's report cannot be read.", sha256=digest)
    return interpret(report, manifest, sha256=digest, compared=False)


def _examine(
    data: bytes, media_type: str, anchors: Anchors, sidecar: bytes | None, *, with_lint: bool = False
) -> Inspection:
    check_size(data)
    kind = checked_media_type(media_type)
    if sidecar is not None:
        check_size(sidecar, MAX_MANIFEST_BYTES)
    store, refused = vetted_store(data, sidecar)
    if refused is not None:
        return Inspection(refused, ())
    digest = hashlib.sha256(store).hexdigest() if store else ""
    try:
        report, crjson = _report(kind, data, sidecar, anchors, with_lint=with_lint)
    except C2paError as error:
        return Inspection(_failure(error, data, digest), ())
    if report is None:
        return Inspection(broken(MALFORMED, "The manifest's report cannot be read.", sha256=digest), ())
    manifest = interpret(report, store, sha256=digest)
    return Inspection(manifest, lint(crjson) if crjson is not None else ())


def vetted_store(data: bytes, sidecar: bytes | None = None) -> tuple[bytes, Manifest | None]:
    """The manifest store to be read, empty for none; and the answer where the library must not see the file."""
    stores = manifest_stores(data)
    if stores is None or (not stores and has_store_mark(data)):
        return b"", _unreadable(data)
    stores = stores if sidecar is None else [*stores, sidecar]
    for store in stores:
        refused = _refused(store, hashlib.sha256(store).hexdigest())
        if refused is not None:
            return store, refused
    if len(stores) > 1 and sidecar is None:
        return b"", broken(MULTIPLE, "The file holds more than one manifest store, so none can be relied upon.")
    return (stores[-1] if stores else b""), None


def _refused(store: bytes, digest: str) -> Manifest | None:
    """The answer for a store that is not safe to parse, ``None`` for one that is."""
    fault = objection(store)
    if fault == "compressed":
        return absent(COMPRESSED, explanation="The file holds a compressed manifest, which this reader does not open.")
    return None if fault is None else broken(MALFORMED, "The manifest is damaged or hostile.", sha256=digest)


def _report(
    kind: str, data: bytes, sidecar: bytes | None, anchors: Anchors, *, with_lint: bool
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The library's report and, on request, its crJSON; ``None`` for one that is too large or too deep."""
    with c2pa.Reader(kind, io.BytesIO(data), sidecar, context=_context(anchors)) as reader:
        report = _parse(reader.json())
        return report, (_parse(reader.crjson()) or {}) if with_lint else None


def _context(anchors: Anchors) -> Any:
    """The library raises for anchors what it raises for a damaged file, which is not to be blamed for them."""
    try:
        return reading_context(anchors)
    except (C2paError, ValueError) as error:
        raise KeyUnavailable("The anchors cannot be used.", remedy="Give certificates as PEM: Anchors.load.") from error


def _parse(text: str) -> dict[str, Any] | None:
    if len(text) > MAX_REPORT_BYTES:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _failure(error: Exception, data: bytes, digest: str) -> Manifest:
    """What an exception of the library says about the file."""
    message = str(error)
    if isinstance(error, C2paError.ManifestNotFound):
        return absent()
    if isinstance(error, C2paError.RemoteManifest) or message.startswith("Remote"):
        return absent(REMOTE, explanation="The file points to a manifest kept elsewhere, which was not fetched.")
    return _unreadable(data, digest)


def _unreadable(data: bytes, digest: str = "") -> Manifest:
    if digest or has_store_mark(data):
        return broken(MALFORMED, "The file holds a manifest that is damaged or cut short.", sha256=digest)
    return absent(UNREADABLE, explanation="The file cannot be parsed, and no manifest was seen in it.")
