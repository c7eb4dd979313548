"""Making a bundle: written aside, proved, recorded in the log, and only then put where it was asked for."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from countermark.audit.bundle import (
    CHECKPOINT,
    DISCLOSED,
    ENTRIES,
    INSTRUCTIONS,
    MANIFEST,
    RECEIPT,
    BundleManifest,
    DisclosedField,
    FileDigest,
    RangeFold,
    edges,
    encode_hashes,
    instructions,
)
from countermark.audit.checkpoint import Checkpoint
from countermark.audit.scan import checked_entries
from countermark.audit.stores.interface import StoreReader
from countermark.audit.tiles import subtree_oracle
from countermark.audit.tree import leaf_hash
from countermark.audit.verify import Progress
from countermark.audit.views import CsvView, ParquetView, View, flat_row
from countermark.errors import AuditStoreDamaged, OutputUnwritable
from countermark.model import Receipt

Format = Literal["jsonl", "csv", "parquet"]
_VIEWS: Final[dict[Format, Callable[[Path], View]]] = {"csv": CsvView, "parquet": ParquetView}
_PROGRESS_EVERY = 1024


@dataclass(frozen=True)
class Exported:
    """A bundle that was handed over. ``entry`` is the export's own event."""

    path: Path
    manifest: BundleManifest
    entry: int
    disclosed: int


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path``, for what will be put there; removed in the end.

    Raises:
        OutputUnwritable: ``path`` exists, or its folder cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise OutputUnwritable(f"{path} exists already.", remedy="Choose another name, or remove the old one first.")
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise OutputUnwritable(f"{folder.parent} cannot be written: {error.strerror or error}.") from error
    try:
        yield folder
    except OSError as error:
        raise OutputUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_range(
    folder: Path,
    reader: StoreReader,
    note: str,
    checkpoint: Checkpoint,
    *,
    log_key: str,
    first: int,
    end: int,
    formats: Sequence[Format],
    progress: Progress | None,
) -> BundleManifest:
    """Entries, views, checkpoint and instructions, and the manifest to be written when all files are there.

    Raises:
        AuditStoreDamaged: the entries are not those that were signed.
        MissingExtra: a format needs a package that is not installed.
    """
    left, right = edges(first, end, checkpoint.size, subtree_oracle(reader.tile))
    fold = RangeFold(first, left)
    with ExitStack() as opened:
        views = [
            opened.enter_context(closing(_VIEWS[kind](folder / f"entries.{kind}")))
            for kind in formats
            if kind in _VIEWS
        ]
        lines = opened.enter_context((folder / ENTRIES).open("xb"))
        for index, entry in checked_entries(reader, first, end):
            fold.push(leaf_hash(entry))
            lines.write(entry + b"\n")
            if views:
                row = flat_row(index, orjson.loads(entry))
                for view in views:
                    view.add(row)
            if progress and index % _PROGRESS_EVERY == 0:
                progress(index - first, end - first)
    root = fold.finish(checkpoint.size, right)
    if root != checkpoint.root:
        raise AuditStoreDamaged(f"Entries {first} to {end - 1} do not lead to the signed root.")
    manifest = BundleManifest(
        schema="countermark.bundle/1",
        origin=checkpoint.origin,
        log_key=log_key,
        first=first,
        end=end,
        size=checkpoint.size,
        left=encode_hashes(left),
        right=encode_hashes(right),
        files={},
    )
    (folder / CHECKPOINT).write_text(note, encoding="utf-8")
    (folder / INSTRUCTIONS).write_text(instructions(manifest, root), encoding="utf-8")
    return manifest


def write_disclosed(folder: Path, fields: Sequence[DisclosedField]) -> None:
    """Add lines to the bundle's disclosed fields; their accesses must be recorded by now."""
    with (folder / DISCLOSED).open("ab") as file:
        for field in fields:
            file.write(orjson.dumps(field.model_dump(exclude_none=True)) + b"\n")


def write_manifest(folder: Path, manifest: BundleManifest) -> tuple[BundleManifest, str]:
    """Write the manifest over all files that are there, and give it and its SHA-256."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    manifest = manifest.model_copy(update={"files": files})
    text = orjson.dumps(manifest.model_dump(by_alias=True), option=orjson.OPT_INDENT_2) + b"\n"
    (folder / MANIFEST).write_bytes(text)
    return manifest, hashlib.sha256(text).hexdigest()


def hand_over(folder: Path, path: Path, receipt: Receipt) -> None:
    """Put the finished bundle in its place, as a zip file where the name ends so; never over what is there."""
    (folder / RECEIPT).write_text(receipt.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
    if path.suffix.lower() == ".zip":
        packed = folder.with_name(folder.name + ".zip")
        try:
            _pack(folder, packed, path.stem)
            os.link(packed, path)  # fails where the file exists, unlike rename
        finally:
            packed.unlink(missing_ok=True)
        return
    if os.name != "nt":
        path.mkdir()  # claims the name: rename alone would replace an empty folder that somebody else just made
    folder.rename(path)


def _pack(folder: Path, packed: Path, name: str) -> None:
    with zipfile.ZipFile(packed, "x", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{name}/{file.name}")


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as file:
        return FileDigest(sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=path.stat().st_size)
